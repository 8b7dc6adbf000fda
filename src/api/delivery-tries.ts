import type { FastifyReply, FastifyRequest } from 'fastify';
import type Type from 'typebox';
import type { DeliveryTry } from './deps.ts';
import { linkToNext } from './reading.ts';
import { DEFAULT_LIMIT } from './schemas/queries.ts';
import type { DeliveriesQuery } from './schemas/webhook.ts';

/** Sends a page of the tries of a receiver. @param tries all that are kept, the newest first */
export function sendTries(
  request: FastifyRequest<{ Querystring: Type.Static<typeof DeliveriesQuery> }>,
  reply: FastifyReply,
  tries: readonly DeliveryTry[],
) {
  const { outcome, limit = DEFAULT_LIMIT, cursor } = request.query;
  const before = Number(cursor ?? Number.MAX_SAFE_INTEGER);
  const found = tries.filter(
    ({ sequence, taken }) => sequence < before && (outcome === undefined || taken === (outcome === 'taken')),
  );
  const page = found.slice(0, limit);
  const next = found.length > limit ? String(page.at(-1)?.sequence) : undefined;
  if (next !== undefined) linkToNext(request, reply, 'cursor', next);
  return reply.send({ items: page.map(deliveryBody), ...(next !== undefined && { next }) });
}

/** A try as clients see it. */
export function deliveryBody({
  id: event,
  type,
  subject,
  attempt,
  at,
  durationMs,
  taken,
  status,
  error,
  answer,
}: DeliveryTry) {
  return {
    ...{ event, type, subject, attempt, at: new Date(at).toISOString(), durationMs },
    outcome: taken ? ('taken' as const) : ('failed' as const),
    ...{ status, error, answer },
  };
}
