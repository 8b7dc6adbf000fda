import type { Log, LogBatch, ScanOptions } from '../log.ts';
import type { StoreObserver } from '../observer.ts';
import { appendOne, appendResolved, type ResolveOptions } from '../resolve-append.ts';
import type { Runtime } from '../runtime.ts';
import { subjectFilter, subjectOf } from '../stream.ts';
import { createGets, type Gets } from './gets.ts';
import { readOrdered } from './ordered-reader.ts';
import { readPage, toCommit } from './read-page.ts';
import type { Requests } from './requests.ts';
import { createTransport, type GroupSettings } from './transport.ts';
import { commitOf } from './wire.ts';

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
    at: async (position) => {
      const found = await gets.leader({ seq: position });
      return found === undefined ? undefined : toCommit(found);
    },
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
    const commits = within.map(({ msg, seq }) => commitOf(msg.subject, seq, msg.headers, msg.data));
    if (commits.length > 0 || last === undefined) yield { commits, pending: last?.pending ?? 0 };
    const atEnd = last === undefined || last.pending === 0 || last.seq >= end;
    if (scan.follow !== true && atEnd) return;
  }
}

/** The stream's last message. Of any narrower wildcard a server looks through all subjects: 11 ms for 100,000 of them. */
async function headOf(gets: Gets): Promise<number> {
  return (await gets.leader({ last_by_subj: '>' }))?.seq ?? 0;
}
