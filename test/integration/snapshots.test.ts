import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { product } from '../../src/domain/product.ts';
import { foldVersionOf } from '../../src/eventstore/fold.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { trimBucket } from '../../src/eventstore/nats/bucket-bound.ts';
import { createNatsSnapshotStore } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { WrongSnapshot } from '../../src/eventstore/snapshots/snapshots.ts';
import { openSnapshot, type SnapshotStore, sealSnapshot } from '../../src/eventstore/snapshots/stored.ts';
import { counter } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, openTestLog } from '../support/nats-log.ts';
import { add, meta, watched } from '../unit/eventstore/kernel.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
});
afterAll(async () => {
  await server.stop();
});

/** A process with a connection of its own; its snapshots are in the bucket, which need not exist. */
async function startProcess(bucket: string, verifyShare = 0) {
  const handle = await openTestLog(server.url);
  const log = watched(handle.log);
  const store = createNatsSnapshotStore({ requests: handle.requests, bucket, timeoutMs: 1_000 });
  const wrong: WrongSnapshot[] = [];
  const onWrong = (found: WrongSnapshot) => wrong.push(found);
  const snapshots = { store, settings: { verifyShare, fewestCommands: 2 }, onWrong };
  const handler = createHandler({ log, runtime: systemRuntime, snapshots });
  const close = async (): Promise<void> => {
    await handler.close();
    await handle.close();
  };
  return { handler, log, store, wrong, connection: handle.connection, [Symbol.asyncDispose]: close };
}

/** A bucket of a test's own, as the service makes it, and an aggregate with a history and a snapshot. */
async function withHistory(id: string, count: number): Promise<string> {
  const bucket = `snapshots-${randomUUID().slice(0, 8)}`;
  await using writer = await startProcess(bucket);
  const jsm = await jetstreamManager(writer.connection);
  await ensureBucket(jsm, bucket, { replicas: 1, storage: 'file', persist: 'async' });
  for (let i = 0; i < count; i++)
    await writer.handler.execute(counter, id, add(1), meta(`${id}-${i}`, 'body'));
  return bucket;
}

const keyOf = (id: string): string => `counter.${foldVersionOf(counter)}.${id}`;

async function kept(store: SnapshotStore, incarnation: string, id: string) {
  return openSnapshot<typeof counter.initial>(incarnation, (await store.get(keyOf(id))) ?? new Uint8Array());
}

describe('snapshots in a bucket of a real server', () => {
  it('spare a new process the history: one append and no read of the log', async () => {
    const bucket = await withHistory('cold', 30);
    await using process = await startProcess(bucket);
    const result = await process.handler.execute(counter, 'cold', add(1), meta('next'));
    expect(result).toMatchObject({ outcome: 'accepted', state: { total: 31 } });
    expect(process.log.calls).toEqual({ appends: 1, reads: 0, confirmed: 0 });
    expect(await process.handler.execute(counter, 'cold', add(1), meta('cold-3', 'body'))).toMatchObject({
      repeated: true,
      state: { total: 4 },
    });
  });

  it('that are wrong are found by the verification, reported and replaced', async () => {
    const bucket = await withHistory('wrong', 3);
    await using process = await startProcess(bucket, 1);
    const { incarnation } = process.log;
    const right = await kept(process.store, incarnation, 'wrong');
    if (right === undefined) throw new Error('no snapshot was written');
    const state = { total: 99, notes: [] };
    await process.store.put(keyOf('wrong'), sealSnapshot(incarnation, { ...right, state }));
    // A write asks for no answer.
    await vi.waitUntil(async () => (await kept(process.store, incarnation, 'wrong'))?.state.total === 99);
    await process.handler.load(counter, 'wrong');
    await vi.waitUntil(() => process.wrong.length > 0, { timeout: 5_000 });
    expect(process.wrong).toMatchObject([{ version: right.version, key: keyOf('wrong') }]);
    expect((await kept(process.store, incarnation, 'wrong'))?.state.total).toBe(3);
    expect((await process.handler.load(counter, 'wrong')).state.total).toBe(3);
  });

  it('that are right stay: a verification of all loads reports nothing', async () => {
    const bucket = await withHistory('right', 20);
    await using process = await startProcess(bucket, 1);
    await process.handler.load(counter, 'right');
    await vi.waitUntil(() => process.log.calls.confirmed >= 2, { timeout: 5_000 });
    expect(process.wrong).toEqual([]);
  });

  it('are a head and a section where very many reservations are open', async () => {
    const bucket = await withHistory('beside', 2);
    const [sku, at] = ['TEA-1', 1_900_000_000_000];
    const list = { type: 'list', sku, name: 'Tea', priceMinor: 1n, currency: 'EUR', at } as const;
    const receive = { type: 'receiveStock', receiptId: 'r', quantity: 9_999, at } as const;
    const release = { type: 'releaseStock', orderId: 'order-7', at } as const;
    {
      await using writer = await startProcess(bucket);
      for (const command of [list, receive])
        await writer.handler.execute(product, sku, command, meta(command.type));
      const reserve = async (i: number) => {
        const command = { type: 'reserveStock', orderId: `order-${i}`, quantity: 1, at } as const;
        return writer.handler.execute(product, sku, command, meta(`reserve-${i}`));
      };
      // More than are kept in one piece, and enough changes behind that for two generations.
      for (let from = 0; from < 5_500; from += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, i) => reserve(from + i)));
      }
    }
    await using process = await startProcess(bucket);
    expect(await process.handler.execute(product, sku, release, meta('release'))).toMatchObject({
      outcome: 'accepted',
      events: [{ quantity: 1n, reserved: 5_499n }],
    });
    expect(process.log.calls).toEqual({ appends: 1, reads: 0, confirmed: 0 });
  });

  it('are bounded: the oldest rows go, the newest stay, and nothing goes below the bound', async () => {
    const bucket = await withHistory('bounded', 2);
    await using process = await startProcess(bucket);
    await using handle = await openTestLog(server.url);
    const rows = 200;
    for (let i = 0; i < rows; i++) await process.store.put(`row.${i}`, new Uint8Array(1_000));
    // Rewritten: the oldest ten sequences are gaps.
    for (let i = 0; i < 10; i++) await process.store.put(`row.${i}`, new Uint8Array(1_000));
    await process.store.flush?.();
    const jsm = await jetstreamManager(handle.connection);
    const bytesOf = async () => (await jsm.streams.info(`KV_${bucket}`)).state.bytes;
    const maxBytes = 100_000;
    expect(await bytesOf()).toBeGreaterThan(maxBytes);
    const bound = { bucket, maxBytes, timeoutMs: 1_000 };
    expect(await trimBucket(handle.requests, bound)).toBeGreaterThan(rows / 2);
    expect(await bytesOf()).toBeLessThanOrEqual(maxBytes);
    expect(await bytesOf()).toBeGreaterThan(maxBytes * 0.8);
    expect(await process.store.get('row.9')).toHaveLength(1_000);
    expect(await process.store.get('row.10')).toBeUndefined();
    expect(await trimBucket(handle.requests, bound)).toBe(0);
  });

  it('may be missing altogether: commands take longer and come to the same', async () => {
    await withHistory('lost', 5);
    await using process = await startProcess('snapshots-nobody-made');
    const result = await process.handler.execute(counter, 'lost', add(1), meta('next'));
    expect(result).toMatchObject({ outcome: 'accepted', state: { total: 6 } });
  });

  it('may be lost with the server: what is folded afterwards is the log', async () => {
    const bucket = await withHistory('killed', 5);
    await server.kill9();
    await server.restart();
    await using process = await startProcess(bucket, 1);
    expect((await process.handler.load(counter, 'killed')).state.total).toBe(5);
    expect(await process.handler.execute(counter, 'killed', add(-5), meta('next'))).toMatchObject({
      outcome: 'accepted',
      state: { total: 0 },
    });
    expect(process.wrong).toEqual([]);
  });
});
