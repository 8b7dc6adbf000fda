import { expect, it } from 'vitest';
import { BEGINNING, positionOf } from '../../../src/eventstore/position.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import {
  type CheckpointDeps,
  checkpointValue,
  openCheckpoint,
  writeCheckpoint,
} from '../../../src/projections/engine/checkpoint.ts';
import { createMemoryBucket } from '../../../src/testing/memory-bucket.ts';

const depsOf = (): CheckpointDeps => ({
  view: 'orders',
  version: 'v1',
  bucket: createMemoryBucket('orders_v1'),
  group: { count: 1, index: 0 },
  incarnation: 'one',
  runtime: systemRuntime,
});

it('a checkpoint that another process moves on while it is read is not beyond the end of the log', async () => {
  const deps = depsOf();
  let end = 10;
  await openCheckpoint(deps, async () => positionOf(end));
  const { bucket } = deps;
  const moving: CheckpointDeps = {
    ...deps,
    bucket: {
      ...bucket,
      get: async (key, options) => {
        const row = await bucket.get(key, options);
        if (end > 10) return row;
        // Commits 11 to 20 are stored and applied by another process just now.
        end = 20;
        await writeCheckpoint(deps, checkpointValue(deps, positionOf(20), 0, BEGINNING), row?.revision ?? 0);
        return bucket.get(key, options);
      },
    },
  };
  expect(await openCheckpoint(moving, async () => positionOf(end))).toMatchObject({ position: 20 });
});

it('a checkpoint beyond the end of the log stops the view', async () => {
  const deps = depsOf();
  const opened = await openCheckpoint(deps, async () => positionOf(20));
  await writeCheckpoint(deps, checkpointValue(deps, positionOf(20), 0, BEGINNING), opened.revision);
  await expect(openCheckpoint(deps, async () => positionOf(19))).rejects.toThrow("beyond the log's end 19");
});
