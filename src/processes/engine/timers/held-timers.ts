import { context } from '@opentelemetry/api';
import {
  activeTrace,
  contextOf,
  parseTrace,
  type Runtime,
  storedTraceOf,
} from '../../../eventstore/index.ts';
import type { DeliveryAttempt } from '../observer.ts';
import { pause } from '../signal.ts';
import { type HeldTimer, type Timer, type Timers, timerName } from './timers.ts';

/** Arms and disarms timers for one delivery. */
export type DeliveryTimers = Pick<Timers, 'arm' | 'disarm'>;

/**
 * The timers of a group that are wanted and not armed yet (protocol 29): most are disarmed before they would have been
 * worth a request. Whoever stores `all` with the cursor loses none.
 */
export interface HeldTimers {
  /** What a delivery arms and disarms with. */
  forDelivery(tried: DeliveryAttempt): DeliveryTimers;
  /** In the order in which they came. */
  all(): readonly HeldTimer[];
  /**
   * Arms all of them, for an owner that leaves its group, or those of one id: a dead letter tells who comes next that
   * the earlier commits of its aggregate were handled, whatever the cursor says. @throws what `Timers.arm` throws
   */
  armAll(id?: string): Promise<void>;
}

export interface HeldTimersOptions {
  /** Where timers are armed in the end. */
  readonly timers: DeliveryTimers;
  readonly runtime: Runtime;
  /** How long one is held back, in milliseconds. */
  readonly holdMs: number;
  /** Fires when the group is left. */
  readonly signal: AbortSignal;
  /** What the earlier owner held back; some of it may be armed already. */
  readonly start: readonly HeldTimer[];
  /** Called when the cursor has something else to say. */
  readonly changed: () => void;
}

/** More are armed at once as they come, so that a cursor stays small. */
const MOST_HELD = 200;
const ARMED_AT_ONCE = 32;
const RETRY_MS = 500;

interface Held {
  readonly timer: HeldTimer;
  /** When it is to be armed, in milliseconds since the Unix epoch. */
  readonly dueAt: number;
  /** Nobody can have armed it yet: to forget it disarms it. */
  isOnlyHere: boolean;
  arming: Promise<void> | undefined;
}

/** Holds back the timers of one group, from those on that its cursor has. */
export function createHeldTimers(options: HeldTimersOptions): HeldTimers {
  const { timers, runtime, holdMs, signal, changed } = options;
  const held = new Map<string, Held>();
  let isWaiting = false;

  const hold = (timer: HeldTimer, dueAt: number, isOnlyHere: boolean): void => {
    held.set(timerName(timer.kind, timer.id), { timer, dueAt, isOnlyHere, arming: undefined });
    if (!isWaiting) void armWhenDue();
  };

  const armHeld = async (name: string, one: Held): Promise<void> => {
    one.isOnlyHere = false;
    one.arming ??= context.with(contextOf(parseTrace(one.timer)), () => timers.arm(one.timer));
    try {
      await one.arming;
      if (held.get(name) === one) held.delete(name);
      changed();
    } finally {
      one.arming = undefined;
    }
  };

  const armSome = (some: readonly [string, Held][]): Promise<unknown> =>
    Promise.allSettled(some.map(([name, one]) => armHeld(name, one)));

  async function armWhenDue(): Promise<void> {
    isWaiting = true;
    for (let [first] = held; first !== undefined && !signal.aborted; [first] = held) {
      // One that could not be armed is tried again a little later.
      await pause(runtime, Math.max(RETRY_MS, first[1].dueAt - runtime.now()), signal);
      const due = [...held].filter(([, { dueAt }]) => dueAt <= runtime.now());
      if (!signal.aborted) await armSome(due.slice(0, ARMED_AT_ONCE));
    }
    isWaiting = false;
  }

  const disarm = async (kind: string, id: string): Promise<void> => {
    const name = timerName(kind, id);
    const one = held.get(name);
    held.delete(name);
    if (one !== undefined) changed();
    if (one?.isOnlyHere) return;
    await one?.arming?.catch(() => undefined);
    await timers.disarm(kind, id);
  };

  const armNow = async (timer: Timer): Promise<void> => {
    const name = timerName(timer.kind, timer.id);
    const before = held.get(name);
    await before?.arming?.catch(() => undefined);
    await timers.arm(timer);
    if (before !== undefined && held.get(name) === before) held.delete(name);
  };

  for (const timer of options.start) hold(timer, runtime.now(), false);
  return {
    forDelivery: (tried) => ({
      disarm,
      arm: async (timer) => {
        const known = held.get(timerName(timer.kind, timer.id));
        if (known?.timer.at === timer.at) return;
        const isWorthIt = held.size < MOST_HELD && timer.at - runtime.now() > 2 * holdMs;
        if (known !== undefined || !isWorthIt || !isFirstTry(tried, timer)) return armNow(timer);
        const active = activeTrace();
        hold({ ...timer, ...(active && storedTraceOf(active)) }, runtime.now() + holdMs, true);
        changed();
      },
    }),
    all: () => [...held.values()].map(({ timer }) => timer),
    armAll: async (id) => {
      const wanted = [...held].filter(([, { timer }]) => id === undefined || timer.id === id);
      await Promise.all(wanted.map(([name, one]) => armHeld(name, one)));
    },
  };
}

/** Whether no timer of that kind and id can have been armed before: only an aggregate's first commit proves it. */
function isFirstTry({ commit, attempt, redriven, maybeHandled }: DeliveryAttempt, { id }: Timer): boolean {
  const isFirst = commit.previous === 0 && commit.stream.id === id;
  return isFirst && attempt === 1 && !redriven && maybeHandled !== true;
}
