import { expect, test } from 'vitest';
import { LogUnavailable } from '../../../../src/eventstore/errors.ts';
import { positionOf } from '../../../../src/eventstore/position.ts';
import type { DeadLetter } from '../../../../src/processes/engine/dead-letters/entry.ts';
import { openMessageDeadLetters } from '../../../../src/processes/engine/dead-letters/messages.ts';
import { createDeadLetterPort } from '../../../../src/processes/engine/dead-letters/operator-port.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../../src/testing/memory-bucket.ts';
import { createWorld, type World } from '../../../../src/testing/world.ts';

const STREAM = { category: 'order', id: 'o1' };
const message = (type: string, position = 7) => ({
  ...{ stream: STREAM, position: positionOf(position), type, payload: { type } },
  ...{ error: new Error('nobody there'), attempts: 50, firstAt: 1, traceId: '' },
});
const BY = { by: 'ada' };

/** Two instances that keep dead letters of the same work queue, and an operator. */
function open(world: World, again: (types: string[], instance: string) => void) {
  const stores = createMemoryBucketStores();
  const troubles: string[] = [];
  const bucketsOf = (actor: string) =>
    openMemoryBuckets(stores, (store) => openMemoryBucket(store, { world, actor }));
  const instance = (actor: string) =>
    openMessageDeadLetters({
      ...{ buckets: bucketsOf(actor), prefix: 't', runtime: world.runtime(actor), name: 'mail' },
      again: async ({ events }: DeadLetter) =>
        again(
          events.map(({ type }) => type),
          actor,
        ),
      onTrouble: (what) => troubles.push(what),
    });
  const runtime = world.runtime('operator');
  const operators = createDeadLetterPort({ buckets: bucketsOf('operator'), prefix: 't', runtime });
  const instances = [instance('one'), instance('two')] as const;
  const empty = async () => {
    while ((await operators.list()).length > 0) await runtime.sleep(10);
  };
  return { operators, instances, troubles, runtime, empty };
}

test('what is redriven is sent again, all of a commit together, and is gone; what is kept twice is kept once', async () => {
  const world = createWorld(11, { maxSteps: 100_000 });
  await world.run(async () => {
    const sent: string[][] = [];
    const { operators, instances, troubles, empty } = open(world, (types) => sent.push(types));
    const [one, two] = instances;
    await one.keep(message('confirmed'));
    await two.keep(message('confirmed'));
    await two.keep(message('shipped'));
    expect(await operators.list()).toMatchObject([
      { consumer: 'mail', ...STREAM, position: 7, attempts: 50, error: { message: 'nobody there' } },
    ]);
    await operators.redrive({ consumer: 'mail' }, BY);
    await empty();
    // Either instance may have seen the request; each sends under the request's own id.
    expect(sent.length).toBeGreaterThan(0);
    for (const types of sent) expect(types).toEqual(['confirmed', 'shipped']);
    for (const each of instances) await each.stop();
    expect(troubles).toEqual([]);
  });
});

test('what cannot be sent again for good stays with the new reason; what is away is waited for', async () => {
  const world = createWorld(12, { maxSteps: 100_000 });
  await world.run(async () => {
    let away = 3;
    const { operators, instances, runtime, empty } = open(world, ([type]) => {
      if (type === 'unreadable') throw new TypeError('The notification has no usable kind.');
      if (away-- > 0) throw new LogUnavailable('publishing');
    });
    const [one] = instances;
    await one.keep(message('unreadable', 7));
    await one.keep(message('late', 8));
    await operators.redrive({ position: positionOf(8) }, BY);
    await runtime.sleep(10_000);
    expect(away).toBeLessThan(0);
    expect(await operators.list()).toMatchObject([
      { position: 7, error: { message: 'The notification has no usable kind.' } },
    ]);
    expect((await operators.list())[0]?.request).toBeUndefined();
    await operators.discard({ position: positionOf(7) }, BY);
    await empty();
    await one.keep(message('unreadable', 7));
    expect(await operators.list()).toHaveLength(1);
    for (const each of instances) await each.stop();
  });
});

test('two events of one commit that are told of alike are two, and both are sent again', async () => {
  const world = createWorld(13, { maxSteps: 100_000 });
  await world.run(async () => {
    const sent: string[][] = [];
    const { operators, instances, empty } = open(world, (types) => sent.push(types));
    const [one] = instances;
    for (const id of ['c/0', 'c/1', 'c/0']) await one.keep({ ...message('changed'), payload: { id } });
    await operators.redrive({ consumer: 'mail' }, BY);
    await empty();
    expect(sent[0]).toEqual(['changed', 'changed']);
    for (const each of instances) await each.stop();
  });
});

test('what is sent again in vain, and given up again at once, stays', async () => {
  const world = createWorld(14, { maxSteps: 100_000 });
  await world.run(async () => {
    let tries = 0;
    const { operators, instances, runtime } = open(world, async () => {
      tries++;
      await one.keep(message('refused'));
    });
    const [one] = instances;
    await one.keep(message('refused'));
    await operators.redrive({ consumer: 'mail' }, BY);
    await runtime.sleep(10_000);
    expect(tries).toBeGreaterThan(0);
    expect(await operators.list()).toMatchObject([{ position: 7, events: [{ type: 'refused' }] }]);
    expect((await operators.list())[0]?.request).toBeUndefined();
    for (const each of instances) await each.stop();
  });
});
