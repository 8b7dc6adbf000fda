import { createHash } from 'node:crypto';
import { email } from '../domain/email.ts';
import { type UserState, user } from '../domain/user.ts';
import {
  type ClaimStatus,
  type Claims,
  type CommandMeta,
  createClaims,
  type HeldClaim,
} from '../eventstore/index.ts';

import { stepMeta, type UseCaseDeps } from './use-cases.ts';

/** One try of a user to get an address. */
export interface Claimant {
  readonly userId: string;
  readonly attempt: string;
}

const BASE_BYTES = 16;

/**
 * Names an attempt by the command, the address and the user's version that it starts from (0 for a registration).
 * The command makes a retry find its own attempt; the address keeps one attempt from ever meaning two addresses; the
 * version makes an attempt that ended different from the next one of the same command.
 */
export function attemptOf(commandId: string, emailId: string, version: number): string {
  return `${baseOf(commandId, emailId)}-${version}`;
}

/** Whether an attempt belongs to this command and address, from whichever version it started. */
export function isAttemptOf(attempt: string, commandId: string, emailId: string): boolean {
  return attempt.slice(0, attempt.lastIndexOf('-')) === baseOf(commandId, emailId);
}

function baseOf(commandId: string, emailId: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([commandId, emailId]), 'utf8')
    .digest();
  return digest.subarray(0, BASE_BYTES).toString('base64url');
}

/**
 * What an attempt is to its user.
 * @param state confirmed with the leader after the attempt's claim was seen; a stale one calls the living dead
 */
export function claimStatusOf(state: UserState, attempt: string): ClaimStatus {
  // A registration claims before its user exists, a change only after its start is in the log.
  if (!('emailAttempt' in state)) return state.status === 'absent' ? 'open' : 'dead';
  if (state.emailAttempt === attempt) return 'owner';
  return state.pending?.attempt === attempt ? 'open' : 'dead';
}

/** The actor of what is done to somebody else's attempt: the log does not link the two persons. */
const TAKEOVER = 'email-takeover';

/** Claims of addresses, each by an attempt of a user (protocols 4 and 5). */
export type EmailClaims = Claims<Claimant>;

/** @see EmailClaims */
export function createEmailClaims({ handler, runtime, settings }: UseCaseDeps): EmailClaims {
  const stateOf = async (userId: string): Promise<UserState> => (await handler.load(user, userId)).state;

  async function abandon({ userId, attempt }: Claimant, meta: CommandMeta): Promise<ClaimStatus> {
    const at = runtime.now();
    const isAbsent = (await stateOf(userId)).status === 'absent';
    const command = isAbsent
      ? { type: 'abandonRegistration' as const, userId, emailAttempt: attempt, at }
      : { type: 'abandonEmailChange' as const, attempt, reason: 'stale', at };
    const result = await handler.execute(user, userId, command, stepMeta(meta, runtime, TAKEOVER));
    // A refusal means that the holder moved on meanwhile: it decides again from what is now.
    const isDone = result.outcome === 'accepted' || result.outcome === 'unchanged';
    return claimStatusOf(isDone ? result.state : await stateOf(userId), attempt);
  }

  return createClaims<Claimant>(
    {
      abandon,
      statusOf: async ({ userId, attempt }) => claimStatusOf(await stateOf(userId), attempt),
      claim: async (emailId, claimant, meta) => {
        const command = { type: 'claim' as const, ...claimant, at: runtime.now() };
        // Nobody has had most addresses; where somebody has, this costs a conflict.
        const options = { assumeNew: true };
        const result = await handler.execute(email, emailId, command, stepMeta(meta, runtime), options);
        if (result.outcome === 'accepted' || result.outcome === 'unchanged') return 'claimed';
        if (result.outcome !== 'rejected') return 'retry';
        const { code, details } = result.rejection;
        return code === 'email/attempt-released' ? 'ended' : holderOf(details);
      },
      release: async (emailId, { userId, attempt }, meta, actor) => {
        const command = { type: 'release' as const, userId, attempt, at: runtime.now() };
        await handler.execute(email, emailId, command, stepMeta(meta, runtime, actor));
      },
      holder: async (emailId) => {
        const { state } = await handler.load(email, emailId);
        return state.status === 'free' ? undefined : holderOf({ ...state.claim });
      },
    },
    runtime,
    { ...settings, takeoverActor: TAKEOVER },
  );
}

function holderOf(details: Readonly<Record<string, string | number>> | undefined): HeldClaim<Claimant> {
  const { userId, attempt, claimedAt } = details ?? {};
  if (typeof userId !== 'string' || typeof attempt !== 'string' || typeof claimedAt !== 'number') {
    throw new TypeError('The rejection email/taken names no holder.');
  }
  return { claimant: { userId, attempt }, claimedAt };
}
