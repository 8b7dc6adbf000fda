import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import { sendProblem } from '../problem-reply.ts';
import type { DevTraces, TraceDetail, TraceList } from '../schemas/dev-traces.ts';
import type { TypedApp } from './app-type.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 10_000;

const ListQuery = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LIMIT })) },
  { additionalProperties: false },
);
const TraceParams = Type.Object(
  { traceId: Type.String({ pattern: '^[0-9a-f]{32}$' }) },
  { additionalProperties: false },
);

// A page in a browser reads it, and production has none of it.
const config = { access: ACCESS.public };

/** The last traces as data, for the page at /dev/traces. Only where they are kept: elsewhere these are unknown routes. */
export function devTracesRoutes(app: TypedApp, devTraces: DevTraces | undefined): void {
  if (devTraces === undefined) return;
  const list = { hide: true, querystring: ListQuery };
  app.get('/dev/traces.json', { schema: list, config }, async (request, reply) => {
    const body: TraceList = { traces: devTraces.list(request.query.limit ?? DEFAULT_LIMIT) };
    return reply.header('cache-control', 'no-store').send(body);
  });
  const one = { hide: true, params: TraceParams };
  app.get('/dev/traces/:traceId.json', { schema: one, config }, async (request, reply) => {
    const { traceId } = request.params;
    const spans = devTraces.trace(traceId);
    if (spans === undefined) {
      const detail = 'This trace is not kept, or not any more.';
      return sendProblem(request, reply, { code: 'route/not-found', detail });
    }
    const body: TraceDetail = { traceId, spans };
    return reply.header('cache-control', 'no-store').send(body);
  });
}
