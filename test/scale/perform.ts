import type { Handler } from '../../src/eventstore/handler.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { versionAt } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { counter } from '../../src/testing/contracts/toy.ts';
import { ADD, appendOne, inFlight, newMeta, unwritten } from './aggregates.ts';
import type { Opened } from './connect.ts';
import type { Target, Task, TaskName } from './tasks.ts';

const FILL_IN_FLIGHT = 64;
/** Patient, so that a slow command is measured and not refused. */
const SETTINGS = { deadlineMs: 60_000 };

/** Does one sample and returns how long the part that counts took, in milliseconds. */
type Sample = (target: Target) => Promise<number>;

/** Measures the tasks of one service process, one sample after the other. */
export function createPerformer(opened: Opened) {
  const { log } = opened;
  const hot = unwritten('hot');
  const warm = newHandler(opened, true);
  const closing: Promise<void>[] = [];

  const append = async ({ id, version }: Target): Promise<number> => {
    const member = unwritten(id);
    member.folded.version = version;
    return timed(() => appendOne(log, member));
  };
  const cold = async (id: string, snapshots: boolean): Promise<number> => {
    const handler = newHandler(opened, snapshots);
    const ms = await timed(() => add(handler, id));
    // Writes the snapshot behind the answer, as a service does.
    closing.push(handler.close());
    return ms;
  };
  const fromLog: Sample = ({ id }) => cold(id, false);
  const fromSnapshot: Sample = ({ id }) => cold(id, true);

  const samples: Record<TaskName, Sample> = {
    'append-warm': () => timed(() => appendOne(log, hot)),
    'append-new': append,
    'append-old': append,
    'warm-command': () => timed(() => add(warm, 'warm')),
    'cold-snapshot': fromSnapshot,
    'cold-log': fromLog,
    'cold-log-scattered': fromLog,
    'long-snapshot': async (target) => {
      const ms = await fromSnapshot(target);
      // The next sample finds the snapshot of this one.
      await Promise.all(closing);
      return ms;
    },
    'long-log-in-a-row': fromLog,
    'long-log-scattered': fromLog,
  };

  return {
    /** Prepares what must be warm. */
    prepare: async (): Promise<void> => {
      hot.folded.version = await versionOf(opened, 'hot');
      await add(warm, 'warm');
    },
    measure: async ({ name, targets }: Task): Promise<number[]> => {
      const durations: number[] = [];
      for (const target of targets) durations.push(await samples[name](target));
      await Promise.all(closing.splice(0));
      return durations;
    },
    /** Loads aggregates into the cache of the handler that lives as long as the service. */
    fill: (ids: readonly string[]): Promise<void> =>
      inFlight(FILL_IN_FLIGHT, ids, async (id) => {
        await warm.load(counter, id, { maxAgeMs: Number.POSITIVE_INFINITY });
      }),
  };
}

function newHandler({ log, store }: Opened, snapshots: boolean): Handler {
  const onWrong = (wrong: unknown): never => {
    throw new Error(`a snapshot is not the fold of the log: ${JSON.stringify(wrong)}`);
  };
  const kept = snapshots ? { snapshots: { store, onWrong } } : {};
  return createHandler({ log, runtime: systemRuntime, settings: SETTINGS, ...kept });
}

async function add(handler: Handler, id: string): Promise<void> {
  const { outcome } = await handler.execute(counter, id, ADD, newMeta());
  if (outcome !== 'accepted') throw new Error(`the command on ${id} was answered ${outcome}`);
}

async function versionOf({ log }: Opened, id: string): Promise<number> {
  let after = 0;
  for (;;) {
    const page = await log.read({ category: counter.category, id }, { after, confirm: true });
    const last = page.commits.at(-1);
    if (last !== undefined) after = versionAt(last.position);
    if (!page.more) return after;
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
