import { expect, test } from 'vitest';
import { systemRuntime } from '../../../src/eventstore/index.ts';
import { numberOf, positionOf } from '../../../src/eventstore/position.ts';
import { beginAt } from '../../../src/projections/engine/checkpoint.ts';
import { WHOLE } from '../../../src/projections/engine/groups.ts';
import { createWaits } from '../../../src/projections/engine/view-access.ts';
import { createMemoryBucket } from '../../../src/testing/memory-bucket.ts';

const runtime = { ...systemRuntime, now: () => 0 };

test('many waits share what they look at, until a group of their own process has stored more', async () => {
  const bucket = createMemoryBucket('s_users_v1');
  const waits = createWaits(runtime);
  const at = async () => numberOf(await waits.reached(bucket, WHOLE));
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const under = Array.from({ length: 20 }, () => waits.within(() => ended));
  expect([waits.few(), await at()]).toEqual([false, 0]);
  const checkpoint = { view: 'users', version: '1', bucket, group: WHOLE, incarnation: 'life-1', runtime };
  await beginAt(checkpoint, positionOf(7), 0);
  expect(await at()).toBe(0);
  waits.moved();
  expect(await at()).toBe(7);
  end();
  await Promise.all(under);
  expect(waits.few()).toBe(true);
});
