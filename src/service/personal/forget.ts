import { createUseCases } from '../../app/create-use-cases.ts';
import type { UserResult } from '../../app/use-cases.ts';
import { type UserState, user } from '../../domain/user.ts';
import { createHandler, systemRuntime } from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { useCaseSettings } from '../command-path.ts';
import { type Nats, quietLogAndPersonal } from '../open.ts';

/** Persons who are to be forgotten, for a command of a terminal: the service that runs does the rest. */
export interface ForgettingDesk {
  /** Asks for it. @throws LogUnavailable, OutcomeUnknown, KeysUnavailable */
  ask(userId: string, reason: string): Promise<UserResult>;
  /** The user as the log says now. @throws LogUnavailable, KeysUnavailable */
  look(userId: string): Promise<UserState>;
}

/** @see ForgettingDesk @throws as `openLog` */
export async function openForgettingDesk(config: Config, nats: Nats): Promise<ForgettingDesk> {
  const { log, personal } = await quietLogAndPersonal(config, nats);
  const runtime = systemRuntime;
  const handler = createHandler({ log, runtime, settings: config.commands, personal });
  const settings = useCaseSettings(config);
  const { emailKey } = nats;
  const useCases = createUseCases({ handler, log, runtime, emailKey, personal, settings });
  return {
    ask: (userId, reason) =>
      useCases.requestForgetting(userId, reason, { commandId: runtime.id(), actor: 'operator' }),
    look: async (userId) => (await handler.load(user, userId)).state,
  };
}
