import type { Runtime } from '../runtime.ts';
import { drive } from './drive.ts';
import { type Faults, NO_FAULTS } from './faults.ts';
import { createPrng } from './prng.ts';
import { createStepQueue } from './step-queue.ts';

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
  const faults: Faults = { ...NO_FAULTS, ...options.faults };
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
