import { create } from '@bufbuild/protobuf';
import { type EmailCommand, type EmailState, email } from '../../../src/domain/email.ts';
import { type UserCommand, type UserState, user } from '../../../src/domain/user.ts';
import type { CommandHandler, CommandMeta } from '../../../src/eventstore/command.ts';
import { EmailReleasedSchema } from '../../../src/gen/jetledger/email/v1/email_pb.ts';
import { EmailChangedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { emailKey, type Plant } from './email-world.ts';

/** The fences of protocols 4 and 5, each switched off. The simulation must notice every one. */
export const plants: Readonly<Record<string, Plant>> = {
  'a release that ignores the attempt': () => deciding({ email: { ...email, decide: releaseAnybody } }),
  'a completion that does not ask whether the attempt is pending': () =>
    deciding({ user: completeAnything() }),
  'an abandoned registration that can still be completed': () =>
    deciding({ user: { ...user, decide: forgetful } }),
  'a takeover that releases without abandoning the registration': () => skipping('abandonRegistration'),
  'a takeover that releases without abandoning the change': () => skipping('abandonEmailChange'),
  'liveness judged from a stale state': () => believingOldLoads,
  'an old address that is released before the change is completed': () => releasingTooEarly,
  'a claim that is never released': () => skipping('release'),
};

type Command = UserCommand | EmailCommand;

/** A decider in place of the honest one of its category. */
type Spoilt = { readonly user: typeof user } | { readonly email: typeof email };

/** One call of `CommandHandler.execute`, its types forgotten. */
interface Call {
  readonly category: string;
  readonly id: string;
  readonly command: Command;
  readonly meta: CommandMeta;
}

/** Puts something between the use cases and their handler. */
function intercepting(
  handler: CommandHandler,
  on: (call: Call, next: (spoilt?: Spoilt) => Promise<unknown>) => Promise<unknown>,
): CommandHandler {
  return {
    ...handler,
    execute: (decider, id, command, meta, options) => {
      const next = (spoilt?: Spoilt): Promise<unknown> => {
        if (spoilt === undefined) return handler.execute(decider, id, command, meta, options);
        return 'user' in spoilt
          ? handler.execute(spoilt.user, id, command as UserCommand, meta, options)
          : handler.execute(spoilt.email, id, command as EmailCommand, meta, options);
      };
      // Whatever comes back has the types of the decider that went in.
      return on(
        { category: decider.category, id, command: command as Command, meta },
        next,
      ) as Promise<never>;
    },
  };
}

function deciding(spoilt: Spoilt): ReturnType<Plant> {
  const category = 'user' in spoilt ? user.category : email.category;
  return (handler) =>
    intercepting(handler, (call, next) => next(call.category === category ? spoilt : undefined));
}

function releaseAnybody(command: EmailCommand, state: EmailState) {
  if (command.type !== 'release' || state.status !== 'claimed') return email.decide(command, state);
  const { userId, attempt } = state.claim;
  return [create(EmailReleasedSchema, { userId, attempt, releasedAt: BigInt(command.at) })];
}

function forgetful(command: UserCommand, state: UserState) {
  const late = command.type === 'register' && state.status === 'abandoned';
  return user.decide(command, late ? user.initial : state);
}

/** Remembers for each attempt which address it was started for, since one that is not pending has none. */
function completeAnything(): typeof user {
  const addresses = new Map<string, string>();
  const decide = (command: UserCommand, state: UserState) => {
    if (command.type === 'startEmailChange') addresses.set(command.attempt, command.email);
    const outcome = user.decide(command, state);
    if (command.type !== 'completeEmailChange' || !('code' in outcome) || !('email' in state)) return outcome;
    const address = addresses.get(command.attempt);
    if (outcome.code !== 'user/email-change-not-pending' || address === undefined) return outcome;
    const { attempt, at } = command;
    const previous = { previousEmail: state.email, previousAttempt: state.emailAttempt };
    return [create(EmailChangedSchema, { attempt, email: address, ...previous, changedAt: BigInt(at) })];
  };
  return { ...user, decide };
}

/** Answers a command as if it had been done. */
function skipping(type: Command['type']): ReturnType<Plant> {
  return (handler) =>
    intercepting(handler, async (call, next) => {
      if (call.command.type !== type) return next();
      const { version, state } = await handler.load(user, call.id);
      return { outcome: 'unchanged', version, state: pretendedAfter(state) };
    });
}

function pretendedAfter(state: UserState): UserState {
  return 'pending' in state ? { ...state, pending: undefined } : { status: 'abandoned' };
}

/** Believes the first state that it ever loaded of a user. */
function believingOldLoads(handler: CommandHandler): CommandHandler {
  const seen = new Map<string, Promise<unknown>>();
  return {
    ...handler,
    load: (decider, id, options) => {
      const known = seen.get(id) ?? handler.load(decider, id, options);
      seen.set(id, known);
      known.catch(() => seen.delete(id));
      return known as Promise<never>;
    },
  };
}

const releasingTooEarly: ReturnType<Plant> = (handler, runtime) =>
  intercepting(handler, async (call, next) => {
    const { command, id, meta } = call;
    if (command.type !== 'completeEmailChange') return next();
    const { state } = await handler.load(user, id);
    if ('email' in state) {
      const release = { type: 'release' as const, userId: id, attempt: state.emailAttempt, at: command.at };
      await handler.execute(email, emailKey.idOf(state.email), release, { ...meta, commandId: runtime.id() });
    }
    return next();
  });
