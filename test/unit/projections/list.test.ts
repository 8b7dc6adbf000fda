import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import {
  appendEntry,
  type ListRow,
  readList,
  sealFullPage,
} from '../../../src/projections/engine/lists/list.ts';
import { createMemoryBucket } from '../../../src/testing/memory-bucket.ts';

async function put(bucket: Bucket, key: string, row: unknown): Promise<void> {
  const expectedRevision = (await bucket.get(key, { leader: true }))?.revision ?? 0;
  await bucket.write({
    key,
    value: Buffer.from(JSON.stringify(row)),
    expectedRevision,
    position: positionOf(1),
  });
}

/** A bucket with one list of the numbers below `size`, and how often it was read. */
async function listOf(
  size: number,
  begun?: ListRow<number>,
): Promise<{ bucket: Bucket; reads: () => number; grow: (n: number) => Promise<void> }> {
  const inner = createMemoryBucket('lists');
  let reads = 0;
  let head = begun;
  let next = 0;
  const grow = async (n: number) => {
    for (let i = 0; i < n; i++) head = appendEntry(head, next++);
    for (let cut = head && sealFullPage('k', head); cut; cut = head && sealFullPage('k', head)) {
      await put(inner, cut.key, cut.row);
      head = cut.rest;
    }
    if (head !== undefined) await put(inner, 'k', head);
  };
  await grow(size);
  const get: Bucket['get'] = (key, options) => {
    reads++;
    return inner.get(key, options);
  };
  const getAll: Bucket['getAll'] = (keys) => {
    reads++;
    return inner.getAll(keys);
  };
  return { bucket: { ...inner, get, getAll }, reads: () => reads, grow };
}

async function readAll(bucket: Bucket, limit: number): Promise<number[]> {
  const all: number[] = [];
  let before: number | undefined;
  do {
    const part = await readList<number>(bucket, 'k', { limit, before });
    all.push(...part.entries);
    before = part.before;
  } while (before !== undefined);
  return all;
}

test.each([
  [0, 10],
  [1, 1],
  [50, 7],
  [51, 50],
  [100, 50],
  [401, 3],
  [1000, 33],
])('a list of %i entries read by %i gives each entry once, newest first', async (size, limit) => {
  const { bucket } = await listOf(size);
  expect(await readAll(bucket, limit)).toEqual(Array.from({ length: size }, (_, i) => size - 1 - i));
});

test('a list of an earlier build, whose rows do not say how many entries a page has, is read with its pages of 200', async () => {
  const { bucket } = await listOf(901, { pages: 0, entries: [] });
  expect(await bucket.get('k.3')).toBeDefined();
  expect(await bucket.get('k.4')).toBeUndefined();
  expect(await readAll(bucket, 70)).toEqual(Array.from({ length: 901 }, (_, i) => 900 - i));
});

test('one page reads the head, and its sealed pages in one request', async () => {
  const { bucket, reads } = await listOf(2_000);
  for (const before of [2_000, 1_900, 1_801, 1_800, 1_799, 601, 200]) {
    const start = reads();
    await readList(bucket, 'k', { limit: 200, before });
    expect(reads() - start).toBeLessThanOrEqual(2);
  }
});

test('what is appended between two pages moves nothing', async () => {
  const { bucket, grow } = await listOf(300);
  const first = await readList<number>(bucket, 'k', { limit: 50 });
  await grow(500);
  const second = await readList<number>(bucket, 'k', { limit: 50, before: first.before });
  expect(first.entries.at(-1)).toBe(250);
  expect(second.entries[0]).toBe(249);
});

test('a page that was written before a crash is the page that is written again', () => {
  let head: ListRow<number> | undefined;
  for (let i = 0; i <= 50; i++) head = appendEntry(head, i);
  const before = head && sealFullPage('k', head);
  for (let i = 51; i < 80; i++) head = head && appendEntry(head, i);
  expect(head && sealFullPage('k', head)).toMatchObject({ key: before?.key, row: before?.row });
});
