import { user } from '../domain/user.ts';
import { normaliseEmail } from '../domain/values.ts';
import type { CommandMeta } from '../eventstore/index.ts';

import { attemptOf, type EmailClaims } from './claims.ts';
import {
  emailTaken,
  isKeyed,
  type Registration,
  tidyUp,
  type UseCaseDeps,
  type UserResult,
} from './use-cases.ts';

/** Registers users: claims the address, then creates the user (protocol 4). */
export function createRegister(deps: UseCaseDeps, claims: EmailClaims) {
  const { handler, runtime, emailKey } = deps;

  /** The answer of an earlier call with this key: the address may have moved on since, and is not claimed again. */
  async function earlierAnswer(userId: string, meta: CommandMeta): Promise<UserResult | undefined> {
    return isKeyed(meta) ? handler.find(user, userId, meta) : undefined;
  }

  return async function register(input: Registration, meta: CommandMeta): Promise<UserResult> {
    const { userId, name } = input;
    const earlier = await earlierAnswer(userId, meta);
    if (earlier !== undefined) return earlier;

    const address = normaliseEmail(input.email) ?? input.email;
    const emailId = emailKey.idOf(address);
    const emailAttempt = attemptOf(meta.commandId, emailId, 0);
    const command = {
      type: 'register' as const,
      userId,
      email: address,
      name,
      emailAttempt,
      at: runtime.now(),
    };
    // What no state would accept is refused before it claims anything.
    const possible = user.decide(command, user.initial);
    if ('code' in possible) return { outcome: 'rejected', rejection: possible, version: 0 };

    const key = makeKey(deps.personal, userId);
    const claimant = { userId, attempt: emailAttempt };
    const claimed = await claims.claim(emailId, claimant, meta);
    if (claimed !== 'claimed') {
      const rejection = emailTaken(claimed);
      // A twin of this call may have finished, and the address moved on, since the first look.
      return (await earlierAnswer(userId, meta)) ?? { outcome: 'rejected', rejection, version: 0 };
    }
    await key;
    const result = await handler.execute(user, userId, command, meta, { assumeNew: true });
    if (result.outcome !== 'accepted') await tidyUp(() => claims.releaseDead(emailId, claimant, meta));
    return result;
  };
}

/** The person's key is stored while the address is claimed; whatever fails here is told where the key is needed. */
async function makeKey(personal: UseCaseDeps['personal'], userId: string): Promise<void> {
  if (!personal.encrypt) return;
  await personal
    .ring()
    .fetch({ persons: new Set([userId]), how: 'make' })
    .catch(() => undefined);
}
