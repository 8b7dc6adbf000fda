import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { accessOf } from '../auth/access.ts';
import { sendProblem } from '../problem-reply.ts';

export interface PaceSettings {
  /** Requests of one client per window; 0 = as many as it likes. */
  readonly max: number;
  readonly windowMs: number;
}

/** Clients that are counted at once; the ones that were not heard of for longest are forgotten first. */
const MAX_CLIENTS = 10_000;

interface Count {
  readonly max: number;
  readonly remaining: number;
  readonly ttlInSeconds: number;
  readonly isExceeded: boolean;
}

/**
 * Limits the pace of each client: of a user where a token tells who it is, else of an address. Public routes are not
 * counted. Call where the hooks belong in the order of all; the counting itself is loaded when the service starts.
 */
export function limitPace(app: FastifyInstance, { max, windowMs }: PaceSettings): void {
  if (max === 0) return;
  app.register(rateLimit, { global: false, max, timeWindow: windowMs, cache: MAX_CLIENTS });
  app.after(() => {
    const byAddress = app.createRateLimit();
    const byPrincipal = app.createRateLimit({ keyGenerator: ({ identity }) => identity?.principal ?? '' });
    app.addHook('onRequest', async (request, reply) => {
      if (accessOf(request) === 'public') return;
      const count = await (request.identity === null ? byAddress : byPrincipal)(request);
      if (!count.isAllowed) return answerCount(request, reply, count);
    });
  });
}

function answerCount(request: FastifyRequest, reply: FastifyReply, count: Count): FastifyReply | undefined {
  const { max, remaining, ttlInSeconds, isExceeded } = count;
  reply
    .header('ratelimit-limit', String(max))
    .header('ratelimit-remaining', String(remaining))
    .header('ratelimit-reset', String(ttlInSeconds));
  if (!isExceeded) return undefined;
  return sendProblem(request, reply, { code: 'request/rate-limited', retryAfter: Math.max(1, ttlInSeconds) });
}
