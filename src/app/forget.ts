import { type HeldAddress, isRegistered, type RegisteredUser, type UserEvent, user } from '../domain/user.ts';
import { normaliseEmail } from '../domain/values.ts';
import { codecOf, readStream } from '../eventstore/index.ts';
import type { UseCaseDeps, UseCaseRejection, UseCases } from './use-cases.ts';

/** Has persons forgotten: takes the request, and does it once it is due (protocol 37). */
export function createForget(deps: UseCaseDeps): Pick<UseCases, 'requestForgetting' | 'forgetWhenDue'> {
  const { handler, runtime, emailKey, personal, log, settings } = deps;

  /** Whether a text of the user is stored in plain, and so for ever. */
  async function isPlain(userId: string): Promise<boolean> {
    const codec = codecOf<UserEvent>(user);
    for await (const { decisions } of readStream(log, { category: user.category, id: userId }))
      for (const stored of decisions.flatMap(({ events }) => events))
        if (codec.persons(codec.decode(stored, userId), userId).length > stored.sealed.length) return true;
    return false;
  }

  function claimsOf({ email, emailAttempt, pending }: RegisteredUser): HeldAddress[] {
    const held = [{ email, attempt: emailAttempt }, ...(pending === undefined ? [] : [pending])];
    // Where the key is gone already nobody knows the address; whoever wants it finds that its attempt is dead.
    return held
      .filter((each) => normaliseEmail(each.email) !== undefined)
      .map(({ email: address, attempt }) => ({ emailId: emailKey.idOf(address), attempt }));
  }

  return {
    requestForgetting: async (userId, reason, meta, options) => {
      const { state, version } = await handler.load(user, userId);
      const isNew = isRegistered(state) && state.forgetting === undefined;
      if (isNew && (!personal.encrypt || (await isPlain(userId))))
        return { outcome: 'rejected', rejection: NOT_ENCRYPTED, version };
      const at = runtime.now();
      const command = { type: 'requestForgetting', reason, dueAt: at + (settings.graceMs ?? 0), at } as const;
      return handler.execute(user, userId, command, meta, options);
    },
    forgetWhenDue: async (userId, at) => {
      const { state, version } = await handler.load(user, userId);
      if (state.status === 'forgotten') return state.erasedAt === undefined ? 'not-erased' : 'settled';
      // Called off, or asked for again with a later end, which has a timer of its own.
      if (!isRegistered(state) || state.forgetting === undefined || at < state.forgetting.dueAt)
        return 'settled';
      const command = { type: 'forget', claims: claimsOf(state), at } as const;
      const meta = { commandId: runtime.id(), actor: 'forgetting' };
      // The claims are those of this version.
      const result = await handler.execute(user, userId, command, meta, { expected: version });
      return result.outcome === 'conflict' ? 'overtaken' : 'settled';
    },
  };
}

const NOT_ENCRYPTED: UseCaseRejection<'user/not-encrypted'> = {
  code: 'user/not-encrypted',
  message:
    'Texts of this person are stored in plain, for ever; restore the log with --encrypt, then ask again.',
};
