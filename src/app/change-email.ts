import { type PendingEmailChange, type UserEvent, type UserState, user } from '../domain/user.ts';
import { normaliseEmail } from '../domain/values.ts';
import type { CommandMeta, ExecuteOptions, Expectation, Loaded } from '../eventstore/index.ts';

import { attemptOf, claimStatusOf, type EmailClaims, isAttemptOf } from './claims.ts';
import { emailTaken, isKeyed, stepMeta, tidyUp, type UseCaseDeps, type UserResult } from './use-cases.ts';

const MAX_ROUNDS = 5;

/** A request on its way. */
interface Change {
  readonly userId: string;
  /** Normalised. */
  readonly address: string;
  readonly emailId: string;
  readonly meta: CommandMeta;
  /** What the caller expects of the user when its change starts. */
  readonly expected: Expectation;
}

/** What the first step comes to: an attempt that is pending, an answer, or something that needs another look. */
type Started =
  | { readonly attempt: string }
  | { readonly answer: UserResult }
  | { readonly again: Expectation };

/** Changes addresses: start, claim, complete, release the old one (protocol 5). */
export function createChangeEmail(deps: UseCaseDeps, claims: EmailClaims) {
  const { handler, runtime, emailKey, settings } = deps;

  return async function changeEmail(
    userId: string,
    email: string,
    meta: CommandMeta,
    options: ExecuteOptions = {},
  ): Promise<UserResult> {
    const earlier = await earlierAnswer(userId, meta);
    if (earlier !== undefined) return earlier;
    const address = normaliseEmail(email) ?? email;
    let expected = options.expected ?? 'any';
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const change: Change = { userId, address, emailId: emailKey.idOf(address), meta, expected };
      const started = await start(change);
      if ('answer' in started) return started.answer;
      const answer = 'attempt' in started ? await finish(change, started.attempt) : undefined;
      if (answer !== undefined) return answer;
      if ('again' in started) expected = started.again;
    }
    const { version } = await handler.load(user, userId);
    return { outcome: 'conflict', category: user.category, id: userId, expected, actual: version };
  };

  /** What an earlier call with this key was answered; its last step may still be missing. */
  async function earlierAnswer(userId: string, meta: CommandMeta): Promise<UserResult | undefined> {
    const earlier = isKeyed(meta) ? await handler.find(user, userId, meta) : undefined;
    if (earlier?.outcome === 'accepted') await tidyUp(() => releasePrevious(userId, earlier.events, meta));
    return earlier;
  }

  /** Makes an attempt of this command the user's pending change, or finds that it is. */
  async function start(change: Change): Promise<Started> {
    const { userId, address, emailId, meta, expected } = change;
    const loaded = await handler.load(user, userId);
    const { version } = loaded;
    const pending = pendingOf(loaded);
    if (pending !== undefined && isAttemptOf(pending.attempt, meta.commandId, emailId)) {
      return { attempt: pending.attempt };
    }
    if (!holds(expected, version)) {
      return {
        answer: { outcome: 'conflict', category: user.category, id: userId, expected, actual: version },
      };
    }
    if (pending !== undefined && runtime.now() - pending.startedAt >= settings.staleClaimMs) {
      return { again: await abandonStale(change, pending, version) };
    }
    const attempt = attemptOf(meta.commandId, emailId, version);
    const command = { type: 'startEmailChange' as const, attempt, email: address, at: runtime.now() };
    // Only at the version that names it can an attempt start, so it starts at most once, for ever.
    const result = await handler.execute(user, userId, command, stepMeta(meta, runtime), {
      expected: version,
    });
    if (result.outcome === 'accepted') return { attempt };
    if (result.outcome !== 'conflict') return { answer: result };
    return typeof expected === 'number' ? { answer: { ...result, expected } } : { again: expected };
  }

  /** Ends another change that was left pending, and says what to expect of the user after that. */
  async function abandonStale(
    change: Change,
    pending: PendingEmailChange,
    version: number,
  ): Promise<Expectation> {
    const { userId, meta, expected } = change;
    const command = abandonment(pending.attempt, 'superseded');
    const options = { expected: version };
    const result = await handler.execute(user, userId, command, stepMeta(meta, runtime), options);
    if (result.outcome !== 'accepted') return expected;
    const claimant = { userId, attempt: pending.attempt };
    await tidyUp(() => claims.release(emailKey.idOf(pending.email), claimant, meta));
    return typeof expected === 'number' ? result.version : expected;
  }

  /** The steps after the start. Undefined when the attempt was ended by somebody else before it claimed. */
  async function finish(change: Change, attempt: string): Promise<UserResult | undefined> {
    const { userId, emailId, meta } = change;
    const claimed = await claims.claim(emailId, { userId, attempt }, meta);
    if (claimed === 'claimed') {
      const command = { type: 'completeEmailChange' as const, attempt, at: runtime.now() };
      const result = await handler.execute(user, userId, command, meta);
      if (result.outcome === 'accepted') await tidyUp(() => releasePrevious(userId, result.events, meta));
      else if (result.outcome !== 'unchanged') await giveUp(change, attempt, 'refused');
      return result;
    }
    const version = await giveUp(change, attempt, claimed);
    // A twin of this call may have completed the change since the first look.
    const twin = await earlierAnswer(userId, meta);
    if (twin !== undefined || claimed === 'ended') return twin;
    return { outcome: 'rejected', rejection: emailTaken(claimed), version };
  }

  /** Fences the attempt, so that no twin can complete it, then releases what it may have claimed. */
  async function giveUp({ userId, emailId, meta }: Change, attempt: string, reason: string): Promise<number> {
    const command = abandonment(attempt, reason);
    const result = await handler.execute(user, userId, command, stepMeta(meta, runtime));
    if (result.outcome !== 'accepted' && result.outcome !== 'unchanged') return 0;
    if (claimStatusOf(result.state, attempt) === 'dead') {
      await tidyUp(() => claims.release(emailId, { userId, attempt }, meta));
    }
    return result.version;
  }

  function abandonment(attempt: string, reason: string) {
    return { type: 'abandonEmailChange' as const, attempt, reason, at: runtime.now() };
  }

  /** Frees the address that a completed change left. By its attempt: the user may have claimed it again since. */
  async function releasePrevious(
    userId: string,
    events: readonly UserEvent[],
    meta: CommandMeta,
  ): Promise<void> {
    for (const event of events) {
      if (event.$typeName !== 'jetledger.user.v1.EmailChanged') continue;
      await claims.release(
        emailKey.idOf(event.previousEmail),
        { userId, attempt: event.previousAttempt },
        meta,
      );
    }
  }
}

function pendingOf({ state }: Loaded<UserState>): PendingEmailChange | undefined {
  return 'pending' in state ? state.pending : undefined;
}

function holds(expected: Expectation, version: number): boolean {
  if (expected === 'any') return true;
  if (typeof expected === 'number') return expected === version;
  return (expected === 'exists') === version > 0;
}
