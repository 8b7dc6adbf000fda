import { createHash } from 'node:crypto';
import type { UserState } from '../domain/user-state.ts';

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
export type Standing = 'owner' | 'open' | 'dead';

/** @param state confirmed with the leader after the attempt's claim was seen; a stale one calls the living dead */
export function standingOf(state: UserState, attempt: string): Standing {
  // A registration claims before its user exists, a change only after its start is in the log.
  if (!('emailAttempt' in state)) return state.status === 'absent' ? 'open' : 'dead';
  if (state.emailAttempt === attempt) return 'owner';
  return state.pending?.attempt === attempt ? 'open' : 'dead';
}
