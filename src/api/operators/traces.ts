import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { sendProblem } from '../problem-reply.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { NoQuery } from '../schemas/common.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfRead } from '../schemas/responses.ts';
import { TraceId } from './trace-schemas.ts';

const strict = { additionalProperties: false } as const;
const DEFAULT_LIMIT = 100;
const ListQuery = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, description: 'At most so many.' })) },
  strict,
);

/** The traces that this process keeps. */
export function traceRoutes(app: TypedApp, { admin: { traces } }: ServiceDeps): void {
  const config = { access: ACCESS.admin };
  const common = { tags: ['admin'], headers: PlainHeaders };
  const list = {
    ...common,
    querystring: ListQuery,
    operationId: 'listTraces',
    summary: 'List the last traces',
    description:
      'Those of the process that answers, from its memory: as many as `tracing.devTraces` says of those that are sampled. None where it is 0.',
    response: { ...plain(200, 'Traces', 'The newest first.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/traces', { schema: list, config }, async (request, reply) =>
    reply.send({ items: [...(traces?.list(request.query.limit ?? DEFAULT_LIMIT) ?? [])] }),
  );
  const one = {
    ...common,
    params: Type.Object({ traceId: TraceId }, strict),
    querystring: NoQuery,
    operationId: 'getTrace',
    summary: 'Show a trace',
    description: 'All of its spans that ended in the process that answers, up to 500.',
    response: { ...plain(200, 'TraceSpans', 'Its spans.'), ...problemsOfRead('trace/not-kept') },
  };
  app.get('/v1/admin/traces/:traceId', { schema: one, config }, async (request, reply) => {
    const { traceId } = request.params;
    const spans = traces?.trace(traceId);
    if (spans === undefined) return sendProblem(request, reply, { code: 'trace/not-kept' });
    return reply.send({ traceId, spans: [...spans] });
  });
}
