import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { foldVersionOf } from '../../src/eventstore/fold.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { createNatsSnapshotStore } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { createNatsSnapshotArchive } from '../../src/eventstore/nats/snapshot-archive.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { foldsOf, type Release, readReleases, releaseId } from '../../src/eventstore/snapshots/releases.ts';
import { type RemakeSettings, startRemake } from '../../src/eventstore/snapshots/remake.ts';
import { openSnapshot } from '../../src/eventstore/snapshots/stored.ts';
import { type CounterState, counter } from '../../src/testing/contracts/toy.ts';
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

/** The toy as a release folds it. */
const release = (foldRevision: number) => ({ ...counter, foldRevision });
type Folding = ReturnType<typeof release>;
const keyOf = (decider: Folding, id: string): string => `counter.${foldVersionOf(decider)}.${id}`;
const LEASE_MS = 1_200;

async function makeBucket(): Promise<string> {
  const bucket = `snapshots-${randomUUID().slice(0, 8)}`;
  await using handle = await openTestLog(server.url);
  const kind = { replicas: 1, storage: 'file', persist: 'async', maxBytes: 2 ** 24 } as const;
  await ensureBucket(await jetstreamManager(handle.connection), bucket, kind);
  return bucket;
}

/** A process of a release, which makes snapshots anew once it is told to begin. */
async function startProcess(bucket: string, decider: Folding, incarnation?: string) {
  const handle = await openTestLog(server.url);
  const log = { ...watched(handle.log), ...(incarnation !== undefined && { incarnation }) };
  const { requests } = handle;
  const store = createNatsSnapshotStore({ requests, bucket, timeoutMs: 1_000 });
  const [runtime, timeoutMs] = [systemRuntime, 1_000];
  const archive = createNatsSnapshotArchive({ requests, runtime, bucket, timeoutMs });
  const handler = createHandler({
    log,
    runtime,
    snapshots: { store, settings: { fewestCommands: 2 }, onWrong: () => undefined },
  });
  const id = releaseId(log.incarnation, foldsOf([decider]));
  const told = { owns: 0, ended: 0, remade: 0, dropped: [] as string[], failures: [] as unknown[] };
  const begin = (settings: Partial<RemakeSettings> = {}) =>
    startRemake({
      deciders: [decider],
      store,
      archive,
      log,
      runtime,
      settings: { perSecond: 10_000, leaseMs: LEASE_MS, fewestCommands: 2, ...settings },
      observer: {
        owns: () => told.owns++,
        ended: () => told.ended++,
        remade: (count) => {
          told.remade += count;
        },
        dropped: (folds) => told.dropped.push(...folds),
        failed: (error) => told.failures.push(error),
      },
    });
  const standing = async (): Promise<Release | undefined> => (await readReleases(archive.rows)).releases[id];
  const totalIn = async (of: string): Promise<number | undefined> => {
    const bytes = await store.get(keyOf(decider, of));
    return bytes && openSnapshot<CounterState>(log.incarnation, bytes)?.state.total;
  };
  return { ...handle, log, store, archive, handler, told, begin, standing, totalIn };
}

/** So many aggregates of which each has a snapshot, written in this order, and the total 3. */
async function fill(bucket: string, decider: Folding, count: number): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, (_, n) => `${randomUUID().slice(0, 8)}-${n}`);
  for (const id of ids) {
    // What waits is written when its process ends.
    await using process = await startProcess(bucket, decider);
    for (const by of [1, 2]) await process.handler.execute(decider, id, add(by), meta(`${id}-${by}`));
    await process.handler.close();
  }
  return ids;
}

const until = (what: () => boolean | Promise<boolean>): Promise<unknown> =>
  vi.waitUntil(what, { timeout: 15_000, interval: 20 });

describe('snapshots after a release that folds differently', () => {
  it('are made anew in the background, those first that were written last', async () => {
    const bucket = await makeBucket();
    const ids = await fill(bucket, release(1), 12);
    await using process = await startProcess(bucket, release(2));
    const remake = process.begin({ perSecond: 1 });
    await until(async () => (await process.totalIn(ids.at(-1) ?? '')) !== undefined);
    expect(await process.totalIn(ids[0] ?? '')).toBeUndefined();
    await remake.stop();
    const rest = process.begin();
    await until(() => process.told.ended > 0);
    await rest.stop();
    expect(await Promise.all(ids.map(process.totalIn))).toEqual(ids.map(() => 3));
    expect(process.told).toMatchObject({ remade: 12, ended: 1, failures: [] });
    // From there on a command finds its aggregate without the log.
    await using next = await startProcess(bucket, release(2));
    await next.handler.execute(release(2), ids[3] ?? '', add(1), meta('next'));
    expect(next.log.calls).toEqual({ appends: 1, reads: 0, confirmed: 0 });
  });

  it('are found behind any number of newer ones', async () => {
    const bucket = await makeBucket();
    const ids = await fill(bucket, release(1), 3);
    await using process = await startProcess(bucket, release(2));
    const of = (n: number): string => keyOf(release(1), `newer-${n}`);
    const [some] = await Promise.all(ids.map((id) => process.store.get(keyOf(release(1), id))));
    // Several looks: more than one look takes in, some of them at one key, of which only the last remains.
    for (let n = 0; n < 1_500; n++) await process.store.put(of(n % 700), some ?? new Uint8Array());
    const remake = process.begin();
    await until(() => process.told.ended > 0);
    await remake.stop();
    expect(await Promise.all(ids.map(process.totalIn))).toEqual([3, 3, 3]);
    expect(process.told.failures).toEqual([]);
  });

  it('are made by one of several processes; when it dies another goes on where it was', async () => {
    const bucket = await makeBucket();
    const ids = await fill(bucket, release(1), 16);
    await using first = await startProcess(bucket, release(2));
    await using second = await startProcess(bucket, release(2));
    const owner = first.begin({ perSecond: 4 });
    await until(() => first.told.owns > 0);
    const other = second.begin();
    await until(async () => ((await first.standing())?.remade ?? 0) >= 4);
    expect(second.told).toMatchObject({ owns: 0, remade: 0 });
    await first.connection.close();
    const before = (await second.standing())?.remade ?? 0;
    await until(() => second.told.ended > 0);
    await Promise.all([owner.stop(), other.stop()]);
    expect(before).toBeGreaterThanOrEqual(4);
    expect(second.told.remade).toBeLessThanOrEqual(16 - before);
    expect((await second.standing())?.endedAt).toBeDefined();
    expect(await Promise.all(ids.map(second.totalIn))).toEqual(ids.map(() => 3));
  });

  it('are handed over at once by a process that stops', async () => {
    const bucket = await makeBucket();
    await fill(bucket, release(1), 3);
    await using first = await startProcess(bucket, release(2));
    const owner = first.begin({ perSecond: 1, leaseMs: 60_000 });
    await until(async () => (await first.standing()) !== undefined);
    await owner.stop();
    expect((await first.standing())?.owner).toBe('');
    await using second = await startProcess(bucket, release(2));
    const other = second.begin({ leaseMs: 60_000 });
    await until(() => second.told.ended > 0);
    await other.stop();
  });

  it('are not made anew twice: a process that starts later finds that nothing is left', async () => {
    const bucket = await makeBucket();
    await fill(bucket, release(1), 3);
    for (const remade of [3, 0]) {
      await using process = await startProcess(bucket, release(2));
      const remake = process.begin();
      await until(async () => (await process.standing())?.endedAt !== undefined);
      await remake.stop();
      expect(process.told.remade).toBe(remade);
    }
  });

  it('of an older release are left alone while a newer one is there, and nothing of the newer one is touched', async () => {
    const bucket = await makeBucket();
    const ids = await fill(bucket, release(1), 12);
    await using older = await startProcess(bucket, release(2));
    const first = older.begin({ perSecond: 4 });
    await until(async () => ((await older.standing())?.remade ?? 0) > 0);
    await using newer = await startProcess(bucket, release(3));
    const second = newer.begin();
    await until(async () => (await newer.standing())?.remade === 12);
    const [id = ''] = ids;
    await newer.handler.execute(release(3), id, add(10), meta('more'));
    await newer.handler.close();
    await until(async () => (await newer.totalIn(id)) === 13);
    const signs = async (count: number): Promise<void> => {
      const beat = (await older.standing())?.beat ?? 0;
      await until(async () => ((await older.standing())?.beat ?? 0) >= beat + count);
    };
    // What was under way is told, and then it looks several times and does nothing.
    await signs(2);
    const remade = (await older.standing())?.remade;
    await signs(3);
    expect((await older.standing())?.remade).toBe(remade);
    expect(await newer.totalIn(id)).toBe(13);
    // Instances of the older one write on: only once they are gone is there nothing left to do.
    expect(newer.told.ended).toBe(0);
    await first.stop();
    await until(() => newer.told.ended > 0);
    await second.stop();
  });

  it('of former folds are dropped after a while, but none that an instance still uses', async () => {
    const bucket = await makeBucket();
    const [id = ''] = await fill(bucket, release(1), 1);
    {
      await using older = await startProcess(bucket, release(2));
      const remake = older.begin();
      await until(() => older.told.ended > 0);
      await remake.stop();
    }
    await using newer = await startProcess(bucket, release(3));
    const keepMs = 4_000;
    const remake = newer.begin({ keepMs });
    await until(() => newer.told.ended > 0);
    const ended = performance.now();
    await using canary = await startProcess(bucket, release(2));
    const canaries = canary.begin({ keepMs: 600_000 });
    await until(() => newer.told.dropped.length > 0);
    expect(performance.now() - ended).toBeGreaterThan(keepMs - 500);
    // The first fold has nobody; the second has one that gives signs.
    expect(newer.told.dropped).toEqual([`counter.${foldVersionOf(release(1))}`]);
    expect(await newer.store.get(keyOf(release(1), id))).toBeUndefined();
    expect([await canary.totalIn(id), await newer.totalIn(id)]).toEqual([3, 3]);
    await canaries.stop();
    await until(() => newer.told.dropped.length > 1);
    expect(await canary.totalIn(id)).toBeUndefined();
    // Should it come back, it begins anew.
    expect(await canary.standing()).toBeUndefined();
    expect(await newer.totalIn(id)).toBe(3);
    await remake.stop();
  });

  it('of another incarnation of the log are made from this log alone, and each incarnation has its own owner', async () => {
    const bucket = await makeBucket();
    const [id = ''] = await fill(bucket, release(1), 1);
    await using stranger = await startProcess(bucket, release(2), 'another-log');
    // What lies in the bucket is of a log that this one does not have.
    const empty = { ...stranger.log, read: async () => ({ commits: [], confirmedEnd: true, more: false }) };
    const { store, archive } = stranger;
    const strange = startRemake({
      deciders: [release(2)],
      store,
      archive,
      log: empty,
      runtime: systemRuntime,
      settings: { leaseMs: LEASE_MS },
    });
    await until(async () => (await stranger.standing())?.endedAt !== undefined);
    await strange.stop();
    await using process = await startProcess(bucket, release(2));
    expect(await process.totalIn(id)).toBeUndefined();
    const remake = process.begin();
    await until(() => process.told.ended > 0);
    await remake.stop();
    expect(await process.totalIn(id)).toBe(3);
  });
});
