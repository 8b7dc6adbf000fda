import {
  isAfter,
  keyOf,
  type Position,
  type RecordedCommit,
  type Runtime,
  type StreamRef,
} from '../../eventstore/index.ts';
import type { Progress } from './cursor.ts';
import type { EngineSettings } from './settings.ts';
import { createSignal, pause } from './signal.ts';

/** What a lane delivers: its first commit, or a dead letter of its aggregate. */
export interface LaneTask {
  readonly stream: StreamRef;
  /** The lane's commits in order; empty when only a dead letter is to be looked at. */
  readonly commits: readonly RecordedCommit[];
  /** 1, or one more than the tries that failed. */
  readonly attempt: number;
  /** When it failed for the first time, in milliseconds since the Unix epoch. */
  readonly failingSince?: number | undefined;
  /** Set when it must not be tried again: what it failed with last. */
  readonly givenUp?: { readonly error: unknown } | undefined;
}

/** What came of it: so many commits are done; or one failed; or the consumer must stop. */
export type LaneResult =
  /** `again`: a dead letter was dealt with and there may be more. */
  | { readonly done: number; readonly again?: boolean }
  | { readonly retryAfterMs: number; readonly error: unknown }
  | { readonly stop: unknown };

/** The lanes of a group: in order for each aggregate, side by side for different ones, bounded. */
export interface Lanes {
  /** Puts a commit into its lane; resolves when there is room for it, or the lanes have halted. */
  admit(commit: RecordedCommit): Promise<void>;
  /** A position that does not concern the consumer. */
  pass(position: Position): void;
  /** Lets an aggregate's lane look at its dead letters. */
  nudge(stream: StreamRef): void;
  /** Nothing more is begun until it is called with false. */
  hold(held: boolean): void;
  readonly held: number;
  readonly running: number;
  /** Lanes that wait for another try. */
  readonly retrying: number;
  /** The oldest commit that is not done. */
  oldest(): RecordedCommit | undefined;
  /** Begins nothing any more; resolves when what runs has ended. */
  halt(): Promise<void>;
}

/** One aggregate's lane. */
export interface Lane {
  readonly stream: StreamRef;
  readonly queue: RecordedCommit[];
  state: 'ready' | 'running' | 'waiting';
  nudged: boolean;
  attempt: number;
  /** How many commits it held when it was last tried. */
  tried: number;
  /** When the next try of its back-off is due, in milliseconds since the Unix epoch; 0 when it does not fail. */
  dueAt: number;
  failure: { readonly error: unknown; readonly firstAt: number } | undefined;
  /** Its first commit is not tried again but becomes a dead letter. */
  isGivenUp: boolean;
  wake: AbortController | undefined;
}

export interface LanesDeps {
  readonly runtime: Runtime;
  readonly settings: EngineSettings;
  readonly progress: Progress;
  /** Delivers what is first in a lane; never rejects. */
  readonly deliver: (task: LaneTask) => Promise<LaneResult>;
  /** Called when commits have become done. */
  readonly advanced: () => void;
  readonly stopped: (error: unknown) => void;
}

/** The lanes of a group, empty. */
export function createLanes({ runtime, settings, progress, deliver, advanced, stopped }: LanesDeps): Lanes {
  const lanes = new Map<string, Lane>();
  const halted = new AbortController();
  /** Lanes that have failed and not succeeded since. */
  const failing = new Set<Lane>();
  const room = createSignal();
  const idle = createSignal();
  let halting: Promise<void> | undefined;
  let ready: Lane[] = [];
  let held = 0;
  let running = 0;
  let onHold = false;

  const laneOf = (stream: StreamRef): Lane => {
    const key = keyOf(stream);
    const lane: Lane = lanes.get(key) ?? {
      stream,
      queue: [],
      state: 'ready',
      nudged: false,
      attempt: 1,
      tried: 0,
      dueAt: 0,
      failure: undefined,
      isGivenUp: false,
      wake: undefined,
    };
    if (!lanes.has(key)) {
      lanes.set(key, lane);
      ready.push(lane);
    }
    return lane;
  };
  const pump = (): void => {
    while (!halted.signal.aborted && !onHold && running < settings.concurrency) {
      const lane = ready.shift();
      if (lane === undefined) return;
      void run(lane);
    }
  };
  const makeReady = (lane: Lane): void => {
    lane.state = 'ready';
    ready.push(lane);
    pump();
  };
  const giveUp = (lane: Lane): void => {
    lane.isGivenUp = true;
    lane.wake?.abort();
  };
  const run = async (lane: Lane): Promise<void> => {
    const { stream, queue, attempt, failure } = lane;
    lane.state = 'running';
    lane.nudged = false;
    lane.tried = queue.length;
    running++;
    const givenUp = lane.isGivenUp ? failure : undefined;
    const task = { stream, commits: queue, attempt, failingSince: failure?.firstAt, givenUp };
    const result = await deliver(task);
    running--;
    if (!halted.signal.aborted) settle(lane, result);
    else if ('done' in result) finish(lane, result.done);
    if (halted.signal.aborted && running === 0) idle.raise();
    pump();
  };
  const settle = (lane: Lane, result: LaneResult): void => {
    if ('stop' in result) stopped(result.stop);
    else if ('retryAfterMs' in result) void retry(lane, result.retryAfterMs, result.error);
    else goOn(lane, result.done, result.again === true);
  };
  const finish = (lane: Lane, done: number): void => {
    for (const { position } of lane.queue.splice(0, done)) {
      progress.finish(position);
      held--;
    }
  };
  const goOn = (lane: Lane, done: number, again: boolean): void => {
    lane.attempt = 1;
    lane.dueAt = 0;
    lane.failure = undefined;
    lane.isGivenUp = false;
    failing.delete(lane);
    finish(lane, done);
    if (lane.queue.length > 0 || lane.nudged || again) makeReady(lane);
    else lanes.delete(keyOf(lane.stream));
    if (done > 0) advanced();
    room.raise();
  };
  /**
   * A newer commit of the aggregate may have made what fails needless, such as an order's end a payment: it is tried at
   * once, one time for what has come, without counting, and then again when it would have been.
   */
  const retry = async (lane: Lane, afterMs: number, error: unknown): Promise<void> => {
    const now = runtime.now();
    const firstAt = lane.failure?.firstAt ?? now;
    lane.failure = { error, firstAt };
    if (now >= lane.dueAt) {
      lane.attempt++;
      lane.dueAt = now + afterMs;
    }
    lane.state = 'waiting';
    lane.wake = new AbortController();
    failing.add(lane);
    if (lane.queue.length > settings.laneHeld) giveUp(lane);
    room.raise();
    const left = firstAt + settings.deadLetterAfterMs - now;
    const rest = lane.queue.length > lane.tried ? 0 : lane.dueAt - now;
    await pause(runtime, Math.min(rest, left), lane.wake.signal);
    lane.wake = undefined;
    if (runtime.now() - firstAt >= settings.deadLetterAfterMs) lane.isGivenUp = true;
    if (!halted.signal.aborted) makeReady(lane);
  };
  /**
   * When the reader has no room, and most of it is taken by lanes that fail, the one of them that holds the oldest
   * commit gives way. While most is taken by others, those will make room.
   */
  const makeRoom = (): void => {
    let taken = 0;
    let oldest: Lane | undefined;
    for (const lane of failing) {
      // One is enough at a time.
      if (lane.isGivenUp) return;
      const at = lane.queue[0]?.position;
      if (at === undefined) continue;
      taken += lane.queue.length;
      const before = oldest?.queue[0]?.position;
      if (lane.state === 'waiting' && (before === undefined || isAfter(before, at))) oldest = lane;
    }
    if (oldest !== undefined && taken * 2 > settings.maxHeld) giveUp(oldest);
  };

  const end = async (): Promise<void> => {
    halted.abort();
    ready = [];
    for (const { wake } of lanes.values()) wake?.abort();
    while (running > 0) await idle.raised(new AbortController().signal);
  };

  return {
    admit: async (commit) => {
      while (!halted.signal.aborted && held >= settings.maxHeld) {
        makeRoom();
        await room.raised(halted.signal);
      }
      if (halted.signal.aborted || !progress.begin(commit.position)) return;
      held++;
      const lane = laneOf(commit.stream);
      lane.queue.push(commit);
      if (lane.state === 'waiting' && lane.queue.length > settings.laneHeld) giveUp(lane);
      else lane.wake?.abort();
      pump();
    },
    pass: progress.pass,
    nudge: (stream) => {
      const lane = laneOf(stream);
      lane.nudged = true;
      pump();
    },
    hold: (on) => {
      onHold = on;
      pump();
    },
    get held() {
      return held;
    },
    get running() {
      return running;
    },
    get retrying() {
      return [...lanes.values()].filter(({ state }) => state === 'waiting').length;
    },
    oldest: () => {
      const { first } = progress;
      if (first === undefined) return undefined;
      for (const { queue } of lanes.values()) if (queue[0]?.position === first) return queue[0];
      return undefined;
    },
    halt: () => {
      halting ??= end();
      return halting;
    },
  };
}
