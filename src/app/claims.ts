import { createHash } from 'node:crypto';
import { type EmailClaim, email } from '../domain/email.ts';
import { type UserState, user } from '../domain/user.ts';
import type { CommandMeta } from '../eventstore/index.ts';

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
 * What an attempt is to its user:
 * `owner`: the user's address is claimed by it; `open`: it may still become that; `dead`: it never can, for ever.
 */
export type ClaimStatus = 'owner' | 'open' | 'dead';

/** @param state confirmed with the leader after the attempt's claim was seen; a stale one calls the living dead */
export function claimStatusOf(state: UserState, attempt: string): ClaimStatus {
  // A registration claims before its user exists, a change only after its start is in the log.
  if (!('emailAttempt' in state)) return state.status === 'absent' ? 'open' : 'dead';
  if (state.emailAttempt === attempt) return 'owner';
  return state.pending?.attempt === attempt ? 'open' : 'dead';
}

/**
 * What became of a claim. `taken`: another user has the address; `busy`: somebody is about to get it, or too many try
 * at once; `ended`: this attempt was given up before and can never claim again.
 */
export type ClaimOutcome = 'claimed' | 'taken' | 'busy' | 'ended';

/** Claims of addresses, each by an attempt of a user (protocols 4 and 5). */
export interface Claims {
  /** Claims an address, taking it from an attempt that is dead or was given up. Safe to repeat. */
  claim(emailId: string, claimant: Claimant, meta: CommandMeta): Promise<ClaimOutcome>;
  /** Gives up the claim of an attempt that can never become its user's; leaves every other claim alone. */
  releaseDead(emailId: string, claimant: Claimant, meta: CommandMeta): Promise<void>;
  /** Gives up the claim of an attempt that the caller knows to be dead. @param actor default: who asked */
  release(emailId: string, claimant: Claimant, meta: CommandMeta, actor?: string): Promise<void>;
  /** Abandons and releases whatever claim of the address is stale, without a new claimant; see `UseCases`. */
  abandonStale(emailId: string): Promise<'settled' | 'pending'>;
}

/** The actor of what is done to somebody else's attempt: the log does not link the two persons. */
const TAKEOVER = 'email-takeover';
const MAX_TAKEOVERS = 4;

/** @see Claims */
export function createClaims(deps: UseCaseDeps): Claims {
  const { handler, runtime, settings } = deps;

  const claim: Claims['claim'] = async (emailId, claimant, meta) => {
    for (let round = 0; round < MAX_TAKEOVERS; round++) {
      const command = { type: 'claim' as const, ...claimant, at: runtime.now() };
      const result = await handler.execute(email, emailId, command, stepMeta(meta, runtime));
      if (result.outcome === 'accepted' || result.outcome === 'unchanged') return 'claimed';
      if (result.outcome !== 'rejected') continue;
      if (result.rejection.code === 'email/attempt-released') return 'ended';
      const evicted = await evict(emailId, holderOf(result.rejection.details), meta);
      if (evicted !== 'freed') return evicted;
    }
    return 'busy';
  };

  /** Takes the address from its holder, unless that one has it or may still get it in time. */
  async function evict(
    emailId: string,
    holder: EmailClaim,
    meta: CommandMeta,
  ): Promise<'freed' | 'taken' | 'busy'> {
    let { state } = await handler.load(user, holder.userId);
    if (claimStatusOf(state, holder.attempt) === 'open') {
      if (runtime.now() - holder.claimedAt < settings.staleClaimMs) return 'busy';
      const result = await abandon(holder, state.status === 'absent', meta);
      // A refusal means that the holder moved on meanwhile: it decides again from what is now.
      state =
        result.outcome === 'accepted' || result.outcome === 'unchanged'
          ? result.state
          : (await handler.load(user, holder.userId)).state;
    }
    const status = claimStatusOf(state, holder.attempt);
    if (status === 'open') return 'busy';
    if (status === 'owner') return 'taken';
    await release(emailId, holder, meta, TAKEOVER);
    return 'freed';
  }

  /** Fences an open attempt, so that its late last step is refused; only then may its claim be released. */
  function abandon({ userId, attempt }: Claimant, absent: boolean, meta: CommandMeta) {
    const at = runtime.now();
    const command = absent
      ? { type: 'abandonRegistration' as const, userId, emailAttempt: attempt, at }
      : { type: 'abandonEmailChange' as const, attempt, reason: 'stale', at };
    return handler.execute(user, userId, command, stepMeta(meta, runtime, TAKEOVER));
  }

  const release: Claims['release'] = async (emailId, { userId, attempt }, meta, actor) => {
    const command = { type: 'release' as const, userId, attempt, at: runtime.now() };
    await handler.execute(email, emailId, command, stepMeta(meta, runtime, actor));
  };

  const releaseDead: Claims['releaseDead'] = async (emailId, claimant, meta) => {
    const { state } = await handler.load(user, claimant.userId);
    if (claimStatusOf(state, claimant.attempt) === 'dead') await release(emailId, claimant, meta);
  };

  const abandonStale: Claims['abandonStale'] = async (emailId) => {
    const { state } = await handler.load(email, emailId);
    if (state.status === 'free') return 'settled';
    const outcome = await evict(emailId, state.claim, { commandId: runtime.id(), actor: TAKEOVER });
    return outcome === 'busy' ? 'pending' : 'settled';
  };

  return { claim, release, releaseDead, abandonStale };
}

function holderOf(details: Readonly<Record<string, string | number>> | undefined): EmailClaim {
  const { userId, attempt, claimedAt } = details ?? {};
  if (typeof userId !== 'string' || typeof attempt !== 'string' || typeof claimedAt !== 'number') {
    throw new TypeError('The rejection email/taken names no holder.');
  }
  return { userId, attempt, claimedAt };
}
