import { createGroupCommit } from '../eventstore/append/group-commit.ts';
import { fixedPolicy } from '../eventstore/append/group-commit-policy.ts';
import {
  type AppendTransport,
  appendOne,
  appendResolved,
  type OutgoingCommit,
  type PublishOutcome,
} from '../eventstore/append/resolve-append.ts';
import { recordedCommit } from '../eventstore/codec/stored-commit.ts';
import {
  type ConfirmationDeps,
  type Confirmations,
  createConfirmations,
  servingReads,
  untilShown,
} from '../eventstore/confirm/confirmations.ts';
import { LogUnavailable } from '../eventstore/errors.ts';
import type {
  Guard,
  Log,
  LogBatch,
  ReadOptions,
  RecordedCommit,
  ScanOptions,
  StreamPage,
} from '../eventstore/log.ts';
import { type Position, positionAt, sequenceOf, versionAt } from '../eventstore/position.ts';
import { type Runtime, systemRuntime } from '../eventstore/runtime.ts';
import {
  type Control,
  checkStream,
  keyOf,
  type LogFilter,
  matchesFilter,
  type StreamRef,
  subjectOf,
} from '../eventstore/stream.ts';
import { createWake, type Wake, type World } from './world.ts';

/** What a server would hold: the bytes of every commit, shared by all the handles ("processes") that open it. */
export interface MemoryStore {
  readonly incarnation: string;
  /** The last sequence; 0 for an empty log. */
  head(): number;
  /** The aggregate's last version; 0 = it does not exist. */
  version(stream: StreamRef): number;
  /** Stores bytes when the aggregate's version is `expected`. Returns the sequence, or `undefined` on a conflict. */
  put(stream: StreamRef, expected: number, bytes: Uint8Array, commitId?: string): number | undefined;
  /** Stores one commit each, all or none. Returns the sequence of the first, or `undefined` on a conflict. */
  putAll(entries: readonly OutgoingCommit[], guards?: readonly Guard[]): number | undefined;
  /** Stores a message of the log's own. Returns its sequence. */
  putControl(control: Control): number;
  /** The commit with a sequence, still undecoded; nothing where the log's own messages are. */
  at(sequence: number): RecordedCommit | undefined;
  /** Up to `limit` commits of an aggregate with a version above `after` and up to `until`. */
  ofStream(stream: StreamRef, after: number, until: number, limit: number): RecordedCommit[];
  /** Fires at every commit. */
  readonly grown: Wake;
}

interface Entry {
  readonly stream: StreamRef;
  readonly sequence: number;
  readonly previous: number;
  readonly bytes: Uint8Array;
  readonly commitId: string | undefined;
}

/** How the stream of a log in memory differs from the plain one. */
export interface MemoryStoreOptions {
  /** First token of every subject; no dots. */
  readonly prefix?: string;
  readonly incarnation?: string;
}

/** An empty log in memory. */
export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const { prefix = 'memory', incarnation = 'memory-1' } = options;
  const entries: (Entry | Control)[] = [];
  const streams = new Map<string, Entry[]>();
  const grown = createWake();

  const history = (stream: StreamRef): readonly Entry[] => streams.get(keyOf(stream)) ?? [];
  const version = (stream: StreamRef): number => history(stream).at(-1)?.sequence ?? 0;
  // A new object for each reader: nobody may profit from what another has decoded.
  const recorded = ({ stream, sequence, ...entry }: Entry): RecordedCommit =>
    recordedCommit({ ...entry, position: positionAt(sequence), subject: subjectOf(prefix, stream) });

  const put: MemoryStore['put'] = (stream, expected, bytes, commitId) => {
    const previous = version(stream);
    if (previous !== expected) return undefined;
    const entry = { stream, sequence: entries.length + 1, previous, bytes, commitId };
    entries.push(entry);
    const own = streams.get(keyOf(stream));
    if (own === undefined) streams.set(keyOf(stream), [entry]);
    else own.push(entry);
    grown.all();
    return entry.sequence;
  };

  const putControl: MemoryStore['putControl'] = (control) => {
    entries.push(control);
    grown.all();
    return entries.length;
  };

  return {
    incarnation,
    grown,
    version,
    head: () => entries.length,
    putAll: (outgoing, guards = []) => {
      if (outgoing.some(({ stream, expected }) => version(stream) !== expected)) return undefined;
      if (guards.some((guard) => version(guard.stream) !== guard.version)) return undefined;
      const positions = outgoing.map(({ stream, expected, bytes, commit }) =>
        put(stream, expected, bytes, commit.commitId),
      );
      for (const _ of guards) putControl('fence');
      return positions[0];
    },
    put,
    putControl,
    at: (sequence) => {
      const entry = entries[sequence - 1];
      return typeof entry === 'object' && entry.stream.category !== '' ? recorded(entry) : undefined;
    },
    ofStream: (stream, after, until, limit) => {
      const own = history(stream);
      const page: RecordedCommit[] = [];
      for (let i = firstAfter(own, after); i < own.length && page.length < limit; i++) {
        const entry = own[i];
        if (entry === undefined || entry.sequence > until) break;
        page.push(recorded(entry));
      }
      return page;
    },
  };
}

/** Index of the first entry behind a version, by halving. */
function firstAfter(entries: readonly Entry[], version: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.sequence ?? 0) > version) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Who uses a handle: an actor of a world, or, without a world, somebody in plain time without faults. */
export interface Sender {
  readonly world?: World | undefined;
  /** Name of the process that the handle belongs to. */
  readonly actor: string;
  readonly runtime: Runtime;
  /** Set while the servers that it talks to are cut off from the majority: up to when, and what they had by then. */
  cut?: { readonly until: number; readonly end: number } | undefined;
}

/** The end of the log as whoever leads for this handle sees it: a leader that is cut off answers from the past. */
function leaderEnd(store: MemoryStore, sender: Sender): number {
  const { world } = sender;
  if (world === undefined) return store.head();
  if (sender.cut !== undefined && sender.cut.until <= world.now()) sender.cut = undefined;
  if (sender.cut === undefined && world.strikes('partition'))
    sender.cut = { until: world.now() + world.delayMs(), end: store.head() };
  return sender.cut?.end ?? store.head();
}

/** The way to the store and back; the faults of a network happen here. */
export function createMemoryTransport(store: MemoryStore, sender: Sender): AppendTransport {
  return {
    publish: (outgoing, timeoutMs, guards) => publish(store, sender, outgoing, guards, timeoutMs),
    commitsAfter: async (stream, version) => {
      await arrive(sender, 'read tail');
      const next = store.ofStream(stream, version, leaderEnd(store, sender), 1)[0];
      await answer(sender, 'tail read');
      return next === undefined ? undefined : { commitId: next.commitId, version: versionAt(next.position) };
    },
    lastVersions: async (streams) => {
      await arrive(sender, 'read last versions');
      const until = lagging(sender.world, leaderEnd(store, sender));
      const found = streams.flatMap((stream) => {
        const last = store.ofStream(stream, 0, until, Infinity).at(-1);
        return last === undefined ? [] : [[keyOf(stream), versionAt(last.position)] as const];
      });
      await answer(sender, 'last versions read');
      return new Map(found);
    },
  };
}

/** The request reaches the server. @throws LogUnavailable when the fault `unavailable` strikes */
export async function arrive({ world, actor }: Sender, label: string): Promise<void> {
  if (world === undefined) return;
  await world.step(label, actor);
  if (world.strikes('unavailable')) throw new LogUnavailable(`${label}, simulated`);
}

/** The answer reaches the caller: others may have gone on since it was given. */
export async function answer({ world, actor }: Sender, label: string): Promise<void> {
  if (world !== undefined) await world.step(label, actor);
}

async function publish(
  store: MemoryStore,
  sender: Sender,
  outgoing: readonly OutgoingCommit[],
  guards: readonly Guard[] | undefined,
  timeoutMs: number,
): Promise<PublishOutcome> {
  const name = outgoing.map(({ stream }) => keyOf(stream)).join(', ');
  const label = `${name} after ${outgoing.map(({ expected }) => expected)}`;
  return send(store, sender, { label, name, timeoutMs, put: () => store.putAll(outgoing, guards) });
}

/** One attempt to store something; the faults of the network happen here. */
async function send(
  store: MemoryStore,
  sender: Sender,
  what: { label: string; name: string; timeoutMs: number; put: () => number | undefined },
): Promise<PublishOutcome> {
  const { world, actor, runtime } = sender;
  const { label, name, timeoutMs, put } = what;
  if (world === undefined) return outcomeOf(put());

  await world.step(`publish ${label}`, actor);
  if (world.strikes('unavailable')) return { refused: 'no responders, simulated', retryable: true };
  leaderEnd(store, sender);
  // A minority commits nothing, and what it was sent is dropped when it meets the others again.
  const lost = sender.cut === undefined ? loseMessage(world, timeoutMs, put) : 'no majority, simulated';
  if (lost !== undefined) {
    await runtime.sleep(timeoutMs);
    return { noAnswer: true, cause: new Error(lost) };
  }
  const result = outcomeOf(put());
  await world.step(`${'ok' in result ? `stored ${result.seq}` : 'conflict'} ${name}`, actor);
  return result;
}

/** Rolls the faults of one message; returns what happened to it, or `undefined` when nothing did. */
export function loseMessage(world: World, timeoutMs: number, apply: () => void): string | undefined {
  if (world.strikes('lostSend')) return 'lost before the server, simulated';
  if (world.strikes('lateLanding')) {
    world.later('late landing', timeoutMs + world.delayMs(), apply);
    return 'held up before the server, simulated';
  }
  if (!world.strikes('lostAck')) return undefined;
  apply();
  return 'answer lost, simulated';
}

/** How far a replica that lags has come; mostly a little behind, since that is what hides from tests. */
export function lagging(world: World | undefined, end: number): number {
  if (!world?.strikes('staleRead')) return end;
  const behind = world.random() < 0.5 ? 1 : 1 + Math.floor(world.random() * end);
  return Math.max(0, end - behind);
}

const outcomeOf = (seq: number | undefined): PublishOutcome =>
  seq === undefined ? { conflict: true } : { ok: true, seq };

const BATCH = 100;

/** Reads a store in order, as `Log.scan` says. */
export async function* scanStore(
  store: MemoryStore,
  sender: Sender,
  options: ScanOptions,
): AsyncGenerator<LogBatch, void> {
  const { filter = {}, follow = false, signal } = options;
  const after = sequenceOf(options.after);
  const end = follow ? Infinity : store.head();
  const remaining = createCounter(store, filter, after);
  let position = after;
  // As on the server: a reader for whom nothing is there learns at once that it is at the end.
  if (after < end && remaining(after) === 0) {
    await arrive(sender, `scan after ${after}`);
    yield { commits: [], through: options.after, pending: 0 };
  }
  while (!signal?.aborted && position < end) {
    if (position >= store.head()) {
      await store.grown.next(signal);
      continue;
    }
    await arrive(sender, `scan after ${position}`);
    if (signal?.aborted) return;
    const { matching, through, upTo } = readBatch(store, filter, disturbed(sender, after, position), end);
    position = upTo;
    if (through > 0) yield { commits: matching, through: positionAt(through), pending: remaining(position) };
  }
}

/** Where the next batch starts; the faults of a reader happen here. @throws LogUnavailable */
function disturbed({ world }: Sender, after: number, position: number): number {
  if (world?.strikes('brokenScan')) throw new LogUnavailable('scan broken off, simulated');
  return world?.strikes('redelivery') ? after + Math.floor(world.random() * (position - after)) : position;
}

function readBatch(
  store: MemoryStore,
  filter: LogFilter,
  after: number,
  end: number,
): { matching: RecordedCommit[]; through: number; upTo: number } {
  const matching: RecordedCommit[] = [];
  const last = Math.min(end, store.head());
  let upTo = after;
  let through = 0;
  while (upTo < last && matching.length < BATCH) {
    const commit = store.at(++upTo);
    if (!delivers(filter, commit)) continue;
    through = upTo;
    if (commit !== undefined) matching.push(commit);
  }
  return { matching, through, upTo };
}

/** As on the server: only who reads everything meets the log's own messages. */
function delivers(filter: LogFilter, commit: RecordedCommit | undefined): boolean {
  if (commit !== undefined) return matchesFilter(filter, commit.stream);
  return filter.category === undefined && (filter.group?.count ?? 1) === 1;
}

/** Counts how many matching commits lie behind a position; looks at each commit of the log only once. */
function createCounter(store: MemoryStore, filter: LogFilter, after: number): (position: number) => number {
  /** Matching commits in `after+1..i`, at index `i - after`. */
  const matching = [0];
  return (position) => {
    while (matching.length <= store.head() - after) {
      const commit = store.at(after + matching.length);
      matching.push((matching.at(-1) ?? 0) + (delivers(filter, commit) ? 1 : 0));
    }
    return (matching.at(-1) ?? 0) - (matching[position - after] ?? 0);
  };
}

/** How one opener of a log in memory sees it. */
export interface MemoryLogOptions {
  /** The world whose schedule and faults apply. Without one every operation goes through at once. */
  readonly world?: World | undefined;
  /** The process that this handle belongs to; what the world crashes and traces. */
  readonly actor?: string;
  /** As of the real log: how long an append is tried, and each attempt, in milliseconds. */
  readonly deadlineMs?: number;
  readonly attemptTimeoutMs?: number;
  /** Largest commit, in bytes. */
  readonly maxBytes?: number;
  /** Commits in a page of an aggregate's history. */
  readonly pageSize?: number;
  /** Packs appends that are under way at once into batches, whatever they cost (protocol 16). */
  readonly groupCommit?: boolean;
  /** Whose word a confirmed read takes (protocol 19); the leader's by default. */
  readonly confirm?: 'leader' | 'quorum';
  /** Replaces the way to the store; a test spoils it here. */
  readonly spoil?: (transport: AppendTransport) => AppendTransport;
}

const DEFAULTS = {
  actor: 'main',
  deadlineMs: 2000,
  attemptTimeoutMs: 500,
  maxBytes: 1_048_576,
  pageSize: 500,
};

/** A log in memory with one handle. */
export function createMemoryLog(options: MemoryLogOptions & MemoryStoreOptions = {}): Log {
  return openMemoryLog(createMemoryStore(options), options);
}

/** Another process's handle on a shared log in memory. */
export function openMemoryLog(store: MemoryStore, options: MemoryLogOptions = {}): Log {
  const { world, actor, pageSize, groupCommit, confirm, spoil, ...limits } = { ...DEFAULTS, ...options };
  const sender: Sender = { world, actor, runtime: world?.runtime(actor) ?? systemRuntime };
  const bounds = { ...limits, runtime: sender.runtime };
  const confirmations = confirm === 'quorum' ? confirmationsOf(store, sender, bounds) : undefined;
  const straight = createMemoryTransport(store, sender);
  const honest = confirmations === undefined ? straight : servingReads(straight, confirmations, keyOf);
  const single = spoil?.(honest) ?? honest;
  const transport = groupCommit === true ? grouped(single, sender) : single;
  /** Up to where a read sees the log. */
  const seenEnd = async (
    how: ReadOptions['confirm'],
    what: string,
  ): Promise<{ readonly end: number; readonly witnessed?: Position }> => {
    if (how === true && confirmations !== undefined) {
      const { sequence } = await confirmations.next();
      return untilShown(bounds, what, async () => {
        await arrive(sender, what);
        const end = lagging(world, leaderEnd(store, sender));
        return end < sequence ? undefined : { end, witnessed: positionAt(sequence) };
      });
    }
    await arrive(sender, what);
    const end = leaderEnd(store, sender);
    return { end: how === false ? lagging(world, end) : end };
  };

  return {
    incarnation: store.incarnation,
    append: (stream, expected, commit) => appendOne(transport, { stream, expected, commit }, bounds),
    appendAll: (entries, guards) => appendResolved(transport, entries, bounds, guards),
    read: async (stream, { after, confirm, limit = pageSize }): Promise<StreamPage> => {
      checkStream(stream);
      const { end, witnessed } = await seenEnd(confirm, `read ${keyOf(stream)} after ${after}`);
      const most = Math.min(limit, pageSize);
      const commits = store.ofStream(stream, after, end, most);
      const more = commits.length === most;
      await answer(sender, `page of ${commits.length}`);
      const isEnough = confirm === true || (confirm === 'leader' && confirmations === undefined);
      return { commits, confirmedEnd: isEnough && !more, witnessed, more };
    },
    last: async (stream, upTo) => {
      const what = `read last of ${keyOf(checkStream(stream))}`;
      const { end } = await seenEnd(true, what);
      const until = upTo === undefined ? end : Math.min(end, sequenceOf(upTo));
      const last = store.ofStream(stream, 0, until, Infinity).at(-1);
      await answer(sender, what);
      return last;
    },
    at: async (position) => {
      const sequence = sequenceOf(position);
      const { end } = await seenEnd(true, `read position ${sequence}`);
      const commit = sequence > end ? undefined : store.at(sequence);
      await answer(sender, 'position read');
      return commit;
    },
    next: async (position) => {
      let at = sequenceOf(position);
      await arrive(sender, `read from position ${at}`);
      while (at < store.head() && store.at(at) === undefined) at++;
      const commit = store.at(at);
      await answer(sender, 'commit read');
      return commit;
    },
    head: async () => {
      const { end: head } = await seenEnd('leader', 'read head');
      await answer(sender, `head ${head}`);
      return positionAt(head);
    },
    confirm: async () => {
      if (confirmations !== undefined) return positionAt((await confirmations.next()).sequence);
      return positionAt((await seenEnd('leader', 'read head')).end);
    },
    scan: (options) => scanStore(store, sender, options),
  };
}

/** The fences of one handle, which are messages like others. */
function confirmationsOf(
  store: MemoryStore,
  sender: Sender,
  bounds: Pick<ConfirmationDeps, 'runtime' | 'deadlineMs' | 'attemptTimeoutMs'>,
): Confirmations {
  const put = () => store.putControl('fence');
  const sendFence = (timeoutMs: number) =>
    send(store, sender, { label: 'fence', name: 'fence', timeoutMs, put });
  return createConfirmations({ ...bounds, sendFence, fenceSubject: 'fence' });
}

/** Everything that may wait waits for company, so that the simulation meets batches at every load. */
function grouped(transport: AppendTransport, { world, runtime }: Sender): AppendTransport {
  const soon = (callback: () => void): void => {
    if (world === undefined) setImmediate(callback);
    else void runtime.sleep(0).then(callback);
  };
  return createGroupCommit(transport, {
    policy: fixedPolicy(2),
    slots: 2,
    now: runtime.now,
    soon,
  });
}
