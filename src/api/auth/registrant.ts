import type { FastifyRequest } from 'fastify';
import { v5 as uuidV5 } from 'uuid';
import { user } from '../../domain/user.ts';
import type { CommandHandler, CommandMeta } from '../../eventstore/command.ts';
import type { RequestCommand } from '../meta.ts';
import { confinedTo } from './identity.ts';
import { ownUserId } from './user-id.ts';

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
 * for ever, so the next attempt takes the next id, with a command of its own. Everybody else registers somebody new.
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
    if (state.status === 'abandoned') continue;
    if (generation === 0) return { userId, meta };
    return { userId, meta: { ...meta, commandId: uuidV5(`${meta.commandId} ${generation}`, NAMESPACE) } };
  }
  return { userId: me, meta };
}
