import { LogUnavailable } from '../errors.ts';
import { createGate } from '../gate.ts';
import type { Log, LogBatch, RecordedCommit, ScanOptions, StreamPage } from '../log.ts';
import {
  type AppendTransport,
  appendOne,
  appendResolved,
  type OutgoingCommit,
  type PublishOutcome,
  type ResolveOptions,
} from '../resolve-append.ts';
import type { Runtime } from '../runtime.ts';
import { subjectFilter, subjectOf } from '../stream.ts';
import { publishBatch } from './batch.ts';
import { createGets, type Gets, type StoredMessage } from './gets.ts';
import { readOrdered } from './ordered-reader.ts';
import type { Reply, Requests } from './requests.ts';
import { commitHeaders, commitOf, isConflict, isPassing, parseAck } from './wire.ts';

export interface NatsLogOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  /** The stream's name. */
  readonly stream: string;
  /** First token of every subject. */
  readonly prefix: string;
  /** From the stream's metadata. */
  readonly incarnation: string;
  /** How long one request may take, in milliseconds. */
  readonly attemptTimeoutMs: number;
  /** How long an append may take with all its repetitions, in milliseconds. */
  readonly deadlineMs: number;
}

/** Commits in a page of a long history. */
const PAGE = 256;
/** How long a scan that does not follow waits for a server that is away, in milliseconds. */
const SCAN_PATIENCE_MS = 15_000;
/** Batches of this process under way at once; the server takes 50 of all processes together. */
const MAX_OPEN_BATCHES = 8;
/** Header bytes that a commit may need beside its payload. */
const HEADER_RESERVE = 4_096;

/** The log on a JetStream stream. Open it with `openNatsLog`, which checks that the stream can be trusted. */
export function createNatsLog(options: NatsLogOptions): Log {
  const { requests, runtime, stream, prefix, incarnation } = options;
  const gets = createGets(requests, stream, options.attemptTimeoutMs);
  const transport = createTransport(requests, gets, prefix, runtime);
  // Asked anew each time: another server may take more or less.
  const resolve = (): ResolveOptions => ({
    runtime,
    deadlineMs: options.deadlineMs,
    attemptTimeoutMs: options.attemptTimeoutMs,
    maxBytes: (requests.connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADER_RESERVE,
  });

  return {
    incarnation,
    append: (stream, expected, commit) => appendOne(transport, { stream, expected, commit }, resolve()),
    appendAll: (entries) => appendResolved(transport, entries, resolve()),
    read: async (ref, { after, confirm }) => readPage(gets, subjectOf(prefix, ref), after, confirm),
    at: async (position) => {
      const found = await gets.leader({ seq: position });
      return found === undefined ? undefined : toCommit(found);
    },
    head: async () => (await gets.leader({ last_by_subj: `${prefix}.>` }))?.seq ?? 0,
    scan: (scan) => scanLog(options, gets, scan),
  };
}

function createTransport(requests: Requests, gets: Gets, prefix: string, runtime: Runtime): AppendTransport {
  const batches = createGate(MAX_OPEN_BATCHES);
  const send = async (outgoing: readonly OutgoingCommit[], timeoutMs: number): Promise<Reply> => {
    const messages = outgoing.map(({ stream, expected, commit, bytes }) => ({
      subject: subjectOf(prefix, stream),
      payload: bytes,
      headers: commitHeaders(commit, expected),
    }));
    const [only] = messages;
    if (only !== undefined && messages.length === 1) {
      return requests.request(only.subject, only.payload, { headers: only.headers, timeoutMs });
    }
    return batches(() => publishBatch(requests, runtime.id(), messages, timeoutMs));
  };
  return {
    publish: async (outgoing, timeoutMs): Promise<PublishOutcome> => {
      const reply = await send(outgoing, timeoutMs);
      if (reply.failed !== undefined) {
        const nobodyHasIt = reply.failed === 'not-connected' || reply.failed === 'no-responders';
        return nobodyHasIt
          ? { refused: reply.failed, retryable: true }
          : { noAnswer: true, cause: reply.failed };
      }
      const ack = parseAck(reply.msg);
      if (ack.error === undefined) return { ok: true, seq: ack.seq - outgoing.length + 1 };
      const { code, errCode, description } = ack.error;
      if (isConflict(errCode)) return { conflict: true };
      return { refused: `${description} (${errCode})`, retryable: isPassing(code, errCode) };
    },
    commitsAfter: async (stream, version) => {
      const next = await gets.leader({ next_by_subj: subjectOf(prefix, stream), seq: version + 1 });
      return next === undefined ? undefined : { commitId: toCommit(next).commitId, version: next.seq };
    },
  };
}

/**
 * A tail is nearly always empty or one commit long, so the leader is asked for single commits first; a longer one is
 * fetched in a batch from any replica and its end confirmed with the leader.
 */
async function readPage(gets: Gets, subject: string, after: number, confirm: boolean): Promise<StreamPage> {
  const commits: RecordedCommit[] = [];
  let last = after;
  const take = (message: StoredMessage): void => {
    const commit = toCommit(message);
    // A batch of another server comes over a route, which may lose messages out of its middle.
    if (commit.previous > last) {
      throw new LogUnavailable(`reading ${subject}: the commit ${commit.previous} got lost on the way`);
    }
    commits.push(commit);
    last = commit.position;
  };
  if (!confirm || after === 0) {
    const batch = await gets.directBatch({ next_by_subj: subject, seq: last + 1, batch: PAGE });
    for (const message of batch) take(message);
    if (batch.length === PAGE) return { commits, confirmedEnd: false, more: true };
    if (!confirm) return { commits, confirmedEnd: false, more: false };
  }
  for (let single = 0; single < 2; single++) {
    const next = await gets.leader({ next_by_subj: subject, seq: last + 1 });
    if (next === undefined) return { commits, confirmedEnd: true, more: false };
    take(next);
  }
  const batch = await gets.directBatch({ next_by_subj: subject, seq: last + 1, batch: PAGE });
  for (const message of batch) take(message);
  return { commits, confirmedEnd: false, more: true };
}

async function* scanLog(options: NatsLogOptions, gets: Gets, scan: ScanOptions): AsyncGenerator<LogBatch> {
  const { requests, runtime, stream, prefix } = options;
  const end = scan.follow === true ? Number.POSITIVE_INFINITY : await headOf(gets, prefix);
  if (scan.after >= end) return;
  const reader = readOrdered({
    requests,
    runtime,
    stream,
    filter: subjectFilter(prefix, scan.filter ?? {}),
    after: scan.after,
    signal: scan.signal,
    ...(scan.follow === true ? {} : { giveUpMs: SCAN_PATIENCE_MS }),
  });
  for await (const delivered of reader) {
    const last = delivered.at(-1);
    const within = last !== undefined && last.seq > end ? delivered.filter((d) => d.seq <= end) : delivered;
    const commits = within.map(({ msg, seq }) => commitOf(msg.subject, seq, msg.headers, msg.data));
    if (commits.length > 0 || last === undefined) yield { commits, pending: last?.pending ?? 0 };
    const atEnd = last === undefined || last.pending === 0 || last.seq >= end;
    if (scan.follow !== true && atEnd) return;
  }
}

async function headOf(gets: Gets, prefix: string): Promise<number> {
  return (await gets.leader({ last_by_subj: `${prefix}.>` }))?.seq ?? 0;
}

function toCommit(message: StoredMessage): RecordedCommit {
  return commitOf(message.subject, message.seq, message.headers, message.data);
}
