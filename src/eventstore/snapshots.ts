import { isDeepStrictEqual } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import type { Message } from '@bufbuild/protobuf';
import { commandLogOf, recordsOf } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { emptyFold, type Folded, foldCommit, foldVersionOf, history } from './fold.ts';
import type { Log } from './log.ts';
import type { Runtime } from './runtime.ts';
import { keyOf, type StreamRef } from './stream.ts';

/** First byte of every snapshot; another one is another format and is ignored. */
const FORMAT = 3;
const [CHECKSUM_AT, LENGTH_AT, CONTENT_AT] = [1, 5, 9];

/** Incarnation of the log, state, version, and how many commands there were in all. */
type Content = readonly [string, unknown, number, number];

/**
 * A snapshot as bytes: format, checksum against damage, length of what follows, the structured clone of everything but
 * the remembered commands, and their records as they are in memory.
 */
export function sealSnapshot(incarnation: string, folded: Folded<unknown>): Uint8Array {
  const { state, version, commands } = folded;
  const content: Content = [incarnation, state, version, commands.count];
  const clone = serialize(content);
  const [firsts, rests] = recordsOf(commands);
  const recordsAt = CONTENT_AT + clone.length;
  const bytes = Buffer.allocUnsafeSlow(recordsAt + firsts.length + rests.length);
  bytes[0] = FORMAT;
  bytes.writeUInt32LE(clone.length, LENGTH_AT);
  bytes.set(clone, CONTENT_AT);
  bytes.set(firsts, recordsAt);
  bytes.set(rests, recordsAt + firsts.length);
  bytes.writeUInt32LE(crc32(bytes.subarray(LENGTH_AT)), CHECKSUM_AT);
  return bytes;
}

/** The snapshot in the bytes; `undefined` when they are damaged, of another format, or of another incarnation. */
export function openSnapshot<State>(incarnation: string, bytes: Uint8Array): Folded<State> | undefined {
  if (bytes.length < CONTENT_AT || bytes[0] !== FORMAT) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (crc32(view.subarray(LENGTH_AT)) !== view.readUInt32LE(CHECKSUM_AT)) return undefined;
  const clonedTo = CONTENT_AT + view.readUInt32LE(LENGTH_AT);
  try {
    const [of, state, version, count] = deserialize(view.subarray(CONTENT_AT, clonedTo)) as Content;
    const commands = commandLogOf(count, view.subarray(clonedTo));
    if (of !== incarnation || commands === undefined) return undefined;
    // The key names the fold that made it, so the state has that fold's type.
    return { state: state as State, version, commands, confirmedAt: 0 };
  } catch {
    // Written by a newer Node.js than this one can read.
    return undefined;
  }
}

/** Where snapshots are kept. A cache: it may lose, forget or refuse anything. */
export interface SnapshotStore {
  get(key: string): Promise<Uint8Array | undefined>;
  /** The last write wins; an older snapshot over a newer one costs time and never truth. Need not wait for the store. */
  put(key: string, value: Uint8Array): Promise<void>;
  /** Resolves when everything that was put has reached the store, where `put` does not wait for that; bounded. */
  flush?(): Promise<void>;
}

export interface SnapshotSettings {
  /**
   * Share of loads that are compared with the log in the background, from 0 to 1 (all). Of aggregates with a history of
   * more than 16 commands proportionally fewer, since each comparison reads the whole of it.
   */
  readonly verifyShare: number;
  /** Snapshots of aggregates in use written per second at the most; writes of one aggregate are coalesced. */
  readonly maxPerSecond: number;
  /** Aggregates that may wait for their snapshot; more are not written this time. */
  readonly maxWaiting: number;
}

export const defaultSnapshotSettings: SnapshotSettings = {
  verifyShare: 0.01,
  maxPerSecond: 2_000,
  maxWaiting: 20_000,
};

/** What a verification found: the snapshot is not the fold of the log. */
export interface WrongSnapshot {
  readonly stream: StreamRef;
  readonly version: number;
  readonly key: string;
}

/** Snapshots of aggregates: trusted optimistically, since only an append validates state. */
export interface Snapshots {
  /** The snapshot of this fold of the aggregate, whatever its age; nothing when there is none that fits. Never throws. */
  load<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
  ): Promise<Folded<S> | undefined>;
  /** Writes the aggregate's snapshot now. */
  write<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
  ): void;
  /** Remembers to write the aggregate's snapshot soon, as it then is. */
  offer<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
  ): void;
  /** Writes what waits, within the bound of the store's own timeouts, and stops. */
  close(): Promise<void>;
}

export interface SnapshotDeps {
  readonly store: SnapshotStore;
  readonly log: Log;
  readonly runtime: Runtime;
  readonly settings?: Partial<SnapshotSettings>;
  /** Told of every snapshot that is not the fold of the log; it has been replaced by then. */
  readonly onWrong: (wrong: WrongSnapshot) => void;
}

const PACE_MS = 50;
/** A state this many bytes long is written one commit later each time: large states are written less often. */
const BYTES_PER_SKIPPED_COMMIT = 4_096;
/** Comparing a snapshot with a longer history costs more than it finds, were it done as often. */
const VERIFIED_FULLY = 16;
/** A history of one command is read as fast as a snapshot of it. */
const FEWEST_COMMANDS = 2;
/** Larger states are not written at all. */
const MAX_BYTES = 512 * 1024;

interface Waiting {
  readonly key: string;
  readonly folded: Folded<unknown>;
}

export function createSnapshots(deps: SnapshotDeps): Snapshots {
  const { store, log, runtime } = deps;
  const settings = { ...defaultSnapshotSettings, ...deps.settings };
  const waiting = new Map<string, Waiting>();
  let pacing: Promise<void> | undefined;
  let closed = false;

  const snapshotKey = (decider: Parameters<typeof foldVersionOf>[0], stream: StreamRef): string =>
    `${stream.category}.${foldVersionOf(decider)}.${stream.id}`;

  function sealed(folded: Folded<unknown>): Uint8Array | undefined {
    try {
      return sealSnapshot(log.incarnation, folded);
    } catch {
      // A state that is not plain data costs its snapshot and nothing else.
      return undefined;
    }
  }

  async function writeOne({ key, folded }: Waiting): Promise<void> {
    folded.waiting = false;
    const bytes = folded.untrusted ? undefined : sealed(folded);
    if (bytes === undefined || bytes.length > MAX_BYTES) return;
    folded.snapshotPause = Math.floor(bytes.length / BYTES_PER_SKIPPED_COMMIT);
    // A cache: what cannot be written is missing, and missing costs time only.
    await store.put(key, bytes).catch(() => undefined);
  }

  /** What was there before of the aggregate does not wait any more. */
  function takeOut(name: string): void {
    const entry = waiting.get(name);
    if (entry === undefined) return;
    entry.folded.waiting = false;
    waiting.delete(name);
  }

  /** The ones that wait for longest. */
  function takeWaiting(count: number): Waiting[] {
    const taken: Waiting[] = [];
    for (const [name, entry] of waiting) {
      if (taken.length === count) break;
      waiting.delete(name);
      taken.push(entry);
    }
    return taken;
  }

  async function pace(): Promise<void> {
    const share = Math.max(1, Math.floor((settings.maxPerSecond * PACE_MS) / 1_000));
    while (waiting.size > 0) {
      if (!closed) await runtime.sleep(PACE_MS);
      await Promise.all(takeWaiting(closed ? waiting.size : share).map(writeOne));
    }
    pacing = undefined;
  }

  async function verify<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    snapshot: Pick<Folded<S>, 'state' | 'version' | 'commands'>,
    handedOut: Folded<S>,
  ): Promise<void> {
    const truth = emptyFold(decider.initial);
    for await (const commit of history(log, stream, { version: snapshot.version })) {
      foldCommit(decider, truth, commit);
    }
    const same = truth.version === snapshot.version && isDeepStrictEqual(plain(truth), plain(snapshot));
    if (same) return;
    // Whoever still works with it must not put it back.
    handedOut.untrusted = true;
    const key = snapshotKey(decider, stream);
    await writeOne({ key, folded: truth });
    deps.onWrong({ stream, version: snapshot.version, key });
  }

  return {
    load: async <S, C, E extends Message, R extends Rejection>(
      decider: Decider<S, C, E, R>,
      stream: StreamRef,
    ) => {
      const bytes = await store.get(snapshotKey(decider, stream)).catch(() => undefined);
      const folded = bytes === undefined ? undefined : openSnapshot<S>(log.incarnation, bytes);
      if (folded === undefined || bytes === undefined) return undefined;
      if (isSample(settings.verifyShare, folded.commands.count, runtime.random())) {
        // Its own copy, since the one handed out is advanced in place.
        const copy = openSnapshot<S>(log.incarnation, bytes);
        if (copy !== undefined) void verify(decider, stream, copy, folded).catch(() => undefined);
      }
      return folded;
    },
    write: (decider, stream, folded) => {
      if (closed || folded.commands.count < FEWEST_COMMANDS) return;
      takeOut(keyOf(stream));
      void writeOne({ key: snapshotKey(decider, stream), folded });
    },
    offer: (decider, stream, folded) => {
      // What waits is written as it then is.
      if (folded.waiting || closed || folded.commands.count < FEWEST_COMMANDS) return;
      const name = keyOf(stream);
      if (folded.snapshotPause !== undefined && folded.snapshotPause-- > 0) return;
      if (!waiting.has(name) && waiting.size >= settings.maxWaiting) return;
      takeOut(name);
      folded.waiting = true;
      waiting.set(name, { key: snapshotKey(decider, stream), folded });
      pacing ??= pace();
    },
    close: async () => {
      closed = true;
      await pacing;
      await store.flush?.().catch(() => undefined);
    },
  };
}

function isSample(share: number, commands: number, random: number): boolean {
  return share >= 1 || random < share * Math.min(1, VERIFIED_FULLY / commands);
}

function plain(folded: Pick<Folded<unknown>, 'state' | 'version' | 'commands'>): unknown {
  const { state, version, commands } = folded;
  return { state, version, commands };
}
