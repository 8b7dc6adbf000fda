import { LogUnavailable } from '../errors.ts';
import type { Log, LogBatch, RecordedCommit, ScanOptions, StreamPage } from '../log.ts';
import type { StoreObserver } from '../observer.ts';
import { appendOne, appendResolved, type ResolveOptions } from '../resolve-append.ts';
import type { Runtime } from '../runtime.ts';
import { aggregatesFilter, isControl, subjectFilter, subjectOf } from '../stream.ts';
import { createGets, type Gets, type StoredMessage } from './gets.ts';
import { type Delivered, readOrdered } from './ordered-reader.ts';
import type { Requests } from './requests.ts';
import { createTransport, type GroupSettings } from './transport.ts';
import { commitOf } from './wire.ts';

/** Commits in a page of a long history. */
const PAGE = 256;
/**
 * A server looks through everything that lies between two commits of an aggregate, 0.1 us a commit and more where it is
 * not in memory, and finds a commit by its position at once. Below this distance looking through it is cheaper.
 */
const NEAR = 1_000;
/** How far a tail is walked back, commit by commit; a longer one is read in batches. */
const MOST_STEPS_BACK = 16;

/**
 * A page of an aggregate's commits, oldest first.
 *
 * A tail is nearly always empty or one commit long, so the leader is asked for the aggregate's last commit first. What
 * lies between is fetched from any replica: commits that are stored do not change.
 * @param after the version behind which the page begins
 * @param confirm whether everything that was acknowledged before must be seen
 * @throws LogUnavailable
 */
export async function readPage(
  gets: Gets,
  subject: string,
  after: number,
  confirm: boolean,
): Promise<StreamPage> {
  const commits: RecordedCommit[] = [];
  const take = (message: StoredMessage): void => {
    const commit = toCommit(message);
    const last = commits.at(-1)?.position ?? after;
    // A batch of another server comes over a route, which may lose messages out of its middle.
    if (commit.previous !== undefined && commit.previous > last) {
      throw new LogUnavailable(`reading ${subject}: the commit ${commit.previous} got lost on the way`);
    }
    commits.push(commit);
  };
  /** Of a message that does not name the one before it the leader says whether it is the next one. */
  const prove = async (message: StoredMessage): Promise<void> => {
    if (toCommit(message).previous !== undefined) return;
    const last = commits.at(-1)?.position ?? after;
    const next = await gets.leader({ next_by_subj: subject, seq: last + 1 });
    if (next?.seq !== message.seq) {
      throw new LogUnavailable(`reading ${subject}: something before ${message.seq} got lost on the way`);
    }
  };
  const takeBatch = async (): Promise<number> => {
    const seq = (commits.at(-1)?.position ?? after) + 1;
    const batch = await gets.directBatch({ next_by_subj: subject, seq, batch: PAGE });
    for (const message of batch) {
      await prove(message);
      take(message);
    }
    return batch.length;
  };
  if (!confirm || after === 0) {
    const more = (await takeBatch()) === PAGE;
    if (more || !confirm) return { commits, confirmedEnd: false, more };
  }
  const last = commits.at(-1)?.position ?? after;
  const newest = await gets.leader({ last_by_subj: subject });
  if (newest === undefined || newest.seq <= last) return { commits, confirmedEnd: true, more: false };
  const tail = await walkBack(gets, newest, last);
  if (tail !== undefined) {
    for (const message of tail) take(message);
  } else if ((await takeBatch()) === 0) {
    // A replica that lags: the leader has the next one.
    const next = await gets.leader({ next_by_subj: subject, seq: last + 1 });
    // Another leader, which has not caught up: whoever asks for page after page would ask for ever.
    if (next === undefined)
      throw new LogUnavailable(`reading ${subject}: the commit ${newest.seq} is not there`);
    take(next);
  }
  const ended = (commits.at(-1)?.position ?? after) >= newest.seq;
  return { commits, confirmedEnd: ended, more: !ended };
}

/**
 * The commits between a version and an aggregate's last one, oldest first; nothing where a batch is the better way, or
 * where one does not name the commit before it.
 */
async function walkBack(
  gets: Gets,
  newest: StoredMessage,
  last: number,
): Promise<readonly StoredMessage[] | undefined> {
  const tail = [newest];
  let { previous } = toCommit(newest);
  if (previous !== undefined && previous > last && newest.seq - last < NEAR) return undefined;
  while (previous !== undefined && previous > last) {
    const message = tail.length < MOST_STEPS_BACK ? await gets.direct({ seq: previous }) : undefined;
    if (message === undefined) return undefined;
    tail.push(message);
    ({ previous } = toCommit(message));
  }
  return previous === undefined ? undefined : tail.reverse();
}

/** The commit that was asked for, unless it is a message of the log's own. */
const commitIn = (found: StoredMessage | undefined): RecordedCommit | undefined =>
  found === undefined || isControl(found.subject) ? undefined : toCommit(found);

/** A message of the log as a commit. */
export function toCommit(message: StoredMessage): RecordedCommit {
  return commitOf(message.subject, message.seq, message.headers, message.data);
}

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
  readonly observer?: StoreObserver | undefined;
  readonly group: GroupSettings;
}

/** How long a scan that does not follow waits for a server that is away, in milliseconds. */
const SCAN_PATIENCE_MS = 15_000;
/** Header bytes that a commit may need beside its payload. */
const HEADER_RESERVE = 4_096;

/** The log on a JetStream stream. Open it with `openNatsLog`, which checks that the stream can be trusted. */
export function createNatsLog(options: NatsLogOptions): Log {
  const { requests, runtime, stream, prefix, incarnation } = options;
  const gets = createGets(requests, stream, options.attemptTimeoutMs);
  const transport = createTransport({ ...options, gets });
  // Asked anew each time: another server may take more or less.
  const resolve = (): ResolveOptions => ({
    runtime,
    deadlineMs: options.deadlineMs,
    attemptTimeoutMs: options.attemptTimeoutMs,
    maxBytes: (requests.connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADER_RESERVE,
    repeated: options.observer?.repeated,
  });

  return {
    incarnation,
    append: (stream, expected, commit) => appendOne(transport, { stream, expected, commit }, resolve()),
    appendAll: (entries) => appendResolved(transport, entries, resolve()),
    read: async (ref, { after, confirm }) => readPage(gets, subjectOf(prefix, ref), after, confirm),
    at: async (position) => commitIn(await gets.leader({ seq: position })),
    next: async (position) =>
      commitIn(await gets.leader({ seq: position })) ??
      commitIn(await gets.leader({ next_by_subj: aggregatesFilter(prefix), seq: position })),
    head: () => headOf(gets),
    scan: (scan) => scanLog(options, gets, scan),
  };
}

async function* scanLog(options: NatsLogOptions, gets: Gets, scan: ScanOptions): AsyncGenerator<LogBatch> {
  const { requests, runtime, stream, prefix } = options;
  const end = scan.follow === true ? Number.POSITIVE_INFINITY : await headOf(gets);
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
    const through = within.at(-1)?.seq ?? scan.after;
    const commits = commitsOf(within);
    if (within.length > 0 || last === undefined) yield { commits, through, pending: last?.pending ?? 0 };
    const atEnd = last === undefined || last.pending === 0 || last.seq >= end;
    if (scan.follow !== true && atEnd) return;
  }
}

function commitsOf(delivered: readonly Delivered[]): RecordedCommit[] {
  const commits: RecordedCommit[] = [];
  for (const { msg, seq } of delivered) {
    if (!isControl(msg.subject)) commits.push(commitOf(msg.subject, seq, msg.headers, msg.data));
  }
  return commits;
}

/** The stream's last message. Of any narrower wildcard a server looks through all subjects: 11 ms for 100,000 of them. */
async function headOf(gets: Gets): Promise<number> {
  return (await gets.leader({ last_by_subj: '>' }))?.seq ?? 0;
}
