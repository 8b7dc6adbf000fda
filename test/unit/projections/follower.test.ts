import { expect, test } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import { user } from '../../../src/domain/user.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { numberOf, positionOf } from '../../../src/eventstore/position.ts';
import { followLog } from '../../../src/ledger/follower.ts';
import { customers } from '../../../src/projections/views/customers.ts';
import { added, toyCommit } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { until } from '../../../src/testing/until.ts';
import { manualRuntime } from '../eventstore/kernel.ts';

const settings = { backoffBaseMs: 1, backoffCapMs: 1 };
const store = (log: Log, { category }: { readonly category: string }, id: string) =>
  log.append({ category, id }, 0, toyCommit(`${category}-${id}`, [added(1)]));

test('a follower tells from which checkpoint on a view shows everything up to a position', async () => {
  const log = createMemoryLog();
  for (const id of ['1', '2']) await store(log, user, id);
  const follower = followLog({ log, views: [customers], runtime: manualRuntime(), settings });
  const at = async (position: number) => {
    const covered = await follower.coveredBy('customers', 'any', 0, positionOf(position));
    return covered && numberOf(covered);
  };
  await until('it has begun', async () => (await at(1)) !== undefined);
  // What was stored before it began may concern the view.
  expect([await at(1), await at(2)]).toEqual([1, 2]);
  await store(log, order, '3');
  await store(log, order, '4');
  expect(await at(4)).toBe(2);
  const later = at(6);
  await store(log, user, '5');
  await store(log, order, '6');
  expect([await later, await at(6), await at(5), await at(4)]).toEqual([5, 5, 5, 4]);
  expect(follower.coveredBy('another', 'any', 0, positionOf(1))).toBeUndefined();
  follower.stop();
});

test('a follower that cannot go on knows nothing any more, and keeps nobody waiting', async () => {
  const log = createMemoryLog();
  let fail = (): void => undefined;
  const failing: Log = {
    ...log,
    scan: async function* () {
      yield { commits: [], through: positionOf(0), pending: 0 };
      await new Promise<void>((resolve) => {
        fail = resolve;
      });
      throw new TypeError('a bug');
    },
  };
  const follower = followLog({ log: failing, views: [customers], runtime: manualRuntime(), settings });
  const ask = () => follower.coveredBy('customers', 'any', 0, positionOf(7));
  await until('it has begun', async () => ask() !== undefined);
  const waits = ask();
  fail();
  expect(await waits).toBe(positionOf(7));
  expect(ask()).toBeUndefined();
});
