import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import type { Rejection } from 'jetledger';
import { EventStoreError, OutcomeUnknown } from 'jetledger/eventstore';
import { ViewBehind } from 'jetledger/projections';

/** A problem as RFC 9457 has it, with a stable `code`. */
export const problemSchema = {
  $id: 'Problem',
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string' },
    detail: { type: 'string' },
  },
} as const;

/** Answers with a problem. */
export function problem(reply: FastifyReply, status: number, code: string, detail: string): FastifyReply {
  const body = { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, code, detail };
  return reply.code(status).type('application/problem+json').send(body);
}

/** Everything but "accepted" and "unchanged", as `execute` says it. */
type Refused =
  | { readonly outcome: 'rejected'; readonly rejection: Rejection }
  | { readonly outcome: 'conflict' }
  | { readonly outcome: 'key-reused' };

/** What a command was refused for: 404, 409 or 422 as the code says. */
export function refused(reply: FastifyReply, result: Refused): FastifyReply {
  if (result.outcome === 'conflict')
    return problem(reply, 409, 'conflict', 'Somebody else was faster: read it again, then decide.');
  if (result.outcome === 'key-reused')
    return problem(
      reply,
      422,
      'key-reused',
      'This Idempotency-Key was used for another request: take a new one.',
    );
  const { code, message } = result.rejection;
  return problem(reply, 422, code, message);
}

/** Makes every error of the app a problem; what may heal says when to try again. */
export function answerWithProblems(app: FastifyInstance): void {
  app.addSchema(problemSchema);
  app.setNotFoundHandler((request, reply) =>
    problem(reply, 404, 'not-found', `There is nothing at ${request.method} ${request.url.split('?')[0]}.`),
  );
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (error.validation !== undefined) return problem(reply, 400, 'invalid', `${error.message}.`);
    if (error instanceof OutcomeUnknown)
      return problem(
        reply.header('retry-after', '1'),
        503,
        error.code,
        'It may be stored: repeat it with the same Idempotency-Key.',
      );
    if (error instanceof EventStoreError && error.retryable)
      return problem(
        reply.header('retry-after', '1'),
        503,
        error.code,
        'Nothing was stored: try again in a moment.',
      );
    if (error instanceof ViewBehind)
      return problem(reply.header('retry-after', '1'), 503, 'view/behind', error.message);
    if (error instanceof EventStoreError) return problem(reply, 400, error.code, error.message);
    if (error.statusCode !== undefined && error.statusCode < 500)
      return problem(reply, error.statusCode, 'invalid', error.message);
    request.log.error({ err: error }, 'an answer failed');
    return problem(reply, 500, 'internal', 'This is a fault of the service; the log says which.');
  });
}
