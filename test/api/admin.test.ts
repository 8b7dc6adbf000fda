import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { positionOf } from '../../src/eventstore/position.ts';
import { MARKS } from '../../src/eventstore/stream.ts';
import { createSkips } from '../../src/service/skips.ts';
import { fixedRuntime, type MemoryService, memoryService, TEST_PREFIX } from '../support/memory-service.ts';
import { plantConsumer, plantCursor, plantParked } from './planted.ts';
import { type Client, clientOf, field, list, ordered } from './requests.ts';

let service: MemoryService;
let client: Client;

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
});
afterEach(async () => service[Symbol.asyncDispose]());

describe('parked commits', () => {
  const positions = async (url: string): Promise<number[]> =>
    (await client.get(url)).json<{ items: { position: number }[] }>().items.map(({ position }) => position);

  it('are listed oldest first without payload and stack, and shown whole one by one', async () => {
    await plantParked(service, { id: 'o2', position: positionOf(50) });
    await plantParked(service);
    const listing = await client.get('/v1/admin/parked');
    expect(listing.json()).toMatchObject({ items: [{ position: 42, attempts: 8 }, { position: 50 }] });
    expect(listing.body).not.toMatch(/payload|stack/);
    const one = await client.get('/v1/admin/parked/order-process/order/o1/42');
    expect(one.json()).toMatchObject({
      consumer: 'order-process',
      firstAt: '2026-01-15T09:30:00.000Z',
      events: [{ payload: { userId: 'u1' } }],
      error: { message: 'The provider said no.', stack: 'Error: at line 1' },
    });
  });

  it('are filtered by consumer, category, id and position, and listed in pages', async () => {
    await plantParked(service);
    await plantParked(service, { consumer: 'stock-watch' });
    await plantParked(service, { id: 'o2', position: positionOf(50) });
    await plantParked(service, { category: 'user', id: 'u1', position: positionOf(60) });
    expect(await positions('/v1/admin/parked?consumer=stock-watch')).toEqual([42]);
    expect(await positions('/v1/admin/parked?category=order&id=o2')).toEqual([50]);
    expect(await positions('/v1/admin/parked?upTo=50')).toEqual([42, 42, 50]);
    const first = await client.get('/v1/admin/parked?limit=1');
    expect(field(first, 'next')).toBe('42.order-process');
    const link = /^<([^>]+)>/.exec(String(first.headers.link))?.[1] ?? '';
    expect((await client.get(link)).json()).toMatchObject({ items: [{ consumer: 'stock-watch' }] });
    expect(await positions('/v1/admin/parked?cursor=42.stock-watch')).toEqual([50, 60]);
  });

  it('a dry run says what would be marked and marks nothing; the real one marks it, again and again', async () => {
    await plantParked(service);
    const ask = (dryRun: boolean) =>
      client.post('/v1/admin/parked/redrive', { filter: { id: 'o1' }, dryRun });
    const names = [{ consumer: 'order-process', category: 'order', id: 'o1', position: 42 }];
    expect((await ask(true)).json()).toEqual({ dryRun: true, marked: names, changed: [] });
    const one = '/v1/admin/parked/order-process/order/o1/42';
    expect(field(await client.get(one), 'request')).toBeUndefined();
    const marked = { dryRun: false, request: expect.any(String), marked: names, changed: [] };
    expect((await ask(false)).json()).toEqual(marked);
    expect((await ask(false)).json()).toEqual(marked);
    expect(field(await client.get(one), 'request')).toMatchObject({ requested: 'redrive', by: 'anonymous' });
  });

  it('all of them are meant only when the request says so, and never beside a filter', async () => {
    await plantParked(service);
    await plantParked(service, { id: 'o2', position: positionOf(50) });
    for (const body of [
      undefined,
      {},
      { dryRun: true },
      { filter: {} },
      { all: true, filter: { id: 'o1' } },
    ]) {
      const refused = await client.post('/v1/admin/parked/discard', body);
      expect([body, refused.statusCode]).toEqual([body, 400]);
    }
    const all = await client.post('/v1/admin/parked/discard', { all: true });
    expect(all.json<{ marked: object[] }>().marked).toHaveLength(2);
  });
});

describe('consumers', () => {
  it('show what is neither handled nor parked, how old it is, and what is parked', async () => {
    await list(client, 'TEA');
    const first = await ordered(client, 'u1', 'TEA');
    await ordered(client, 'u1', 'TEA');
    await ordered(client, 'u1', 'TEA');
    const { version } = (await client.get(`/v1/orders/${first}`)).json<{ version: number }>();
    await plantConsumer(service, 'order-process');
    await plantCursor(service, 'order-process', { high: version + 1, open: [version] });
    await plantParked(service);
    const { items } = (await client.get('/v1/admin/consumers')).json<{ items: object[] }>();
    expect(items).toEqual([
      {
        consumer: 'order-process',
        lag: 2,
        lagSeconds: expect.any(Number),
        oldest: { position: version, at: expect.stringMatching(/^2026-01-15T09:30/) },
        parked: 1,
        paused: false,
        groups: { of: 1, held: 0 },
        owners: [],
      },
    ]);
  });

  it('who has no cursor yet lags behind where it begins, and not behind the whole log', async () => {
    await list(client, 'TEA');
    await ordered(client, 'u1', 'TEA');
    const last = await ordered(client, 'u1', 'TEA');
    const { version } = (await client.get(`/v1/orders/${last}`)).json<{ version: number }>();
    await plantConsumer(service, 'order-process');
    const start = { high: version - 1, open: [] };
    await plantCursor(service, 'order-process', start, 'start.order-process');
    const { items } = (await client.get('/v1/admin/consumers')).json<{ items: object[] }>();
    expect(items).toMatchObject([{ consumer: 'order-process', lag: 1, oldest: { position: version } }]);
  });

  it('a process that runs one adds what only it knows', async () => {
    const here = { groups: [0], held: 1, running: 1, retrying: 0, retries: 3, stopped: false };
    const standing = {
      consumer: 'order-process',
      lag: 1,
      lagSeconds: 2.5,
      parked: 0,
      paused: false,
      groups: { of: 1, held: 1 },
      here: { ...here, lastError: 'slow' },
    };
    const consumers = { ...service.deps.admin.consumers, status: async () => [standing] };
    const admin = { ...service.deps.admin, consumers };
    await using local = await memoryService({ override: { admin } });
    expect((await local.app.inject('/v1/admin/consumers')).json()).toEqual({ items: [standing] });
  });

  it('are paused and resumed by name, and show it', async () => {
    await plantConsumer(service, 'order-process');
    const paused = async () => field(await client.get('/v1/admin/consumers'), 'items');
    const stop = await client.post('/v1/admin/consumers/order-process/pause');
    expect(stop.json()).toEqual({ consumer: 'order-process', paused: true });
    expect(await paused()).toMatchObject([{ paused: true }]);
    const go = await client.post('/v1/admin/consumers/order-process/resume', {});
    expect(go.json()).toEqual({ consumer: 'order-process', paused: false });
    expect(await paused()).toMatchObject([{ paused: false }]);
  });
});

describe('positions that are passed over', () => {
  it('are listed with reason, time and who marked them, whose name is not in the log and can be erased', async () => {
    const { log, buckets } = service;
    const runtime = fixedRuntime();
    await list(client, 'TEA');
    const skips = createSkips({ log, buckets, prefix: TEST_PREFIX, runtime });
    const wish = { position: positionOf(1), reason: 'a disk lied', by: 'Ada Lovelace' };
    expect([
      await skips.change({ ...wish, undo: false }),
      await skips.change({ ...wish, undo: false }),
    ]).toEqual([true, false]);
    const shown = async () => field(await client.get('/v1/admin/skipped'), 'items');
    const mark = { position: 1, category: 'product', id: 'TEA', reason: 'a disk lied' };
    const at = expect.stringMatching(/^2026-01-15T09:30/);
    expect(await shown()).toEqual([{ ...mark, at, by: 'Ada Lovelace' }]);
    const page = await log.read(MARKS, { after: 0, confirm: true });
    expect(JSON.stringify(page.commits.map(({ decisions }) => String(decisions[0]?.actor)))).toBe('[""]');
    const [{ action = '' } = {}] = await skips.list();
    const bucket = await buckets.open(`${TEST_PREFIX}_parked`);
    const row = await bucket?.get(`skips.${action}`, { leader: true });
    await bucket?.write({
      key: `skips.${action}`,
      value: undefined,
      expectedRevision: row?.revision ?? 0,
      position: positionOf(0),
    });
    expect(await shown()).toEqual([{ ...mark, at }]);
    expect(await skips.change({ ...wish, undo: true })).toBe(true);
    expect(await shown()).toEqual([]);
  });
});
