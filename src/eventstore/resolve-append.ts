import { toBinary } from '@bufbuild/protobuf';
import { type Commit, CommitSchema } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { CommitTooLarge, EventStoreError, LogUnavailable, OutcomeUnknown } from './errors.ts';
import type { AppendResult } from './log.ts';
import { backoffMs, type Runtime } from './runtime.ts';
import { checkStream, type StreamRef } from './stream.ts';

/** One commit on its way to the log; every attempt sends exactly the same. */
export interface OutgoingCommit {
  readonly stream: StreamRef;
  /** The version that must be the aggregate's last; 0 = it does not exist. */
  readonly expected: number;
  readonly commit: Commit;
  /** The encoded commit. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What one attempt to publish came to. */
export type PublishOutcome =
  | { readonly ok: true /** The commit's position. */; readonly seq: number }
  /** The server holds another version than expected. */
  | { readonly conflict: true }
  /** The server, or the lack of one, said no: THIS attempt is not stored and will never be. */
  | { readonly refused: string; readonly retryable: boolean; readonly cause?: unknown }
  /** Anything else: this attempt may be stored, now or later. */
  | { readonly noAnswer: true; readonly cause?: unknown };

/** The two calls that protocol 2 needs of a server. */
export interface AppendTransport {
  /** One attempt, given up after `timeoutMs`. Does not reject: what is not certain is `noAnswer`. */
  publish(outgoing: OutgoingCommit, timeoutMs: number): Promise<PublishOutcome>;
  /**
   * The first commit of the aggregate with a higher version than `version`, as the leader sees it.
   * @throws LogUnavailable when the leader does not answer within `timeoutMs`
   */
  commitsAfter(
    stream: StreamRef,
    version: number,
    timeoutMs: number,
  ): Promise<{ readonly commitId: string; readonly version: number } | undefined>;
}

export interface ResolveOptions {
  readonly runtime: Runtime;
  /** Milliseconds after which the outcome is called unknown (or the log unavailable). */
  readonly deadlineMs: number;
  /** Milliseconds that one attempt may take. */
  readonly attemptTimeoutMs: number;
  /** Largest commit that the server takes, in bytes, without headers. Default: no limit. */
  readonly maxBytes?: number | undefined;
}

const BACKOFF_BASE_MS = 20;
const BACKOFF_CAP_MS = 500;

/**
 * Appends one commit and says what became of it (protocol 2).
 *
 * Absence is never evidence: a commit that was sent without an answer may land seconds later. So it is sent again,
 * the same bytes with the same expectation, until the place behind `expected` is taken: by this commit (stored) or
 * by another one (it can never be stored). Sending twice cannot store twice, because both expect the same version.
 * @throws InvalidId, CommitTooLarge before anything is sent; LogUnavailable when nothing was stored; OutcomeUnknown;
 *   EventStoreError `log/refused` when the server refuses the commit for good
 */
export async function appendResolved(
  transport: AppendTransport,
  stream: StreamRef,
  expected: number,
  commit: Commit,
  options: ResolveOptions,
): Promise<AppendResult> {
  const outgoing = encodeOutgoing(stream, expected, commit, options.maxBytes);
  const { runtime, deadlineMs, attemptTimeoutMs } = options;
  const started = runtime.now();
  const attemptMs = () => boundedMs(started + deadlineMs - runtime.now(), attemptTimeoutMs);
  let doubt = false;
  let reason: unknown;
  for (let attempt = 0; ; attempt++) {
    const answer = await transport.publish(outgoing, attemptMs());
    if ('ok' in answer) return { appended: true, version: answer.seq };
    if (!mayBeRepeated(answer)) {
      if (!doubt) return finalAnswer(outgoing, answer);
      const settled = await settle(transport, outgoing, attemptMs());
      if (settled !== undefined) return settled;
    }
    doubt ||= 'noAnswer' in answer;
    reason = reasonOf(answer) ?? reason;

    const pauseMs = backoffMs(runtime, attempt, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    const waitedMs = runtime.now() - started;
    if (waitedMs + pauseMs >= deadlineMs) {
      if (doubt) throw new OutcomeUnknown(nameOf(stream), waitedMs, reason);
      throw new LogUnavailable(`appending to ${nameOf(stream)}`, reason);
    }
    await runtime.sleep(pauseMs);
  }
}

type Failure = Exclude<PublishOutcome, { ok: true }>;

const mayBeRepeated = (answer: Failure): boolean =>
  'noAnswer' in answer || ('refused' in answer && answer.retryable);

const reasonOf = (answer: Failure): unknown =>
  'conflict' in answer ? undefined : (answer.cause ?? ('refused' in answer ? answer.refused : undefined));

/** What a "no" means when no earlier attempt can have been stored. */
function finalAnswer({ stream }: OutgoingCommit, answer: Failure): AppendResult {
  if (!('refused' in answer)) return { appended: false, conflict: stream };
  const message = `The event log refuses the commit to ${nameOf(stream)}: ${answer.refused}.`;
  throw new EventStoreError('log/refused', message, { cause: answer.cause });
}

/**
 * Who holds the place behind the expected version. Nobody, or no answer, settles nothing: a replica that has just
 * become the leader may not have applied yet what it refused the commit for.
 */
async function settle(
  transport: AppendTransport,
  { stream, expected, commit }: OutgoingCommit,
  timeoutMs: number,
): Promise<AppendResult | undefined> {
  try {
    const next = await transport.commitsAfter(stream, expected, timeoutMs);
    if (next === undefined) return undefined;
    if (next.commitId === commit.commitId) return { appended: true, version: next.version };
    return { appended: false, conflict: stream };
  } catch (error) {
    if (error instanceof LogUnavailable) return undefined;
    throw error;
  }
}

function encodeOutgoing(
  stream: StreamRef,
  expected: number,
  commit: Commit,
  maxBytes = Infinity,
): OutgoingCommit {
  checkStream(stream);
  if (!Number.isSafeInteger(expected) || expected < 0) {
    throw new EventStoreError(
      'commit/invalid',
      `The expected version of ${nameOf(stream)} is not a version: ${expected}.`,
    );
  }
  if (commit.commitId === '' || commit.decisions.length === 0) {
    throw new EventStoreError('commit/invalid', `The commit to ${nameOf(stream)} has no id or no decision.`);
  }
  const bytes = toBinary(CommitSchema, commit) as Uint8Array<ArrayBuffer>;
  if (bytes.length > maxBytes) throw new CommitTooLarge(nameOf(stream), bytes.length, maxBytes);
  return { stream, expected, commit, bytes };
}

const nameOf = (stream: StreamRef): string => `${stream.category}/${stream.id}`;

/** At least one millisecond, so that the last attempt of a deadline is still an attempt. */
const boundedMs = (leftMs: number, limitMs: number): number => Math.max(1, Math.min(leftMs, limitMs));
