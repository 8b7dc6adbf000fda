import { isDeepStrictEqual } from 'node:util';
import type { Message } from '@bufbuild/protobuf';
import { firstVersion } from '../command-log.ts';
import type { Decider, Rejection } from '../decider.ts';
import { emptyFold, type Folded, foldCommit, history } from '../fold.ts';
import type { Log } from '../log.ts';
import type { Runtime } from '../runtime.ts';
import { keyOf, type StreamRef } from '../stream.ts';
import {
  headFits,
  loadSection,
  type StoredSection,
  sectionKey,
  sectionsDue,
  writeSections,
} from './sections.ts';
import { MAX_BYTES, openSnapshot, type SnapshotStore, sealSnapshot, snapshotKey } from './stored.ts';

/** How snapshots are written and verified. */
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
  /** An aggregate of fewer commands gets none while its commits lie close together: they are read nearly as fast. */
  readonly fewestCommands: number;
}

export const defaultSnapshotSettings: SnapshotSettings = {
  verifyShare: 0.01,
  maxPerSecond: 2_000,
  maxWaiting: 20_000,
  fewestCommands: 8,
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
  /**
   * Folds the aggregate from the log and writes its snapshot, unless a snapshot of it is not worth its place. It may be
   * late by then, and in the place of a newer one: that costs time and never truth.
   * @throws LogUnavailable, UnknownEventType, CorruptCommit, and what the store throws
   */
  remake<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
  ): Promise<void>;
  /** A section as it was stored, whatever its age; nothing when it is lost. Never throws. */
  section<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
    index: number,
  ): Promise<StoredSection | undefined>;
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

/** How long what is offered first waits, and with it all that comes meanwhile: a busy aggregate is written once in that time. */
const GATHER_MS = 1_000;
const PACE_MS = 50;
/**
 * A state this many bytes long is written one commit later each time: large states are written less often. To read one
 * commit more behind a snapshot takes about what it takes to read so much more of it.
 */
const BYTES_PER_SKIPPED_COMMIT = 1_024;
/** Comparing a snapshot with a longer history costs more than it finds, were it done as often. */
const VERIFIED_FULLY = 16;
/** A history of one command is read as fast as a snapshot of it, wherever it lies. */
const ONE_COMMAND = 1;
/** Commits within so many positions lie in one block of the log or two: a server reads a block whole. */
const CLOSE = 10_000;

interface Waiting {
  readonly folded: Folded<unknown>;
  readonly write: () => Promise<void>;
}

export function createSnapshots(deps: SnapshotDeps): Snapshots {
  const { store, log, runtime } = deps;
  const settings = { ...defaultSnapshotSettings, ...deps.settings };
  const waiting = new Map<string, Waiting>();
  const writingSections = new Set<Promise<void>>();
  let pacing: Promise<void> | undefined;
  let wake = (): void => undefined;
  let closed = false;

  const isShort = ({ commands, version }: Folded<unknown>): boolean =>
    commands.count <= ONE_COMMAND ||
    (commands.count < settings.fewestCommands && version - firstVersion(commands) < CLOSE);

  async function writeHead<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
  ): Promise<void> {
    if (folded.untrusted || !headFits(decider.sections, folded)) return;
    const bytes = sealed({ ...folded, state: headOf(decider, folded.state) });
    if (bytes === undefined) return;
    folded.snapshotPause = Math.floor(bytes.length / BYTES_PER_SKIPPED_COMMIT);
    if (bytes.length > MAX_BYTES) return;
    // A cache: what cannot be written is missing, and missing costs time only.
    await store.put(snapshotKey(decider, stream), bytes).catch(() => undefined);
  }

  function sealed(folded: Folded<unknown>): Uint8Array | undefined {
    try {
      return sealSnapshot(log.incarnation, folded);
    } catch {
      // A state that is not plain data costs its snapshot and nothing else.
      return undefined;
    }
  }

  async function writeOne<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
  ): Promise<void> {
    folded.waiting = false;
    if (!sectionsDue(decider.sections, folded)) return writeHead(decider, stream, folded);
    // The snapshots of others do not wait for so many.
    const writing = writeAll(decider, stream, folded)
      .catch(() => undefined)
      .finally(() => writingSections.delete(writing));
    writingSections.add(writing);
  }

  async function writeAll<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
  ): Promise<void> {
    const pause = async () => (closed ? undefined : runtime.sleep(PACE_MS));
    const write = () => writeSections({ store, log }, decider, stream, folded, pause);
    // Meanwhile a very busy aggregate may have come so far that they are too old already.
    while ((await write()) && !headFits(decider.sections, folded));
    await writeHead(decider, stream, folded);
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

  /** Ends early when the process closes. */
  const restFor = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      if (closed) resolve();
      else void runtime.sleep(ms).then(resolve);
    });

  async function pace(): Promise<void> {
    const share = Math.max(1, Math.floor((settings.maxPerSecond * PACE_MS) / 1_000));
    for (let ms = GATHER_MS; waiting.size > 0; ms = PACE_MS) {
      await restFor(ms);
      await Promise.all(takeWaiting(closed ? waiting.size : share).map(({ write }) => write()));
    }
    pacing = undefined;
  }

  /** Compares with the fold of the log up to a version, and puts that in place of what is not the same. */
  async function verify<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
    handedOut: Folded<S>,
    { version, key, isTrue }: Compared<S>,
  ): Promise<void> {
    const truth = emptyFold(decider.initial);
    for await (const commit of history(log, stream, { version })) foldCommit(decider, truth, commit);
    if (truth.version === version && isTrue(truth)) return;
    // Whoever still works with it must not put it back.
    handedOut.untrusted = true;
    await writeOne(decider, stream, truth);
    deps.onWrong({ stream, version, key });
  }

  const isSampled = ({ commands }: Folded<unknown>): boolean =>
    isSample(settings.verifyShare, commands.count, runtime.random());

  return {
    load: async <S, C, E extends Message, R extends Rejection>(
      decider: Decider<S, C, E, R>,
      stream: StreamRef,
    ) => {
      const key = snapshotKey(decider, stream);
      const bytes = await store.get(key).catch(() => undefined);
      const folded = bytes === undefined ? undefined : openSnapshot<S>(log.incarnation, bytes);
      if (folded === undefined || bytes === undefined) return undefined;
      // In place: a copy of it would take more memory for as long as it is kept.
      folded.cloned = decider.sections === undefined;
      folded.state = fromHead(decider, folded.state);
      if (isSampled(folded)) {
        // Its own copy, since the one handed out is advanced in place.
        const { version } = folded;
        const copy = openSnapshot<unknown>(log.incarnation, bytes);
        const isTrue = (truth: Folded<S>): boolean =>
          isDeepStrictEqual([headOf(decider, truth.state), truth.commands], [copy?.state, copy?.commands]);
        void verify(decider, stream, folded, { version, key, isTrue }).catch(() => undefined);
      }
      return folded;
    },
    remake: async (decider, stream) => {
      const folded = emptyFold(decider.initial);
      for (let more = true; more; ) {
        const page = await log.read(stream, { after: folded.version, confirm: false });
        for (const commit of page.commits) foldCommit(decider, folded, commit);
        more = page.more && page.commits.length > 0;
      }
      if (isShort(folded)) return;
      if (sectionsDue(decider.sections, folded)) await writeAll(decider, stream, folded);
      else await writeHead(decider, stream, folded);
    },
    section: async (decider, stream, folded, index) => {
      const section = await loadSection({ store, log }, decider, stream, index);
      if (section !== undefined && isSampled(folded)) {
        const { version, content } = section;
        const key = sectionKey(decider, stream, index);
        const isTrue = ({ state }: typeof folded): boolean =>
          isDeepStrictEqual(decider.sections?.take(state, index), content);
        void verify(decider, stream, folded, { version, key, isTrue }).catch(() => undefined);
      }
      return section;
    },
    write: (decider, stream, folded) => {
      if (closed || isShort(folded)) return;
      takeOut(keyOf(stream));
      void writeOne(decider, stream, folded);
    },
    offer: (decider, stream, folded) => {
      // What waits is written as it then is.
      if (folded.waiting || closed || isShort(folded)) return;
      const name = keyOf(stream);
      const isEarly = folded.snapshotPause !== undefined && folded.snapshotPause-- > 0;
      if (isEarly && !sectionsDue(decider.sections, folded)) return;
      if (!waiting.has(name) && waiting.size >= settings.maxWaiting) return;
      takeOut(name);
      folded.waiting = true;
      waiting.set(name, { folded, write: () => writeOne(decider, stream, folded) });
      pacing ??= pace();
    },
    close: async () => {
      closed = true;
      wake();
      await pacing;
      await Promise.all(writingSections);
      await store.flush?.().catch(() => undefined);
    },
  };
}

/** What is compared with the fold of the log. */
interface Compared<S> {
  readonly version: number;
  readonly key: string;
  readonly isTrue: (truth: Folded<S>) => boolean;
}

function headOf<S, C, E extends Message, R extends Rejection>(
  { sections }: Decider<S, C, E, R>,
  state: S,
): unknown {
  return sections === undefined ? state : sections.head(state);
}

function fromHead<S, C, E extends Message, R extends Rejection>(
  { sections }: Decider<S, C, E, R>,
  head: unknown,
): S {
  // The key names the fold that made it, so a head without sections has that fold's type.
  return sections === undefined ? (head as S) : sections.fromHead(head);
}

function isSample(share: number, commands: number, random: number): boolean {
  return share >= 1 || random < share * Math.min(1, VERIFIED_FULLY / commands);
}
