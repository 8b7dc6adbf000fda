import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { v5 as uuidV5 } from 'uuid';
import { order } from '../../domain/order.ts';
import { user } from '../../domain/user.ts';
import type { CommandHandler, CommandMeta } from '../../eventstore/index.ts';

import type { RequestCommand } from '../meta.ts';
import { sendProblem } from '../problem-reply.ts';
import type { BusinessCode } from '../problems.ts';
import { accessOf, type Own } from './access.ts';
import { confinedTo, isOwnUserId, ownUserId } from './identity.ts';

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
    const since = performance.now();
    if (me === undefined || (await isOwn(request, access.own, me, handler))) return;
    if (access.own === 'order') await hideTheDifference(request, handler, since);
    return sendProblem(request, reply, { code: ABSENT[access.own] });
  });
}

const REFUSED_AFTER_MS = 25;

/**
 * What is known of a foreign order is at hand, and that there is none has to be asked for. So both are asked for, which
 * fails alike, and answered when the slower of the two would have been.
 */
async function hideTheDifference(
  request: FastifyRequest,
  handler: CommandHandler,
  since: number,
): Promise<void> {
  await handler.load(order, textIn(request.params, 'id'));
  await delay(Math.max(0, since + REFUSED_AFTER_MS - performance.now()));
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

const MAX_GENERATIONS = 100;
// Fixed for ever: the command ids of later attempts derive from it.
const NAMESPACE = '5a1d7c52-9b0e-4c0b-8f0e-6a3c2f7e41d9';

/** As which user a registration goes, and with which command. */
export interface Registrant {
  readonly userId: string;
  readonly meta: CommandMeta;
}

/**
 * A user's token registers itself: its user's id is the token's user. A registration that was given up bars its id
 * for ever, and so does a person who was forgotten: the next attempt takes the next id, with a command of its own. Everybody else registers somebody new.
 * @throws LogUnavailable
 */
export async function registrantOf(
  request: FastifyRequest,
  handler: CommandHandler,
  { meta, creationId }: RequestCommand,
): Promise<Registrant> {
  const me = confinedTo(request);
  if (me === undefined) return { userId: creationId, meta };
  for (let generation = 0; generation < MAX_GENERATIONS; generation++) {
    const userId = ownUserId(me, generation);
    const { state } = await handler.load(user, userId);
    if (state.status === 'abandoned' || state.status === 'forgotten') continue;
    if (generation === 0) return { userId, meta };
    return { userId, meta: { ...meta, commandId: uuidV5(`${meta.commandId} ${generation}`, NAMESPACE) } };
  }
  return { userId: me, meta };
}
