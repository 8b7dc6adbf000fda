import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { OperatorRequest, Wish } from '../../../src/api/operators/ports.ts';
import { product } from '../../../src/domain/product.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { parseRow, toBytes } from '../../../src/processes/engine/rows.ts';
import type { Buckets } from '../../../src/projections/engine/aliases.ts';
import { products } from '../../../src/projections/views/products.ts';
import { type RebuildDesk, startRebuildDesk } from '../../../src/service/operators/rebuilds.ts';
import {
  answerKey,
  answersBucket,
  createRequests,
  type StoredAnswer,
} from '../../../src/service/operators/requests.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { until } from '../../../src/testing/until.ts';

/** A clock of which a second passes in ten milliseconds. */
const FAST = 100;
const began = Date.now();
const runtime = {
  ...systemRuntime,
  now: () => began + (Date.now() - began) * FAST,
  sleep: async (ms: number) => {
    await delay(ms / FAST);
  },
};
const silent = { warn: () => undefined, info: () => undefined };
const wish: Wish = { id: 'r1', action: 'rebuild', target: 'products', by: 'op', reason: 'wrong prices' };

async function world(commits = 1) {
  const log = createMemoryLog();
  const handler = createHandler({ log, runtime: systemRuntime });
  for (let n = 0; n < commits; n++) {
    const command = {
      type: 'list',
      sku: `TEA-${n}`,
      name: `Tea ${n}`,
      priceMinor: 100n,
      currency: 'EUR',
      at: 1,
    } as const;
    await handler.execute(product, `TEA-${n}`, command, { commandId: `c${n}`, actor: 'op' });
  }
  const buckets: Buckets = openMemoryBuckets(createMemoryBucketStores(), (store) => openMemoryBucket(store));
  await buckets.create('jl_engine', { durable: true });
  const requests = createRequests({ buckets, answers: buckets, prefix: 'jl', runtime });
  const work = { log, buckets, runtime, settings: { prefix: 'jl', resolveMs: 10, checkpointMs: 1 } };
  const start = () => {
    const desk = startRebuildDesk({
      ...{ requests: buckets, answers: buckets, prefix: 'jl', runtime, logger: silent },
      ...{ views: [products], work },
    });
    desks.push(desk);
    return desk;
  };
  const answers = await buckets.create(answersBucket('jl'), { durable: true });
  return { buckets, requests, start, answers };
}

const desks: RebuildDesk[] = [];
afterEach(async () => {
  await Promise.all(desks.splice(0).map((desk) => desk.stop()));
});

const stateIs = (find: () => Promise<OperatorRequest | undefined>, state: OperatorRequest['state']) =>
  until(`the request is ${state}`, async () => (await find())?.state === state, 10_000);

describe('requests for views', () => {
  it('are carried out once, by one of several processes, and say what came of it', async () => {
    const { buckets, requests, start } = await world();
    await requests.ask(wish);
    start();
    start();
    await stateIs(() => requests.find('r1'), 'done');
    expect((await requests.find('r1'))?.result).toBe('Now in jl_products_v1.');
    await delay(50);
    expect(await buckets.list('jl_products_v')).toEqual(['jl_products_v1']);
  });

  it('two who ask at once for one view get one request, and those who ask for other things a number each', async () => {
    const { buckets, requests } = await world();
    const other = createRequests({ buckets, answers: buckets, prefix: 'jl', runtime });
    const asked = await Promise.all([
      requests.ask(wish),
      other.ask({ ...wish, id: 'r2', action: 'rollback' }),
    ]);
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    const pauses = Array.from({ length: 10 }, (_, at) => ({
      ...wish,
      action: 'pause' as const,
      id: `p${at}`,
    }));
    await Promise.all(pauses.map((pause, at) => (at % 2 === 0 ? requests : other).ask(pause)));
    expect((await requests.list()).map(({ id }) => id).sort()).toEqual(
      [asked[0]?.id, ...pauses.map(({ id }) => id)].sort(),
    );
  });

  it('a process that is silent for ten seconds is replaced, and its last writes are refused', async () => {
    const { requests, start, answers } = await world();
    await requests.ask(wish);
    const key = answerKey({ number: 0 });
    const dead: StoredAnswer = { id: 'r1', owner: 'dead', beat: 1, state: 'running' };
    const claimed = await answers.write({ key, value: toBytes(dead), expectedRevision: 0 });
    start();
    await stateIs(() => requests.find('r1'), 'done');
    const late = { ...dead, beat: 2, state: 'failed' as const };
    const revision = claimed.written ? claimed.revision : 0;
    const written = await answers.write({ key, value: toBytes(late), expectedRevision: revision });
    expect(written.written).toBe(false);
    expect((await requests.find('r1'))?.state).toBe('done');
  });

  it('a process that is stopped lets go at once, and the next one goes on', async () => {
    const { requests, start, answers } = await world(200);
    await requests.ask({ ...wish, commitsPerSecond: 2 });
    const first = start();
    await stateIs(() => requests.find('r1'), 'running');
    await first.stop();
    const row = await answers.get(answerKey({ number: 0 }), { leader: true });
    expect(parseRow<StoredAnswer>(row)).toMatchObject({ owner: '', state: 'running' });
    start();
    await stateIs(() => requests.find('r1'), 'done');
  });

  it('one that is cancelled stops, and the view is as it was', async () => {
    const { requests, start, buckets } = await world(200);
    await requests.ask({ ...wish, commitsPerSecond: 2 });
    start();
    await stateIs(() => requests.find('r1'), 'running');
    await requests.cancel('r1', 'op');
    await stateIs(() => requests.find('r1'), 'cancelled');
    expect(await buckets.open('jl_views')).toBeUndefined();
  });

  it('an owner that was replaced stops: two beats of one answer are never both taken', async () => {
    const { requests, start, answers } = await world(200);
    await requests.ask({ ...wish, commitsPerSecond: 2 });
    start();
    await stateIs(() => requests.find('r1'), 'running');
    const key = answerKey({ number: 0 });
    // Whoever takes it over, as another process would.
    await until('it is taken over', async () => {
      const row = await answers.get(key, { leader: true });
      const value = toBytes({ id: 'r1', owner: 'other', beat: 99, state: 'done', result: 'by another' });
      return (await answers.write({ key, value, expectedRevision: row?.revision ?? 0 })).written;
    });
    await delay(100);
    expect(await requests.find('r1')).toMatchObject({ state: 'done', result: 'by another' });
  });
});
