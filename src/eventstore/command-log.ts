import type { Decision } from '../gen/jetledger/eventstore/v1/commit_pb.ts';

/** How many commands of an existing aggregate are remembered; its first command is remembered for ever. */
export const REMEMBERED_COMMANDS = 256;

/** Where a command is stored, and the digest of what it was. */
export interface Remembered {
  readonly version: number;
  readonly fingerprint: Uint8Array;
}

/** The commands that made an aggregate what it is: folded state, so it holds after a restart and on any process. */
export interface CommandLog {
  first: { readonly id: string; readonly remembered: Remembered } | undefined;
  /** The last ones, oldest first. */
  readonly recent: Map<string, Remembered>;
}

/** Of an aggregate that does not exist. */
export function emptyCommandLog(): CommandLog {
  return { first: undefined, recent: new Map() };
}

/** Remembers a stored decision, in place. */
export function rememberCommand(log: CommandLog, decision: Decision, version: number): void {
  const remembered = { version, fingerprint: decision.fingerprint };
  log.first ??= { id: decision.commandId, remembered };
  log.recent.set(decision.commandId, remembered);
  if (log.recent.size > REMEMBERED_COMMANDS) {
    for (const oldest of log.recent.keys()) {
      log.recent.delete(oldest);
      break;
    }
  }
}

/** Where a command id was stored, and whether it was the same command. Without a fingerprint the id alone decides. */
export function recallCommand(
  log: CommandLog,
  id: string,
  fingerprint: Uint8Array | undefined,
): { version: number; same: boolean } | undefined {
  const found = log.recent.get(id) ?? (log.first?.id === id ? log.first.remembered : undefined);
  if (found === undefined) return undefined;
  return { version: found.version, same: sameFingerprint(found.fingerprint, fingerprint) };
}

/** Whether two digests of a command agree; an absent or empty one agrees with any. */
export function sameFingerprint(stored: Uint8Array, given: Uint8Array | undefined): boolean {
  if (given === undefined || given.length === 0 || stored.length === 0) return true;
  return stored.length === given.length && stored.every((byte, i) => byte === given[i]);
}
