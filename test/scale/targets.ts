import { createPrng } from '../../src/testing/world.ts';
import { idOf, SCATTERED } from './aggregates.ts';
import type { LoadedLog } from './load.ts';
import type { Target, Task, TaskName } from './tasks.ts';

/** Samples of one task in one round. */
const SAMPLES: Readonly<Record<TaskName, number>> = {
  'append-warm': 100,
  'append-new': 50,
  'append-old': 40,
  'warm-command': 100,
  'cold-snapshot': 40,
  'cold-log': 40,
  'cold-log-scattered': 10,
  'long-snapshot': 5,
  'long-log-in-a-row': 2,
  'long-log-scattered': 1,
};
const SEED = 20_260_101;

/** Every task there is, in the order of the report. */
export const TASK_NAMES = Object.keys(SAMPLES) as readonly TaskName[];

/** Hands out what to measure on one log: ordinary aggregates at random places, none of them twice. */
export function createTargets({ versions }: LoadedLog) {
  const random = createPrng(SEED);
  const used = new Set<number>();
  let fresh = 0;
  let scattered = 0;

  const ordinary = (): Target => {
    if (used.size === versions.length)
      throw new RangeError('every aggregate of the log was measured already');
    let index: number;
    do index = Math.floor(random() * versions.length);
    while (used.has(index));
    used.add(index);
    return { id: idOf('ordinary', index), version: versions[index] ?? 0 };
  };
  const always =
    (id: string): (() => Target) =>
    () => ({ id, version: 0 });

  const next: Record<TaskName, () => Target> = {
    'append-warm': always('hot'),
    'append-new': () => ({ id: idOf('fresh', fresh++), version: 0 }),
    'append-old': ordinary,
    'warm-command': always('warm'),
    'cold-snapshot': ordinary,
    'cold-log': ordinary,
    'cold-log-scattered': () => ({ id: idOf('scattered', scattered++ % SCATTERED), version: 0 }),
    'long-snapshot': always(idOf('long-with-snapshot', 0)),
    'long-log-in-a-row': always(idOf('in-a-row', 0)),
    'long-log-scattered': always(idOf('long', 0)),
  };

  return {
    /** The samples of one round. */
    task: (name: TaskName): Task => ({ name, targets: Array.from({ length: SAMPLES[name] }, next[name]) }),
    /** An ordinary aggregate at a random place; undefined when all were handed out. */
    next: (): Target | undefined => (used.size < versions.length ? ordinary() : undefined),
    /** Ordinary aggregates as far from each other as they lie, which share no block of a large log; `turn` = others. */
    spread: (count: number, turn: number): Target[] =>
      Array.from({ length: count }, (_, i) => {
        const index = Math.floor((i * versions.length) / count) + turn;
        used.add(index);
        return { id: idOf('ordinary', index), version: versions[index] ?? 0 };
      }),
    /** Ids of ordinary aggregates for filling a cache, up to `count`. */
    ids: (count: number): string[] =>
      Array.from({ length: Math.min(count, versions.length) }, (_, i) => idOf('ordinary', i)),
  };
}
