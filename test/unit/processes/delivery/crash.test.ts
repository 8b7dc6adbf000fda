import { expect, it } from 'vitest';
import type { Bucket } from '../../../../src/eventstore/index.ts';
import { until } from '../../../../src/testing/until.ts';
import { createShelf } from './shelf.ts';
import { deliveryWorld } from './world.ts';

const EVENTS = 40;

/** A process that ends for good with its n-th write of a place, before or after it is stored. */
async function crashAt(n: number, when: 'before' | 'after') {
  const orders = createShelf();
  for (let at = 0; at < EVENTS; at++) orders.put(`s${at % 4}`);
  const world = deliveryWorld([orders], ({ event, attempt }) =>
    event.position % 9 === 0 && attempt < 3 ? { taken: false, error: 'status 503' } : undefined,
  );
  world.set('one', { ordered: true });
  let writes = 0;
  let dead = false;
  const never = new Promise<never>(() => undefined);
  const mortal = (bucket: Bucket): Bucket => ({
    ...bucket,
    write: async (row) => {
      if (dead) return never;
      if (row.key.startsWith('receiver.') && ++writes === n) {
        if (when === 'after') await bucket.write(row);
        dead = true;
        return never;
      }
      return bucket.write(row);
    },
  });
  void world.start('a', { storeMs: 2 }, mortal);
  await until('the first one is dead', () => dead || world.sent.length > EVENTS);
  const sentBefore = world.sent.length;
  const second = world.start('b', { storeMs: 2 });
  const taken = () =>
    world.sent
      .filter(({ event, attempt }) => event.position % 9 !== 0 || attempt === 3)
      .map(({ event }) => event);
  await until('the second one has delivered the rest', () => new Set(taken()).size === EVENTS);
  await second.stop();
  return { sent: world.sent, sentBefore, taken: taken(), orders };
}

it.each([1, 2, 3, 4])(
  'a process that dies at write %i of a place loses nothing, and no event overtakes an earlier one of its subject',
  async (n) => {
    for (const when of ['before', 'after'] as const) {
      const { taken } = await crashAt(n, when);
      for (const subject of ['s0', 's1', 's2', 's3']) {
        const first = [...new Set(taken.filter((event) => event.subject === subject))];
        expect(first.map(({ position }) => position)).toEqual(
          first.map(({ position }) => position).sort((a, b) => a - b),
        );
      }
    }
  },
);
