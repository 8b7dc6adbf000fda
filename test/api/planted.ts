import { BEGINNING, positionOf } from '../../src/eventstore/position.ts';
import { type DeadLetter, entryKey } from '../../src/processes/engine/dead-letters/entry.ts';
import { bucketNames, toBytes } from '../../src/processes/engine/rows.ts';
import { type MemoryService, TEST_EPOCH, TEST_PREFIX } from '../support/memory-service.ts';

type Service = Pick<MemoryService, 'buckets'>;

/** Writes what a consumer leaves in the shared bucket when it first runs, in one group. */
export async function plantConsumer({ buckets }: Service, name: string): Promise<void> {
  const bucket = await buckets.create(bucketNames(TEST_PREFIX).shared, { durable: true });
  const value = toBytes({ count: 1 });
  await bucket.write({ key: `groups.${name}`, value, expectedRevision: 0, position: BEGINNING });
}

/** Writes the cursor of a consumer's only group, or the row of another key as one. */
export async function plantCursor(
  { buckets }: Service,
  name: string,
  place: { readonly high: number; readonly open: readonly number[]; readonly timers?: readonly object[] },
  key = `${name}.1.0`,
): Promise<void> {
  const bucket = await buckets.create(bucketNames(TEST_PREFIX).cursors, { durable: true });
  const row = {
    key,
    value: toBytes(place),
    expectedRevision: 0,
    position: positionOf(place.high),
  };
  await bucket.write(row);
}

/** Parks a commit of an order at position 42 unless told otherwise. */
export async function plantParked({ buckets }: Service, given: Partial<DeadLetter> = {}): Promise<void> {
  const bucket = await buckets.create(bucketNames(TEST_PREFIX).parked, { durable: true });
  const entry: DeadLetter = {
    consumer: 'order-process',
    category: 'order',
    id: 'o1',
    position: positionOf(42),
    commitId: 'c1',
    behind: false,
    events: [{ type: 'jetledger.order.v1.OrderPlaced', schemaVersion: 1, payload: { userId: 'u1' } }],
    error: { name: 'Error', message: 'The provider said no.', stack: 'Error: at line 1' },
    attempts: 8,
    firstAt: TEST_EPOCH,
    lastAt: TEST_EPOCH + 1_000,
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    write: 'w1',
    ...given,
  };
  const key = entryKey(entry.consumer, entry, entry.position);
  await bucket.write({ key, value: toBytes(entry), expectedRevision: 0, position: BEGINNING });
}
