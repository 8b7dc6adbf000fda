import { encodeCommit } from '../codec/stored-commit.ts';
import {
  CommitTooLarge,
  EventStoreError,
  LogUnavailable,
  OutcomeUnknown,
  PermissionDenied,
} from '../errors.ts';
import type { AppendAllResult, AppendEntry, AppendResult, Guard } from '../log.ts';
import { backoffMs, type Runtime } from '../runtime.ts';
import { checkStream, keyOf, type StreamRef } from '../stream.ts';

/** One commit on its way to the log; every attempt sends exactly the same. */
export interface OutgoingCommit extends AppendEntry {
  /** The encoded commit. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What one attempt to publish came to. */
export type PublishOutcome =
  | {
      readonly ok: true /** Position of the first commit; the others follow without a gap. */;
      readonly seq: number;
    }
  /** The server that answers holds another version than expected. */
  | { readonly conflict: true }
  /** The server that answers (`byServer`), or the lack of one, said no: it did not store THIS attempt and never will. */
  | {
      readonly refused: string;
      readonly retryable: boolean;
      readonly byServer?: boolean;
      readonly cause?: unknown;
    }
  /** Anything else: this attempt may be stored, now or later. */
  | { readonly noAnswer: true; readonly cause?: unknown };

/** The calls that protocol 2 needs of a server. */
export interface AppendTransport {
  /**
   * One attempt to store all or none, and only while the guards hold, given up after `timeoutMs`. Does not reject: what
   * is not certain is `noAnswer`.
   */
  publish(
    outgoing: readonly OutgoingCommit[],
    timeoutMs: number,
    guards?: readonly Guard[],
  ): Promise<PublishOutcome>;
  /**
   * The first commit of the aggregate with a higher version than `version`, as the leader sees it.
   * @throws LogUnavailable when the leader does not answer within `timeoutMs`
   */
  commitsAfter(
    stream: StreamRef,
    version: number,
    timeoutMs: number,
  ): Promise<{ readonly commitId: string; readonly version: number } | undefined>;
  /**
   * The last versions of aggregates, by `keyOf`, from one state of some replica; one that it does not know is missing.
   * @throws LogUnavailable
   */
  lastVersions(streams: readonly StreamRef[], timeoutMs: number): Promise<ReadonlyMap<string, number>>;
}

export interface ResolveOptions {
  readonly runtime: Runtime;
  /** Milliseconds after which the outcome is called unknown (or the log unavailable). */
  readonly deadlineMs: number;
  /** Milliseconds that one attempt may take. */
  readonly attemptTimeoutMs: number;
  /** Largest commit that the server takes, in bytes, without headers. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /**
   * Several servers keep the log. For seconds two of them may believe to lead it, both get what is published, and what
   * one refuses the other stores: a "no" is that server's only.
   */
  readonly replicated?: boolean | undefined;
  /** Told each time that something is sent again because no answer came. */
  readonly repeated?: (() => void) | undefined;
}

/** The server takes no larger batch. */
const MAX_ENTRIES = 1_000;
const BACKOFF_BASE_MS = 20;
const BACKOFF_CAP_MS = 500;

/**
 * Appends commits, all or none, and says what became of them (protocol 2).
 *
 * Absence is never evidence: a commit that was sent without an answer may land seconds later. So it is sent again,
 * the same bytes with the same expectation, until the place behind `expected` is taken: by this commit (stored) or
 * by another one (it can never be stored). Sending twice cannot store twice, because both expect the same version.
 * @throws InvalidId, CommitTooLarge before anything is sent; LogUnavailable and PermissionDenied when nothing was stored;
 *   OutcomeUnknown; EventStoreError `log/refused` when the server refuses the commit for good
 */
export async function appendResolved(
  transport: AppendTransport,
  entries: readonly AppendEntry[],
  options: ResolveOptions,
  guards: readonly Guard[] = [],
): Promise<AppendAllResult> {
  return resolveAppend(
    transport,
    { outgoing: encodeAll(entries, guards, options.maxBytes), guards },
    options,
  );
}

/** What is to be stored, and on which condition. */
interface Guarded {
  readonly outgoing: readonly OutgoingCommit[];
  readonly guards: readonly Guard[];
}

async function resolveAppend(
  transport: AppendTransport,
  guarded: Guarded,
  options: ResolveOptions,
): Promise<AppendAllResult> {
  const { outgoing, guards } = guarded;
  const { runtime, deadlineMs, attemptTimeoutMs, replicated = false } = options;
  const started = runtime.now();
  const attemptMs = () => boundedMs(started + deadlineMs - runtime.now(), attemptTimeoutMs);
  let doubt = false;
  let reason: unknown;
  for (let attempt = 0; ; attempt++) {
    const answer = await transport.publish(outgoing, attemptMs(), guards);
    if ('ok' in answer) return storedAt(outgoing, answer.seq);
    doubt ||= replicated && mayBeStoredElsewhere(answer);
    if (!mayBeRepeated(answer)) {
      if (!doubt) return finalAnswer(transport, guarded, answer, attemptMs());
      const settled = await settle(transport, guarded, attemptMs());
      if (settled !== undefined) return settled;
    }
    doubt ||= 'noAnswer' in answer;
    reason = reasonOf(answer) ?? reason;

    const pauseMs = backoffMs(runtime, attempt, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    const waitedMs = runtime.now() - started;
    if (waitedMs + pauseMs >= deadlineMs) {
      if (doubt) throw new OutcomeUnknown(namesOf(outgoing), waitedMs, reason);
      throw new LogUnavailable(`appending to ${namesOf(outgoing)}`, reason);
    }
    await runtime.sleep(pauseMs);
    if ('noAnswer' in answer) options.repeated?.();
  }
}

const namesOf = (outgoing: readonly OutgoingCommit[]): string =>
  outgoing.map(({ stream }) => keyOf(stream)).join(', ');

type Failure = Exclude<PublishOutcome, { ok: true }>;

const mayBeRepeated = (answer: Failure): boolean =>
  'noAnswer' in answer || ('refused' in answer && answer.retryable);

const mayBeStoredElsewhere = (answer: Failure): boolean =>
  'conflict' in answer || ('refused' in answer && answer.byServer === true && answer.retryable);

const reasonOf = (answer: Failure): unknown =>
  'conflict' in answer ? undefined : (answer.cause ?? ('refused' in answer ? answer.refused : undefined));

const storedAt = (outgoing: readonly OutgoingCommit[], first: number): AppendAllResult => ({
  appended: true,
  versions: outgoing.map((_, index) => first + index),
});

/** What a "no" means when no earlier attempt can have been stored. */
async function finalAnswer(
  transport: AppendTransport,
  guarded: Guarded,
  answer: Failure,
  timeoutMs: number,
): Promise<AppendAllResult> {
  const { outgoing, guards } = guarded;
  if ('refused' in answer) {
    if (answer.cause instanceof PermissionDenied) throw answer.cause;
    const message = `The event log refuses the commit to ${namesOf(outgoing)}: ${answer.refused}.`;
    throw new EventStoreError('log/refused', message, { cause: answer.cause });
  }
  const [first] = outgoing;
  if (first === undefined) throw new EventStoreError('commit/invalid', 'A commit names no aggregate.');
  // A batch is refused as a whole; which aggregate moved on shows in its tail, unless that write is still in flight.
  const isBatch = outgoing.length + guards.length > 1;
  const settled = isBatch ? await settle(transport, guarded, timeoutMs) : undefined;
  return settled ?? { appended: false, conflict: first.stream };
}

/**
 * Who holds the places behind the expected versions. Nobody, or no answer, settles nothing: a replica that has just
 * become the leader may not have applied yet what it refused the commit for.
 */
async function settle(
  transport: AppendTransport,
  guarded: Guarded,
  timeoutMs: number,
): Promise<AppendAllResult | undefined> {
  const { outgoing } = guarded;
  try {
    for (const { stream, expected, commit } of outgoing) {
      const next = await transport.commitsAfter(stream, expected, timeoutMs);
      if (next === undefined) continue;
      // All or none: one of ours there means all are, the first of them before the others.
      if (next.commitId === commit.commitId)
        return storedAt(outgoing, next.version - indexOf(outgoing, stream));
      return { appended: false, conflict: stream };
    }
    const broken = await brokenGuard(transport, guarded, timeoutMs);
    return broken && { appended: false, conflict: broken.stream };
  } catch (error) {
    if (error instanceof LogUnavailable || error instanceof PermissionDenied) return undefined;
    throw error;
  }
}

/**
 * A guard whose aggregate has moved on, where none of ours is stored. Both from one state: what was stored while the
 * guard still held lies before that move, so a state that has the move and not ours rules ours out for good.
 */
async function brokenGuard(
  transport: AppendTransport,
  { outgoing, guards }: Guarded,
  timeoutMs: number,
): Promise<Guard | undefined> {
  if (guards.length === 0) return undefined;
  const versions = await transport.lastVersions(
    [...outgoing, ...guards].map(({ stream }) => stream),
    timeoutMs,
  );
  const versionOf = (stream: StreamRef): number => versions.get(keyOf(stream)) ?? 0;
  if (outgoing.some(({ stream, expected }) => versionOf(stream) > expected)) return undefined;
  return guards.find(({ stream, version }) => versionOf(stream) > version);
}

const indexOf = (outgoing: readonly OutgoingCommit[], stream: StreamRef): number =>
  outgoing.findIndex((entry) => entry.stream === stream);

function encodeAll(
  entries: readonly AppendEntry[],
  guards: readonly Guard[],
  maxBytes: number | undefined,
): OutgoingCommit[] {
  const names = new Set([...entries, ...guards].map(({ stream }) => keyOf(checkStream(stream))));
  const ids = new Set(entries.map(({ commit }) => commit.commitId));
  if (names.size !== entries.length + guards.length || ids.size !== 1 || names.size > MAX_ENTRIES) {
    const rule = `1 to ${MAX_ENTRIES} aggregates with its guards, none twice, under one commit id`;
    throw new EventStoreError('commit/invalid', `A commit needs ${rule}.`);
  }
  for (const { stream, version } of guards) checkVersion(stream, version);
  return entries.map((entry) => encodeOutgoing(entry, maxBytes));
}

function encodeOutgoing({ stream, expected, commit }: AppendEntry, maxBytes = Infinity): OutgoingCommit {
  checkStream(stream);
  checkVersion(stream, expected);
  if (commit.commitId === '' || commit.decisions.length === 0) {
    throw new EventStoreError('commit/invalid', `The commit to ${keyOf(stream)} has no id or no decision.`);
  }
  const bytes = encodeCommit(commit);
  if (bytes.length > maxBytes) throw new CommitTooLarge(keyOf(stream), bytes.length, maxBytes);
  return { stream, expected, commit, bytes };
}

function checkVersion(stream: StreamRef, version: number): void {
  if (Number.isSafeInteger(version) && version >= 0) return;
  const message = `The expected version of ${keyOf(stream)} is not a version: ${version}.`;
  throw new EventStoreError('commit/invalid', message);
}

/** At least one millisecond, so that the last attempt of a deadline is still an attempt. */
const boundedMs = (leftMs: number, limitMs: number): number => Math.max(1, Math.min(leftMs, limitMs));

const NO_GUARDS: readonly Guard[] = [];

/** The append of a single commit. @throws as `appendResolved` */
export async function appendOne(
  transport: AppendTransport,
  entry: AppendEntry,
  options: ResolveOptions,
): Promise<AppendResult> {
  const result = await resolveAppend(
    transport,
    { outgoing: [encodeOutgoing(entry, options.maxBytes)], guards: NO_GUARDS },
    options,
  );
  return result.appended ? { appended: true, version: result.versions[0] ?? 0 } : result;
}
