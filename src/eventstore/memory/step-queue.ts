import type { Prng } from './prng.ts';

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
