import { appendOne, appendResolved, type ResolveOptions } from '../append/resolve-append.ts';
import { type Confirmations, createConfirmations } from '../confirm/confirmations.ts';
import type { Log, LogBatch, RecordedCommit, ScanOptions } from '../log.ts';
import type { StoreObserver } from '../observer.ts';
import { positionAt, sequenceOf } from '../position.ts';
import { shareScans } from '../reading/shared-scans.ts';
import type { Runtime } from '../runtime.ts';
import { aggregatesFilter, controlSubject, isControl, subjectFilter, subjectOf } from '../stream.ts';
import { createGets, type Gets, type StoredMessage } from './gets.ts';
import { type Delivered, readOrdered } from './ordered-reader.ts';
import { lastMessage, messageAt, type PageDeps, readPage, toCommit } from './page.ts';
import type { Requests } from './requests.ts';
import { createTransport, type GroupSettings, outcomeOf } from './transport.ts';
import { commitOf } from './wire.ts';

/** The commit that was asked for, unless it is a message of the log's own. */
const commitIn = (found: StoredMessage | undefined): RecordedCommit | undefined =>
  found === undefined || isControl(found.subject) ? undefined : toCommit(found);

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
  /** Whose word a confirmed read takes: the leader's, or a majority's (protocol 19). */
  readonly confirm: 'leader' | 'quorum';
}

/** How long a scan that does not follow waits for a server that is away, in milliseconds. */
const SCAN_PATIENCE_MS = 15_000;
/** Header bytes that a commit may need beside its payload. */
const HEADER_RESERVE = 4_096;

/** The log on a JetStream stream. Open it with `openNatsLog`, which checks that the stream can be trusted. */
export function createNatsLog(options: NatsLogOptions): Log {
  const { requests, runtime, stream, prefix, incarnation } = options;
  const gets = createGets(requests, stream, options.attemptTimeoutMs);
  const confirmations = options.confirm === 'quorum' ? confirmationsOf(options) : undefined;
  const transport = createTransport({ ...options, gets, confirmations });
  const pages: PageDeps = { gets, runtime, deadlineMs: options.deadlineMs, confirmations };
  // Asked anew each time: another server may take more or less.
  const resolve = (): ResolveOptions => ({
    runtime,
    deadlineMs: options.deadlineMs,
    attemptTimeoutMs: options.attemptTimeoutMs,
    maxBytes: (requests.connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADER_RESERVE,
    replicated: options.group.replicated,
    repeated: options.observer?.repeated,
  });

  const head = async () => positionAt(await headOf(gets));

  return {
    incarnation,
    append: (stream, expected, commit) => appendOne(transport, { stream, expected, commit }, resolve()),
    appendAll: (entries, guards) => appendResolved(transport, entries, resolve(), guards),
    read: async (ref, how) => readPage(pages, subjectOf(prefix, ref), how),
    last: async (ref, upTo) => {
      const found = await lastMessage(
        pages,
        subjectOf(prefix, ref),
        upTo === undefined ? undefined : sequenceOf(upTo),
      );
      return found === undefined ? undefined : toCommit(found);
    },
    at: async (position) => commitIn(await messageAt(pages, sequenceOf(position))),
    next: async (position) => {
      const seq = sequenceOf(position);
      const next = { next_by_subj: aggregatesFilter(prefix), seq };
      return commitIn(await gets.leader({ seq })) ?? commitIn(await gets.leader(next));
    },
    head,
    confirm: async () =>
      positionAt(confirmations === undefined ? await headOf(gets) : (await confirmations.next()).sequence),
    scan: shareScans({ log: { head, scan: (how) => scanLog(options, gets, how) }, runtime }),
  };
}

/** Fences go by themselves: they wait for no company, and expect nothing. */
function confirmationsOf({ requests, prefix, ...options }: NatsLogOptions): Confirmations {
  const fenceSubject = controlSubject(prefix, 'fence');
  const sendFence = async (timeoutMs: number) =>
    outcomeOf(await requests.request(fenceSubject, '', { timeoutMs }), 1);
  return createConfirmations({ ...options, sendFence, fenceSubject });
}

async function* scanLog(options: NatsLogOptions, gets: Gets, scan: ScanOptions): AsyncGenerator<LogBatch> {
  const { requests, runtime, stream, prefix } = options;
  const end = scan.follow === true ? Number.POSITIVE_INFINITY : await headOf(gets);
  const after = sequenceOf(scan.after);
  if (after >= end) return;
  const reader = readOrdered({
    requests,
    runtime,
    stream,
    filter: subjectFilter(prefix, scan.filter ?? {}),
    after,
    signal: scan.signal,
    ...(scan.follow === true ? {} : { giveUpMs: SCAN_PATIENCE_MS }),
  });
  for await (const delivered of reader) {
    const last = delivered.at(-1);
    const within = last !== undefined && last.seq > end ? delivered.filter((d) => d.seq <= end) : delivered;
    const through = positionAt(within.at(-1)?.seq ?? after);
    const commits = commitsOf(within);
    if (within.length > 0 || last === undefined) yield { commits, through, pending: last?.pending ?? 0 };
    const atEnd = last === undefined || last.pending === 0 || last.seq >= end;
    if (scan.follow !== true && atEnd) return;
  }
}

function commitsOf(delivered: readonly Delivered[]): RecordedCommit[] {
  const commits: RecordedCommit[] = [];
  for (const { msg, seq } of delivered) {
    if (!isControl(msg.subject)) commits.push(commitOf(msg.subject, positionAt(seq), msg.headers, msg.data));
  }
  return commits;
}

/** The stream's last message. Of any narrower wildcard a server looks through all subjects: 11 ms for 100,000 of them. */
async function headOf(gets: Gets): Promise<number> {
  return (await gets.leader({ last_by_subj: '>' }))?.seq ?? 0;
}
