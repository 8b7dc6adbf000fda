import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Bucket } from '../../../../src/eventstore/bucket.ts';
import { positionOf } from '../../../../src/eventstore/position.ts';
import { systemRuntime } from '../../../../src/eventstore/runtime.ts';
import { slotOf } from '../../../../src/eventstore/stream.ts';
import {
  claimDeadLetters,
  type DeadLetterIndex,
  type DeadLetters,
  loadDeadLetters,
  watchDeadLetters,
} from '../../../../src/processes/engine/dead-letters/dead-letters.ts';
import { entryKey, fenceKey, parseEntryKey } from '../../../../src/processes/engine/dead-letters/entry.ts';
import { OwnershipLost } from '../../../../src/processes/engine/errors.ts';
import type { Session } from '../../../../src/processes/engine/ownership.ts';
import { toBytes } from '../../../../src/processes/engine/rows.ts';
import { counterRef } from '../../../../src/testing/contracts/toy.ts';
import { createMemoryBucket } from '../../../../src/testing/memory-bucket.ts';

const runtime = systemRuntime;
const group = { count: 1, index: 0 } as const;
const fence = fenceKey('test', group);
const stream = counterRef('x');
const key = entryKey('test', stream, positionOf(7));

let bucket: Bucket;
let stopping: AbortController;

beforeEach(() => {
  bucket = createMemoryBucket('parked');
  stopping = new AbortController();
});
afterEach(() => stopping.abort());

const sessionOf = (id: string, alive = true): Session => ({
  id,
  alive: () => alive,
  ended: new AbortController().signal,
  end: async () => undefined,
});

const indexOf = (watched: Bucket): DeadLetterIndex =>
  watchDeadLetters({ bucket: watched, runtime, signal: stopping.signal }, () => undefined);

const claim = (session: Session): Promise<DeadLetters> =>
  claimDeadLetters({ bucket, index: indexOf(bucket), runtime, fence, session, signal: stopping.signal });

const entry = { key, value: toBytes({ behind: false }), expectedRevision: 0 };

test('keys name the slot, the aggregate and the position, and only entries are read as such', () => {
  expect(key).toBe(`test.${slotOf('x')}.counter.x.0000000000000007`);
  expect(parseEntryKey(key)).toEqual({ consumer: 'test', stream, position: 7 });
  expect(parseEntryKey(fence)).toBeUndefined();
});

test('a zombie parks nothing once its successor has claimed the fence', async () => {
  const zombie = await claim(sessionOf('zombie'));
  const owner = await claim(sessionOf('owner'));
  await expect(zombie.write([entry])).rejects.toThrow(OwnershipLost);
  expect(await bucket.get(key)).toBeUndefined();
  expect(await owner.write([entry])).toBe(true);
});

test('a session that has ended claims no fence back', async () => {
  await claim(sessionOf('owner'));
  await expect(claim(sessionOf('zombie', false))).rejects.toThrow(OwnershipLost);
});

test('an entry that is not as expected is not written, and the park goes on', async () => {
  const park = await claim(sessionOf('owner'));
  expect(await park.write([entry])).toBe(true);
  expect(await park.write([entry])).toBe(false);
  const row = await bucket.get(key);
  expect(await park.write([{ ...entry, value: undefined, expectedRevision: row?.revision ?? 0 }])).toBe(true);
});

test('a batch whose answer was lost is recognised and not written twice', async () => {
  const { writeAll } = bucket;
  let answers = 0;
  const deaf: Bucket = {
    ...bucket,
    writeAll: async (rows) => {
      const result = await writeAll?.(rows);
      if (++answers === 1) throw Object.assign(new Error('no answer'), { retryable: true });
      return result ?? { written: false };
    },
  };
  const index = indexOf(bucket);
  const session = sessionOf('owner');
  const park = await claimDeadLetters({
    bucket: deaf,
    index,
    runtime,
    fence,
    session,
    signal: stopping.signal,
  });
  expect(await park.write([entry])).toBe(true);
  expect(answers).toBe(1);
  expect(index.of('test', stream)).toMatchObject([
    { position: 7, revision: (await bucket.get(key))?.revision },
  ]);
});

test('a successor knows of an entry that was marked between its claim and its watch', async () => {
  const first = await claim(sessionOf('first'));
  await first.write([entry]);
  // What a watch delivers of an entry that is overwritten again and again: not yet.
  const late: Bucket = {
    ...bucket,
    watch: async function* (options) {
      for await (const row of bucket.watch(options)) if (row.key !== key) yield row;
    },
  };
  const index = indexOf(late);
  const { revision } = await claim(sessionOf('second'));
  const { signal } = stopping;
  await loadDeadLetters({ bucket, index, runtime, consumer: 'test', group, fence, revision, signal });
  expect(index.of('test', stream)).toMatchObject([{ position: 7 }]);
});
