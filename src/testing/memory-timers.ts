import { OutcomeUnknown } from '../eventstore/errors.ts';
import { backoffMs, type Runtime } from '../eventstore/runtime.ts';
import { type Fired, type Timer, type Timers, timerName } from '../processes/engine/timers/timers.ts';
import { answer, arrive, loseMessage, type Sender } from './memory-log.ts';
import { createWake, type Wake, type World } from './world.ts';

interface Armed {
  readonly timer: Timer;
  /** Not delivered before; later than its own time after a failure or while somebody handles it. */
  due: number;
  attempts: number;
}

/** What a server would hold of all timers, shared by every handle. */
export interface MemoryTimerStore {
  readonly armed: Map<string, Armed>;
  readonly changed: Wake;
}

/** Whose timers they are, and in which world. */
export interface MemoryTimersOptions {
  readonly runtime: Runtime;
  readonly world?: World;
  /** Name of the process in its world. */
  readonly actor?: string;
  readonly timeoutMs?: number;
  /** After how many milliseconds another instance gets what a dead one was handling. */
  readonly ackWaitMs?: number;
  readonly retryBaseMs?: number;
  readonly retryCapMs?: number;
}

const LONGEST_REAL_SLEEP_MS = 200;

/** Timers that are armed and have not fired; several openers may share them. */
export function createMemoryTimerStore(): MemoryTimerStore {
  return { armed: new Map(), changed: createWake() };
}

/** One process's handle on timers in memory: as with those on NATS, they fire at least once, one at a time. */
export function openMemoryTimers(store: MemoryTimerStore, options: MemoryTimersOptions): Timers {
  const { runtime, world, actor = 'main', timeoutMs = 500 } = options;
  const sender: Sender = { world, actor, runtime };

  const send = async (label: string, apply: () => void): Promise<void> => {
    await arrive(sender, label);
    const lost = world && loseMessage(world, timeoutMs, apply);
    if (lost !== undefined) {
      await runtime.sleep(timeoutMs);
      throw new OutcomeUnknown(label, timeoutMs, new Error(lost));
    }
    apply();
    await answer(sender, `${label}, done`);
  };

  return {
    arm: async (timer) => {
      const name = timerName(timer.kind, timer.id);
      await send(`arm ${name}`, () => {
        store.armed.set(name, { timer, due: timer.at, attempts: 0 });
        store.changed.all();
      });
    },
    disarm: async (kind, id) => {
      const name = timerName(kind, id);
      await send(`disarm ${name}`, () => store.armed.delete(name));
    },
    deliver: (handle) => {
      const abort = new AbortController();
      const ended = deliverUntil(abort.signal, store, sender, options, handle);
      return {
        stop: async () => {
          abort.abort();
          await ended;
        },
      };
    },
  };
}

async function deliverUntil(
  signal: AbortSignal,
  store: MemoryTimerStore,
  sender: Sender,
  options: MemoryTimersOptions,
  handle: (fired: Fired) => Promise<void>,
): Promise<void> {
  const { runtime } = sender;
  const { ackWaitMs = 5_000, retryBaseMs = 500, retryCapMs = 60_000 } = options;
  while (!signal.aborted) {
    const next = earliest(store);
    const now = runtime.now();
    if (next === undefined || next[1].due > now) {
      await untilDueOrChanged(signal, store, sender, next === undefined ? undefined : next[1].due - now);
      continue;
    }
    const [name, armed] = next;
    armed.due = now + ackWaitMs;
    armed.attempts++;
    try {
      await answer(sender, `fired ${name}`);
      await handle({ ...armed.timer, attempt: armed.attempts });
      await answer(sender, `acknowledge ${name}`);
      // Armed again meanwhile, it is another timer.
      if (store.armed.get(name) === armed) store.armed.delete(name);
    } catch {
      armed.due = runtime.now() + backoffMs(runtime, armed.attempts - 1, retryBaseMs, retryCapMs);
    }
  }
}

function earliest(store: MemoryTimerStore): [string, Armed] | undefined {
  let found: [string, Armed] | undefined;
  for (const entry of store.armed) if (found === undefined || entry[1].due < found[1].due) found = entry;
  return found;
}

async function untilDueOrChanged(
  signal: AbortSignal,
  store: MemoryTimerStore,
  { runtime, world }: Sender,
  ms: number | undefined,
): Promise<void> {
  const over = new AbortController();
  const changed = store.changed.next(AbortSignal.any([signal, over.signal]));
  // Outside a world the sleep is a real timer, which nobody can end early.
  const sleepMs = world === undefined ? Math.min(ms ?? 0, LONGEST_REAL_SLEEP_MS) : ms;
  await (ms === undefined ? changed : Promise.race([changed, runtime.sleep(sleepMs ?? ms)]));
  over.abort();
}
