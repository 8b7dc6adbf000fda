import { expect, test } from 'vitest';
import type { RecordedCommit } from '../../../../src/eventstore/log.ts';
import { positionOf } from '../../../../src/eventstore/position.ts';
import type { DeliveryAttempt } from '../../../../src/processes/engine/observer.ts';
import { createHeldTimers, type HeldTimers } from '../../../../src/processes/engine/timers/held-timers.ts';
import type { HeldTimer, Timer } from '../../../../src/processes/engine/timers/timers.ts';
import { createWorld, type World } from '../../../../src/testing/world.ts';

const HOLD_MS = 5_000;
const KIND = 'deadline';

interface Stage {
  readonly world: World;
  readonly held: HeldTimers;
  /** What was asked of the real timers, in order. */
  readonly asked: string[];
  /** How often the cursor had something else to say. */
  readonly changes: () => number;
  readonly due: number;
}

/** Held timers on a virtual clock; `arming` is awaited by each arm. */
async function on(
  play: (stage: Stage) => Promise<void>,
  start: readonly HeldTimer[] = [],
  arming: (timer: Timer, world: World) => Promise<void> = async () => undefined,
): Promise<void> {
  const world = createWorld(1, { maxSteps: 100_000 });
  const asked: string[] = [];
  let changes = 0;
  await world.run(async () => {
    const over = new AbortController();
    const timers = {
      arm: async (timer: Timer) => {
        asked.push(`arm ${timer.id}`);
        await arming(timer, world);
        asked.push(`armed ${timer.id}`);
      },
      disarm: async (_kind: string, id: string) => void asked.push(`disarm ${id}`),
    };
    const held = createHeldTimers({
      timers,
      runtime: world.runtime('main'),
      holdMs: HOLD_MS,
      signal: over.signal,
      start,
      changed: () => {
        changes++;
      },
    });
    await play({ world, held, asked, changes: () => changes, due: world.now() + 900_000 });
    over.abort();
  });
}

function tried(id: string, other: Partial<DeliveryAttempt> & { previous?: number } = {}): DeliveryAttempt {
  const { previous = 0, ...rest } = other;
  const commit = { stream: { category: 'order', id }, position: positionOf(7), previous } as RecordedCommit;
  return { consumer: 'orders', commit, attempt: 1, redriven: false, ...rest };
}

const pause = (world: World, ms: number) => world.runtime('main').sleep(ms);

test('a timer that is disarmed soon is never armed, and costs no request', () =>
  on(async ({ held, asked, world, due, changes }) => {
    await held.forDelivery(tried('o1')).arm({ kind: KIND, id: 'o1', at: due });
    expect(held.all()).toEqual([{ kind: KIND, id: 'o1', at: due }]);
    await held.forDelivery(tried('o1', { previous: 7 })).disarm(KIND, 'o1');
    expect(held.all()).toEqual([]);
    expect(changes()).toBe(2);
    await pause(world, 60_000);
    expect(asked).toEqual([]);
  }));

test('one that is not is armed once it was held for so long, and then disarmed where it is', () =>
  on(async ({ held, asked, world, due }) => {
    await held.forDelivery(tried('o1')).arm({ kind: KIND, id: 'o1', at: due });
    await pause(world, HOLD_MS - 100);
    expect(asked).toEqual([]);
    await pause(world, 200);
    expect(asked).toEqual(['arm o1', 'armed o1']);
    expect(held.all()).toEqual([]);
    await held.forDelivery(tried('o1', { previous: 7 })).disarm(KIND, 'o1');
    expect(asked.at(-1)).toBe('disarm o1');
  }));

test.each<[string, DeliveryAttempt, number]>([
  ['that a later commit of its aggregate wants', tried('o1', { previous: 5 }), 900_000],
  ['of another aggregate', tried('o2'), 900_000],
  ['at another try', tried('o1', { attempt: 2 }), 900_000],
  ['of a commit that an earlier owner may have handled', tried('o1', { maybeHandled: true }), 900_000],
  ['of a commit that is redriven', tried('o1', { redriven: true }), 900_000],
  ['that is due soon', tried('o1'), 2 * HOLD_MS],
])('a timer %s is armed at once, since one may be armed already or there is no time', (_what, attempt, ms) =>
  on(async ({ held, asked, world }) => {
    await held.forDelivery(attempt).arm({ kind: KIND, id: 'o1', at: world.now() + ms });
    expect(asked).toEqual(['arm o1', 'armed o1']);
    expect(held.all()).toEqual([]);
  }),
);

test('a timer that is wanted at another time replaces the one that is held', () =>
  on(async ({ held, asked, due }) => {
    await held.forDelivery(tried('o1')).arm({ kind: KIND, id: 'o1', at: due });
    await held.forDelivery(tried('o1', { previous: 7 })).arm({ kind: KIND, id: 'o1', at: due + 1 });
    expect(held.all()).toEqual([]);
    expect(asked).toEqual(['arm o1', 'armed o1']);
  }));

test('what an earlier owner held is armed at once, and is disarmed there too, since it may have been armed', () =>
  on(
    async ({ held, asked, world }) => {
      await held.forDelivery(tried('o1', { previous: 7 })).disarm(KIND, 'o1');
      expect(asked).toEqual(['disarm o1']);
      await pause(world, 1_000);
      expect(asked).toEqual(['disarm o1', 'arm o2', 'armed o2']);
    },
    ['o1', 'o2'].map((id) => ({ kind: KIND, id, at: Number.MAX_SAFE_INTEGER })),
  ));

test('one that is disarmed while it is armed is disarmed behind that', () =>
  on(
    async ({ held, asked, world, due }) => {
      await held.forDelivery(tried('o1')).arm({ kind: KIND, id: 'o1', at: due });
      await pause(world, HOLD_MS + 50);
      await held.forDelivery(tried('o1', { previous: 7 })).disarm(KIND, 'o1');
      expect(asked).toEqual(['arm o1', 'armed o1', 'disarm o1']);
    },
    [],
    (_timer, world) => pause(world, 200),
  ));

test('one that cannot be armed stays in the cursor and is tried again', () => {
  let failures = 2;
  return on(
    async ({ held, asked, world, due }) => {
      await held.forDelivery(tried('o1')).arm({ kind: KIND, id: 'o1', at: due });
      await pause(world, HOLD_MS + 100);
      expect(held.all()).toHaveLength(1);
      await pause(world, 5_000);
      expect(held.all()).toEqual([]);
      expect(asked).toEqual(['arm o1', 'arm o1', 'arm o1', 'armed o1']);
    },
    [],
    async () => {
      if (failures-- > 0) throw new Error('the server is away');
    },
  );
});

test('who leaves a group arms what it holds; above 200 timers are armed as they come', () =>
  on(async ({ held, asked, due }) => {
    const ids = Array.from({ length: 203 }, (_, n) => `o${n}`);
    for (const id of ids) await held.forDelivery(tried(id)).arm({ kind: KIND, id, at: due });
    expect(held.all()).toHaveLength(200);
    expect(asked).toEqual([200, 201, 202].flatMap((n) => [`arm o${n}`, `armed o${n}`]));
    await held.armAll();
    expect(held.all()).toEqual([]);
    expect(asked.filter((what) => what.startsWith('armed'))).toHaveLength(203);
  }));
