import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { numberOf, positionOf } from '../../../../src/eventstore/position.ts';
import { CommitSchema } from '../../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { startEngine } from '../../../../src/processes/engine/engine.ts';
import type { Start } from '../../../../src/processes/engine/start.ts';
import { added, counter, counterRef, toyCommit } from '../../../../src/testing/contracts/toy.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../../src/testing/memory-bucket.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../../src/testing/memory-log.ts';
import { createWorld, type World } from '../../../../src/testing/world.ts';

/** Fixed: the time at which worlds begin lies behind it. */
const DECIDED = 1_000;

/** A commit of one of four counters that was decided at a time, in milliseconds since `DECIDED`. */
function append(log: MemoryStore, at: number): number {
  const id = `a${log.head() % 4}`;
  const commitId = `c${log.head() + 1}`;
  const commit = create(CommitSchema, toyCommit(commitId, [added(1)]));
  for (const decision of commit.decisions) decision.time = BigInt(DECIDED + at);
  const bytes = toBinary(CommitSchema, commit);
  return log.put(counterRef(id), log.version(counterRef(id)), bytes, commitId) ?? 0;
}

interface Shared {
  readonly world: World;
  readonly log: MemoryStore;
  readonly kv: ReturnType<typeof createMemoryBucketStores>;
}

const shop = (log = createMemoryStore()): Shared => ({
  world: createWorld(1, { maxSteps: 500_000 }),
  log,
  kv: createMemoryBucketStores(),
});

/** Runs the reaction until it has nothing to do any more; returns what it handled, and why it stopped. */
async function runOnce({ world, log, kv }: Shared, from: Start, groups: 1 | 4 = 4) {
  const handled: number[] = [];
  const errors: unknown[] = [];
  const actor = `engine-${world.now()}`;
  const runtime = world.runtime(actor);
  const handle = async ({ position }: { position: Parameters<typeof numberOf>[0] }) => {
    handled.push(numberOf(position));
  };
  const engine = startEngine({
    log: openMemoryLog(log, { world, actor }),
    buckets: openMemoryBuckets(kv, (store) => openMemoryBucket(store, { world, actor })),
    runtime,
    consumers: [{ name: 'test', sources: [counter], from, handle }],
    settings: { prefix: 't', groups },
    onError: (_, error) => errors.push(error),
  });
  const settled = (): boolean => {
    const [status] = engine.status();
    return status?.stopped === true || (status?.groups.length === groups && status.lag === 0);
  };
  while (!settled()) await runtime.sleep(100);
  await runtime.sleep(500);
  await engine.stop();
  return { handled: handled.toSorted((a, b) => a - b), errors };
}

/** Removes a row, which has to be there. */
function remove({ kv }: Shared, bucket: string, key: string): void {
  const store = kv.stores.get(bucket)?.store;
  const expectedRevision = store?.last(key)?.revision ?? -1;
  expect(store?.put([{ key, value: undefined, expectedRevision }])).toBeGreaterThan(0);
}

const NINE = [1, 2, 3, 4, 5, 6, 7, 8, 9];

test.each<[string, Start, readonly number[]]>([
  ['the beginning', 'beginning', NINE],
  ['now', 'now', []],
  ['behind a position', { position: positionOf(6) }, [7, 8, 9]],
  ['the first commit at a time', { time: DECIDED + 40 }, [4, 5, 6, 7, 8, 9]],
  ['the first commit after a time at which there was none', { time: DECIDED + 41 }, [5, 6, 7, 8, 9]],
  ['before every commit', { time: 1 }, NINE],
  ['after every commit', { time: DECIDED + 1_000 }, []],
])('a reaction that never ran begins at %s', async (_, from, expected) => {
  const shared = shop();
  for (const n of NINE) append(shared.log, n * 10);
  await shared.world.run(async () => {
    expect(await runOnce(shared, from)).toEqual({ handled: expected, errors: [] });
  });
});

test('a message that says no time is passed by the search for one', async () => {
  const shared = shop();
  const { log } = shared;
  for (const n of [1, 2, 3]) append(log, n * 10);
  for (let n = 0; n < 20; n++) log.put(counterRef('b'), log.version(counterRef('b')), Uint8Array.of(0x78));
  append(log, 40);
  await shared.world.run(async () => {
    expect((await runOnce(shared, { time: DECIDED + 30 })).handled).toEqual([3, 24]);
  });
});

test('what is said later changes nothing: the cursors win, and so does the stored start', async () => {
  const shared = shop();
  append(shared.log, 1);
  await shared.world.run(async () => {
    expect((await runOnce(shared, 'now')).handled).toEqual([]);
    append(shared.log, 2);
    expect((await runOnce(shared, 'beginning')).handled).toEqual([2]);
    append(shared.log, 3);
    expect((await runOnce(shared, { position: positionOf(1) })).handled).toEqual([3]);
  });
});

test('who is shared anew begins where it began, and not where it would begin now', async () => {
  const shared = shop();
  append(shared.log, 1);
  await shared.world.run(async () => {
    await runOnce(shared, 'now', 1);
    append(shared.log, 2);
    remove(shared, 't_engine', 'groups.test');
    expect((await runOnce(shared, 'now', 4)).handled).toEqual([2]);
  });
});

test('cursors of a release that stored no start go on where they were', async () => {
  const shared = shop();
  for (const n of NINE) append(shared.log, n);
  await shared.world.run(async () => {
    await runOnce(shared, 'beginning', 1);
    remove(shared, 't_cursors', 'start.test');
    append(shared.log, 10);
    expect((await runOnce(shared, 'beginning', 1)).handled).toEqual([10]);
    expect(shared.kv.stores.get('t_cursors')?.store.last('start.test')?.value).toHaveLength(0);
  });
});

test('without its rows a reaction begins anew where it says', async () => {
  const shared = shop();
  for (const n of NINE) append(shared.log, n);
  await shared.world.run(async () => {
    expect((await runOnce(shared, 'now', 1)).handled).toEqual([]);
    for (const key of ['test.1.0', 'start.test']) remove(shared, 't_cursors', key);
    expect((await runOnce(shared, { position: positionOf(7) }, 1)).handled).toEqual([8, 9]);
  });
});

test.each<[string, Start, string]>([
  ['a position beyond the end of the log', { position: positionOf(10) }, 'the log ends at 9'],
  ['a time that has not come', { time: 9e15 }, 'which has not come yet'],
])('%s is no start: the consumer stops and says so', async (_, from, why) => {
  const shared = shop();
  for (const n of NINE) append(shared.log, n);
  await shared.world.run(async () => {
    const { handled, errors } = await runOnce(shared, from);
    expect(handled).toEqual([]);
    expect(errors).toMatchObject([{ code: 'engine/no-such-start', message: expect.stringContaining(why) }]);
  });
});

test('the start of another incarnation of the log is refused', async () => {
  const shared = shop();
  append(shared.log, 1);
  await shared.world.run(async () => {
    await runOnce(shared, 'now', 1);
    const restored = createMemoryStore({ incarnation: 'restored' });
    append(restored, 1);
    remove(shared, 't_cursors', 'test.1.0');
    const { errors } = await runOnce({ ...shared, log: restored }, 'now', 1);
    expect(errors).toMatchObject([{ code: 'engine/foreign-cursor' }]);
  });
});
