import {
  groupOfSlot,
  type Log,
  type MarkWatch,
  type Position,
  type Runtime,
  type SlotGroup,
  type StreamRef,
  slotOf,
  timeOf,
} from '../../eventstore/index.ts';
import { type Cursor, type CursorState, claimCursor, createProgress } from './cursor.ts';
import { claimDeadLetters, type DeadLetterIndex, loadDeadLetters } from './dead-letters/dead-letters.ts';
import { fenceKey } from './dead-letters/entry.ts';
import { createRedrives, type Redrives } from './dead-letters/redrive.ts';
import { type Feed, type Handle, readGroup } from './delivery.ts';
import { OwnershipLost } from './errors.ts';
import { createLaneDelivery } from './lane-delivery.ts';
import { createLanes, type Lanes } from './lanes.ts';
import type { EngineObserver } from './observer.ts';
import { groupKey, type Session } from './ownership.ts';
import type { Reaction } from './reaction.ts';
import type { EngineBuckets } from './rows.ts';
import type { EngineSettings } from './settings.ts';
import { pause } from './signal.ts';
import { startOf } from './start.ts';
import { createHeldTimers, type DeliveryTimers, type HeldTimers } from './timers/held-timers.ts';

/** One group of a consumer while this process owns it. */
export interface GroupRunner {
  readonly group: SlotGroup;
  /** Resolves when the group is left: with an error when the consumer has to stop. */
  readonly ended: Promise<{ readonly error?: unknown }>;
  /** Finishes what runs, writes the cursor and gives the group back. */
  stop(): Promise<void>;
  /** Begins nothing until it is called with false. */
  hold(held: boolean): void;
  /** The dead letters of an aggregate have changed. */
  look(stream: StreamRef): void;
  status(): GroupStatus;
}

export interface GroupStatus {
  /** Commits that are stored and not done. */
  readonly lag: number;
  /** When the oldest of those that were read was decided, in milliseconds since the Unix epoch. */
  readonly oldestAt: number | undefined;
  readonly held: number;
  readonly running: number;
  readonly retrying: number;
}

export interface GroupDeps {
  readonly log: Log;
  readonly buckets: EngineBuckets;
  readonly index: DeadLetterIndex;
  /** Which positions are passed over. */
  readonly marked: MarkWatch;
  readonly runtime: Runtime;
  readonly settings: EngineSettings;
  readonly feed: Feed;
  readonly observer: EngineObserver | undefined;
  readonly consumer: Reaction;
  /** The log's end at the start of this process, where it is known; for reactions that begin there. */
  readonly head: Position | undefined;
  readonly handle: Handle;
  readonly group: SlotGroup;
  readonly session: Session;
  /** Gives the lease back. */
  readonly release: () => Promise<void>;
}

interface GroupWork {
  readonly lanes: Lanes;
  readonly redrives: Redrives;
  readonly cursor: Cursor;
  readonly timers: HeldTimers | undefined;
}

/** Runs a group whose lease was just taken: claims its fences, loads its dead letters, and reads on from its floor. */
export function runGroup(deps: GroupDeps): GroupRunner {
  const { runtime, settings, consumer, group, session } = deps;
  const reading = new AbortController();
  const leaving = new AbortController();
  const leave = (): void => {
    reading.abort();
    leaving.abort();
  };
  let work: GroupWork | undefined;
  let onHold = false;
  let pending = 0;
  let failure: { error?: unknown } = {};

  session.ended.addEventListener('abort', leave, { once: true });
  if (session.ended.aborted) leave();
  const lost = (error: unknown): void => {
    if (!(error instanceof OwnershipLost)) failure = { error };
    leave();
  };
  /** Ends gently: what runs is finished and counted. */
  const finish = (): void => {
    reading.abort();
    void work?.lanes.halt();
  };
  const stopped = (error: unknown): void => {
    failure = { error };
    finish();
  };
  const begin = async (): Promise<Awaited<ReturnType<typeof takeOver>>> => {
    const taken = await takeOver(deps, leaving.signal, { lost, stopped });
    work = taken;
    work.lanes.hold(onHold);
    for (const { stream } of deps.index.firsts(consumer.name)) look(stream);
    return taken;
  };
  const look = (stream: StreamRef): void => {
    if (groupOfSlot(slotOf(stream.id), group.count) === group.index) work?.redrives.look(stream);
  };
  const run = async (): Promise<{ error?: unknown }> => {
    try {
      const taken = await begin();
      const { lanes, cursor } = taken;
      await readGroup(deps, taken, reading.signal, (count) => {
        pending = count;
      });
      const halted = lanes.halt();
      await Promise.race([halted, pause(runtime, settings.stopMs, leaving.signal)]);
      // Those that cannot be armed now stay in the cursor.
      const armed = taken.timers?.armAll().catch(() => undefined);
      await Promise.race([armed, pause(runtime, settings.stopMs, leaving.signal)]);
      await Promise.race([cursor.flush(), pause(runtime, settings.stopMs, leaving.signal)]);
    } catch (error) {
      if (!leaving.signal.aborted && !(error instanceof OwnershipLost)) failure = { error };
    }
    leave();
    session.ended.removeEventListener('abort', leave);
    if (session.alive()) await deps.release();
    // A zombie of this very process must have ended before the group may be taken again here.
    const patience = new AbortController();
    await Promise.race([work?.lanes.halt(), pause(runtime, settings.stopMs, patience.signal)]);
    patience.abort();
    return failure;
  };

  const ended = run();
  return {
    group,
    ended,
    stop: async () => {
      finish();
      await ended;
    },
    hold: (held) => {
      onHold = held;
      work?.lanes.hold(held);
    },
    look,
    status: () => {
      const oldest = work?.lanes.oldest();
      const { held = 0, running = 0, retrying = 0 } = work?.lanes ?? {};
      const oldestAt = oldest && (timeOf(oldest) || undefined);
      return { lag: pending + held, oldestAt, held, running, retrying };
    },
  };
}

/** The steps between the lease and the first commit, in the order that protocols 7 and 9 need. */
async function takeOver(
  deps: GroupDeps,
  signal: AbortSignal,
  { lost, stopped }: { lost: (error: unknown) => void; stopped: (error: unknown) => void },
): Promise<GroupWork & { readonly after: Position }> {
  const { log, buckets, index, runtime, settings, consumer, group, session } = deps;
  const owner = { runtime, session, signal };
  const fence = fenceKey(consumer.name, group);
  const deadLetters = await claimDeadLetters({ ...owner, bucket: buckets.parked, index, fence });
  const places = { ...owner, bucket: buckets.cursors, log };
  const cursor = await claimCursor({
    ...places,
    begin: () => startOf({ ...places, consumer, head: deps.head }),
    key: groupKey(consumer.name, group),
    settings,
    current: () => ({ ...progress.state(), ...heldIn(timers) }),
    written: (low) => redrives.floor(low),
    lost,
  });
  const { revision } = deadLetters;
  const found = { bucket: buckets.parked, index, consumer: consumer.name, group, fence, revision };
  await loadDeadLetters({ ...owner, ...found });
  const progress = createProgress(cursor.start);
  const stored = (): Position => cursor.stored;
  const timers = consumer.timers && holdTimers(deps, consumer.timers, cursor, signal);
  const resumedAt = cursor.start.high;
  const owned = {
    ...deps,
    bucket: buckets.parked,
    deadLetters,
    timers,
    resumedAt,
    handledUpTo: cursor.end,
    stored,
    alive: session.alive,
    signal,
    lost,
  };
  const deliver = createLaneDelivery(owned, (tried) => deps.handle(tried, timers));
  const lanes = createLanes({ runtime, settings, progress, deliver, advanced: cursor.changed, stopped });
  signal.addEventListener('abort', () => void lanes.halt(), { once: true });
  const { name } = consumer;
  const redrives = createRedrives({ consumer: name, index, marked: deps.marked, stored, nudge: lanes.nudge });
  return { lanes, redrives, cursor, timers, after: progress.seen };
}

function holdTimers(
  { runtime, settings }: GroupDeps,
  timers: DeliveryTimers,
  { start, changed }: Cursor,
  signal: AbortSignal,
): HeldTimers {
  const holdMs = settings.timerHoldMs;
  return createHeldTimers({ timers, runtime, holdMs, signal, start: start.timers ?? [], changed });
}

function heldIn(timers: HeldTimers | undefined): Pick<CursorState, 'timers'> {
  const held = timers?.all() ?? [];
  return held.length === 0 ? {} : { timers: held };
}
