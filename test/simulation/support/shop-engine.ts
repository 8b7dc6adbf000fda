import type { Message } from '@bufbuild/protobuf';
import type { CommandHandler } from '../../../src/eventstore/command.ts';
import type { RecordedCommit } from '../../../src/eventstore/log.ts';
import { reactionContext } from '../../../src/processes/engine/cause.ts';
import { createDecode } from '../../../src/processes/engine/delivery.ts';
import type { Delivery, Policy, Reaction } from '../../../src/processes/engine/reaction.ts';
import type { Timer, Timers } from '../../../src/processes/engine/timers/timers.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import type { World } from '../../../src/testing/world.ts';

/** A process that may die at any step; its successor is another object. */
export interface Worker {
  readonly consumers: readonly Reaction<never>[];
  readonly handler: CommandHandler;
  readonly policy: Policy;
  readonly onTimer: (timer: Timer) => Promise<void>;
  /** Arms what open orders need. */
  readonly sweep: () => Promise<void>;
  /** Rejects when the process dies. */
  readonly crashed: Promise<never>;
}

export class WorkerDied extends Error {}

const POLL_MS = 100;
/** What goes on after that needs nobody quick. */
const BUSY_MS = 60_000;
const IDLE_POLL_MS = 1_000;
const LONGEST_PATIENCE_MS = 5_000;
const TIMER_RETRY_MS = 1_000;
const SWEEP_EVERY_MS = 30_000;

/**
 * The least that an engine promises, at its worst: each commit at least once and up to three times, in order for each
 * aggregate, and sometimes by a second worker while the first, given up as dead, goes on.
 */
export function createWorstEngine(
  world: World,
  store: MemoryStore,
  workers: readonly Worker[],
  complain: (problem: string) => void,
  alwaysFresh = false,
) {
  const runtime = world.runtime('engine');
  const lanes = new Map<string, Promise<void>>();
  const armed = new Map<string, Timer>();
  const anyWorker = (): Worker => {
    const worker = workers[Math.floor(world.random() * workers.length)];
    if (worker === undefined) throw new RangeError('no worker');
    return worker;
  };

  /** What became of one try: undefined when it worked. A worker that takes too long is taken for dead. */
  async function attempt(work: (worker: Worker) => Promise<void>): Promise<unknown> {
    const worker = anyWorker();
    const run = Promise.race([work(worker), worker.crashed]).then(
      () => undefined,
      (error: unknown) => error,
    );
    const patience = runtime.sleep(world.random() * LONGEST_PATIENCE_MS).then(() => new WorkerDied());
    return Promise.race([run, patience]);
  }

  async function deliver(index: number, commit: RecordedCommit): Promise<void> {
    for (let tries = 1; ; tries++) {
      const delivery = deliveryOf(commit, tries, anyWorker().consumers[index]);
      const error = await attempt(async ({ consumers, handler }) => {
        const consumer = consumers[index];
        // However late or repeated: no worse than a worker that slept since the commit came. Only who tries again and again
        // has to look, or never sees that what it tries is over.
        const fresh = tries === 1 || alwaysFresh ? commit : undefined;
        const context = reactionContext(handler, consumer?.name ?? '', delivery.position, fresh);
        await consumer?.handle(delivery as never, context);
      });
      if (error === undefined) return;
      if (error instanceof WorkerDied) continue;
      const verdict = anyWorker().policy(error, tries);
      if (verdict.action !== 'retry') return complain(`${commit.stream.id}: ${error}`);
      await runtime.sleep(verdict.afterMs);
    }
  }

  function take(commit: RecordedCommit): void {
    anyWorker().consumers.forEach((consumer, index) => {
      if (!consumer.sources.some(({ category }) => category === commit.stream.category)) return;
      const key = `${consumer.name}/${commit.stream.category}/${commit.stream.id}`;
      const before = lanes.get(key) ?? Promise.resolve();
      const times = 1 + Math.floor(world.random() * 1.6 + world.random() * 0.8);
      const handled = before.then(async () => {
        for (let i = 0; i < times; i++) await deliver(index, commit);
      });
      lanes.set(key, handled);
    });
  }

  async function fire(timer: Timer): Promise<void> {
    if (armed.get(`${timer.kind}/${timer.id}`)?.at !== timer.at) return;
    while ((await attempt(({ onTimer }) => onTimer(timer))) !== undefined)
      await runtime.sleep(TIMER_RETRY_MS);
  }

  const timers: Pick<Timers, 'arm' | 'disarm'> = {
    arm: async (timer) => {
      armed.set(`${timer.kind}/${timer.id}`, timer);
      world.later('timer', Math.max(0, timer.at - world.now()), () => void fire(timer));
    },
    disarm: async (kind, id) => {
      armed.delete(`${kind}/${id}`);
    },
  };

  /** As after a takeover from an old floor, beside the worker that handles the lane: its commits in order, once more. */
  async function redeliver(id: string): Promise<void> {
    for (let position = 1, head = store.head(); position <= head; position++) {
      const commit = store.at(position);
      if (commit?.stream.category !== 'order' || commit.stream.id !== id) continue;
      const consumers = anyWorker().consumers.entries();
      for (const [index, { sources }] of consumers)
        if (sources.some(({ category }) => category === 'order')) await deliver(index, commit);
    }
  }

  return {
    timers,
    redeliver,
    loseTimers: () => armed.clear(),
    /** Sweeps at the start and then at every interval, whoever is there to do it. */
    sweepUntil: async (end: number): Promise<void> => {
      for (; world.now() < end; await runtime.sleep(SWEEP_EVERY_MS)) await attempt(({ sweep }) => sweep());
    },
    /** Delivers what is in the log and what comes, until a moment. */
    runUntil: async (end: number): Promise<void> => {
      const busyUntil = world.now() + BUSY_MS;
      for (let position = 0; world.now() < end; ) {
        while (position < store.head()) {
          const commit = store.at(++position);
          if (commit !== undefined) take(commit);
        }
        await runtime.sleep(world.now() < busyUntil ? POLL_MS : IDLE_POLL_MS);
      }
    },
  };
}

function deliveryOf(
  commit: RecordedCommit,
  attempt: number,
  consumer: Reaction<never> | undefined,
): Delivery<Message> {
  if (consumer === undefined) throw new RangeError(`nobody consumes ${commit.stream.category}`);
  return createDecode(consumer.sources)(commit, { attempt, redriven: false, maybeHandled: true });
}
