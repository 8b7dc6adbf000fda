import type { FastifyInstance, FastifyRequest } from 'fastify';
import { order } from '../../domain/order.ts';
import type { CommandHandler } from '../../eventstore/command.ts';
import { sendProblem } from '../problem-reply.ts';
import type { BusinessCode } from '../problems.ts';
import { accessOf, type Own } from './access.ts';
import { confinedTo } from './identity.ts';
import { isOwnUserId } from './user-id.ts';

// Whose an order is never changes, so old knowledge of it is good; that there is none is always confirmed.
const OWNER_MAX_AGE_MS = 24 * 3_600_000;

/**
 * Lets a user's token reach only its own user and orders. Whatever is foreign is answered like what is missing, and
 * before anything else is looked at, so that the answers do not tell the two apart.
 */
export function confineCallers(app: FastifyInstance, handler: CommandHandler): void {
  app.addHook('preHandler', async (request, reply) => {
    const access = accessOf(request);
    if (request.is404 || access === 'public' || access.own === undefined) return;
    const me = confinedTo(request);
    if (me === undefined || (await isOwn(request, access.own, me, handler))) return;
    return sendProblem(request, reply, { code: ABSENT[access.own] });
  });
}

const ABSENT: Readonly<Record<Own, BusinessCode>> = {
  itself: 'user/not-found',
  user: 'user/not-found',
  order: 'order/not-found',
  'user in body': 'user/not-found',
  'user in query': 'user/not-found',
};

async function isOwn(
  request: FastifyRequest,
  own: Own,
  me: string,
  handler: CommandHandler,
): Promise<boolean> {
  switch (own) {
    case 'itself':
      return true;
    case 'user':
      return isOwnUserId(me, textIn(request.params, 'id'));
    case 'user in body':
      return isOwnUserId(me, textIn(request.body, 'userId'));
    case 'user in query':
      return isOwnUserId(me, textIn(request.query, 'user'));
    case 'order': {
      const { state } = await handler.load(order, textIn(request.params, 'id'), {
        maxAgeMs: OWNER_MAX_AGE_MS,
      });
      return state.status !== 'absent' && isOwnUserId(me, state.userId);
    }
  }
}

/** A field that the route's schema has checked. */
function textIn(part: unknown, name: string): string {
  const value = (part as Readonly<Record<string, unknown>> | null)?.[name];
  return typeof value === 'string' ? value : '';
}
