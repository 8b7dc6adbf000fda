import { nextTick } from 'node:process';
import type { Runtime } from '../eventstore/runtime.ts';

/** A seeded generator: the same seed gives the same numbers in [0, 1) on every machine and for ever. */
export type Prng = () => number;

/**
 * sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, and fast enough to be asked at every step.
 * Twelve rounds are thrown away first, so that neighbouring seeds do not start alike.
 */
export function createPrng(seed: number): Prng {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed | 0;
  let counter = (Math.floor(seed / 2 ** 32) | 0) + 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** How often each fault strikes: probabilities in [0, 1], rolled from the world's seed where the fault could happen. */
export interface Faults {
  /** A read that was not confirmed sees an older prefix of the log or bucket. */
  readonly staleRead: number;
  /** A write is stored and its answer never comes. */
  readonly lostAck: number;
  /** A write gets no answer and is stored (if its expectation still holds) after its sender gave up waiting. */
  readonly lateLanding: number;
  /** A write gets no answer and was never stored. */
  readonly lostSend: number;
  /** The server is away for one operation: a write is refused, a read throws. */
  readonly unavailable: number;
  /** A scan breaks off with LogUnavailable. */
  readonly brokenScan: number;
  /** A scan goes back and delivers commits again, in order, as a restart from an older checkpoint would. */
  readonly redelivery: number;
  /**
   * The servers that a process talks to are cut off for up to `longestDelayMs`: their leader answers from the past, and
   * they store nothing.
   */
  readonly partition: number;
  /** An operation takes up to `longestDelayMs`, so that timers of others go first. */
  readonly delay: number;
  /** A spawned actor stops for ever at the operation it has just asked for. */
  readonly crash: number;
}

/** The world in which nothing goes wrong but the order of things. */
export const NO_FAULTS: Faults = {
  staleRead: 0,
  lostAck: 0,
  lateLanding: 0,
  lostSend: 0,
  unavailable: 0,
  brokenScan: 0,
  redelivery: 0,
  partition: 0,
  delay: 0,
  crash: 0,
};

/** An operation that waits to go on. */
export interface Step {
  readonly label: string;
  /** Who goes on; `undefined` is nobody, for example a message in the network. */
  readonly actor: string | undefined;
  readonly resume: () => void;
}

interface Timer {
  readonly due: number;
  readonly step: Step;
}

/** Steps that can go on now, and steps whose time has not come. */
export interface StepQueue {
  /** Adds a step that becomes ready at `due`, in milliseconds. */
  add(step: Step, due: number): void;
  /** Takes one of the ready steps by the generator's choice; when there is none, the clock jumps to the next timer. */
  take(): Step | undefined;
  /** Forgets every step of an actor. */
  drop(actor: string): void;
  now(): number;
}

export function createStepQueue(startMs: number, prng: Prng): StepQueue {
  let now = startMs;
  let ready: Step[] = [];
  /** Latest first, so that the next one is popped; equal times leave in the order in which they came. */
  let timers: Timer[] = [];

  const addTimer = (timer: Timer): void => {
    let at = timers.length;
    while (at > 0 && (timers[at - 1]?.due ?? 0) <= timer.due) at--;
    timers.splice(at, 0, timer);
  };

  const jump = (): void => {
    const due = timers.at(-1)?.due;
    if (due === undefined) return;
    now = due;
    while (timers.at(-1)?.due === due) {
      const timer = timers.pop();
      if (timer !== undefined) ready.push(timer.step);
    }
  };

  return {
    add: (step, due) => {
      if (due <= now) ready.push(step);
      else addTimer({ due, step });
    },
    take: () => {
      if (ready.length === 0) jump();
      const last = ready.length - 1;
      const at = last <= 0 ? 0 : Math.floor(prng() * ready.length);
      const step = ready[at];
      const moved = ready.pop();
      if (at < last && moved !== undefined) ready[at] = moved;
      return step;
    },
    drop: (actor) => {
      ready = ready.filter((step) => step.actor !== actor);
      timers = timers.filter((timer) => timer.step.actor !== actor);
    },
    now: () => now,
  };
}

/**
 * Calls `goOn` again and again until `main` has settled, each time only after everything that the last call set off has
 * come to rest. Rest is what `nextTick` from inside a microtask gives: Node runs a tick that was queued by a microtask
 * after V8's microtask queue is empty, however long the chains in it are. Counting turns of `await` would only hope for
 * that, and a trip through the event loop costs more than twice as much (`setImmediate` 0.55 us, this 0.21 us).
 * A tick queued by a tick would run before the microtasks: hence the microtask between.
 */
export function drive<T>(main: () => Promise<T>, goOn: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    const tick = (): void => {
      if (settled) return;
      try {
        goOn();
      } catch (error) {
        settled = true;
        reject(error);
        return;
      }
      queueMicrotask(atRest);
    };
    const atRest = (): void => nextTick(tick);
    const result = main();
    result.then(settle, settle);
    result.then(resolve, reject);
    queueMicrotask(atRest);
  });
}

/** Wakes whoever waits for something to change. */
export interface Wake {
  /** Resolves at the next `all()`, or when the signal fires. */
  next(signal?: AbortSignal): Promise<void>;
  all(): void;
}

export function createWake(): Wake {
  let waiting: (() => void)[] = [];
  return {
    next: (signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) {
          resolve();
          return;
        }
        const wake = (): void => {
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        waiting.push(wake);
        signal?.addEventListener('abort', wake);
      }),
    all: () => {
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
    },
  };
}

/** What a world begins with. */
export interface WorldOptions {
  /** Faults that strike; what is not named does not. */
  readonly faults?: Partial<Faults>;
  /** Steps after which a schedule is called a livelock. */
  readonly maxSteps?: number;
  /** Where the virtual clock starts, in milliseconds since the Unix epoch. */
  readonly startMs?: number;
  /** The longest that a delayed operation takes and a late message stays away, in milliseconds. */
  readonly longestDelayMs?: number;
}

/** What became of an actor. */
export type Fate<T> = { readonly crashed: false; readonly value: T } | { readonly crashed: true };

/** A small universe whose every interleaving, delay and fault is a function of its seed. */
export interface World {
  readonly seed: number;
  now(): number;
  random(): number;
  /** Rolls whether a fault strikes here. */
  strikes(fault: keyof Faults): boolean;
  /** No fault strikes any more. */
  calm(): void;
  /** How long something delayed takes: 1 to `longestDelayMs` milliseconds. */
  delayMs(): number;
  /** A point at which others may go first, or the actor may die. Every operation of a port awaits it. */
  step(label: string, actor?: string): Promise<void>;
  /** Does something after `ms` that nobody waits for and no crash prevents: a message in the network. */
  later(label: string, ms: number, action: () => void): void;
  /** The clock, randomness, ids and timers of one actor. */
  runtime(actor: string): Runtime;
  /** Starts an actor that may crash. Rejects with what the body rejects with. */
  spawn<T>(actor: string, body: (runtime: Runtime) => Promise<T>): Promise<Fate<T>>;
  /** The actor never goes on from where it is. A successor needs a name of its own. */
  crash(actor: string): void;
  /**
   * Runs `main` to its end, step by step. The event loop stands still meanwhile: who runs many worlds in a row lets it
   * turn between them now and then.
   * @throws ScheduleError when nothing can go on any more or the steps never end; whatever `main` rejects with
   */
  run<T>(main: () => Promise<T>): Promise<T>;
  /** What went on in which order, as `actor label`. */
  trace(): string[];
}

/** A schedule that does not end. The seed replays it. */
export class ScheduleError extends Error {
  readonly seed: number;

  constructor(seed: number, problem: string, lastSteps: readonly string[]) {
    super(`Seed ${seed}: ${problem}. The last steps were:\n  ${lastSteps.join('\n  ')}`);
    this.name = 'ScheduleError';
    this.seed = seed;
  }
}

const DEFAULTS = { maxSteps: 50_000, startMs: Date.UTC(2030, 0, 1), longestDelayMs: 10_000 };

/**
 * Makes a world. What runs in it must wait for nothing but promises and this world's steps: a real timer or socket
 * would make the order depend on the machine.
 */
export function createWorld(seed: number, options: WorldOptions = {}): World {
  const { maxSteps, startMs, longestDelayMs } = { ...DEFAULTS, ...options };
  let faults: Faults = { ...NO_FAULTS, ...options.faults };
  const prng = createPrng(seed);
  const queue = createStepQueue(startMs, prng);
  const done: (string | undefined)[] = [];
  const dead = new Set<string>();
  const supervisors = new Map<string, () => void>();
  let ids = 0;

  const strikes = (fault: keyof Faults): boolean => faults[fault] > 0 && prng() < faults[fault];
  const delayMs = (): number => 1 + Math.floor(prng() * longestDelayMs);
  // Whole milliseconds, as the real clock has them.
  const wait = (label: string, actor: string | undefined, ms: number): Promise<void> =>
    new Promise((resume) => {
      if (actor === undefined || !dead.has(actor))
        queue.add({ label, actor, resume }, queue.now() + Math.ceil(ms));
    });
  const trace = (): string[] => {
    const lines: string[] = [];
    for (let i = 0; i < done.length; i += 2) lines.push(`${done[i] ?? 'network'} ${done[i + 1]}`);
    return lines;
  };

  const crash = (actor: string): void => {
    dead.add(actor);
    queue.drop(actor);
    done.push(actor, 'crashed');
    supervisors.get(actor)?.();
    supervisors.delete(actor);
  };
  const goOn = (): void => {
    const step = queue.take();
    if (step === undefined)
      throw new ScheduleError(seed, 'everybody waits and nothing can go on', trace().slice(-20));
    if (done.length >= 2 * maxSteps)
      throw new ScheduleError(seed, `no end after ${maxSteps} steps`, trace().slice(-20));
    if (step.actor !== undefined && supervisors.has(step.actor) && strikes('crash')) {
      crash(step.actor);
      return;
    }
    done.push(step.actor, step.label);
    step.resume();
  };

  const runtime = (actor: string): Runtime => ({
    now: queue.now,
    random: prng,
    id: () => `${actor}-${++ids}`,
    sleep: (ms) => wait('sleep', actor, ms),
  });

  return {
    seed,
    now: queue.now,
    random: prng,
    strikes,
    calm: () => {
      faults = NO_FAULTS;
    },
    delayMs,
    step: (label, actor) => wait(label, actor, strikes('delay') ? delayMs() : 0),
    later: (label, ms, action) => queue.add({ label, actor: undefined, resume: action }, queue.now() + ms),
    runtime,
    spawn: (actor, body) =>
      new Promise((resolve, reject) => {
        if (dead.has(actor) || supervisors.has(actor))
          throw new Error(`The actor name ${actor} is already used.`);
        supervisors.set(actor, () => resolve({ crashed: true }));
        const finish = (): boolean => supervisors.delete(actor);
        body(runtime(actor)).then(
          (value) => finish() && resolve({ crashed: false, value }),
          (error: unknown) => finish() && reject(error),
        );
      }),
    crash,
    run: (main) => drive(main, goOn),
    trace,
  };
}
