import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { positionOf } from '../../src/eventstore/position.ts';
import { type DeadLetter, entryKey } from '../../src/processes/engine/dead-letters/entry.ts';
import { bucketNames, parseRow, toBytes } from '../../src/processes/engine/rows.ts';
import { type MemoryService, memoryService, TEST_PREFIX } from '../support/memory-service.ts';
import { plantConsumer, plantParked } from './planted.ts';
import { type Client, clientOf, confirm, field, list, ordered } from './requests.ts';

let service: MemoryService;
let client: Client;

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
});
afterEach(async () => service[Symbol.asyncDispose]());

const at = (position: number) => ({ id: `o${position}`, position: positionOf(position) });
const failedWith = (message: string) => ({ error: { name: 'Error', message, stack: '' } });

interface Cause {
  readonly cause: string;
  readonly count: number;
  readonly error: { readonly message: string };
}

async function causes(): Promise<readonly Cause[]> {
  return (await client.get('/v1/admin/parked/causes')).json<{ items: Cause[] }>().items;
}

/** Changes a dead letter as the owner of its group would. */
async function tried(id: string, next: (entry: DeadLetter) => DeadLetter | undefined): Promise<void> {
  const bucket = await service.buckets.create(bucketNames(TEST_PREFIX).parked, { durable: true });
  for await (const row of bucket.rows()) {
    const entry = parseRow<DeadLetter>(row);
    if (entry?.id !== id || row.key !== entryKey(entry.consumer, entry, entry.position)) continue;
    const after = next(entry);
    const value = after === undefined ? undefined : toBytes(after);
    await bucket.write({ key: row.key, value, expectedRevision: row.revision });
  }
}

describe('the causes of parked commits', () => {
  it('are one for each consumer, event and error, whatever ids and numbers the message names', async () => {
    await plantParked(service, { ...at(41), ...failedWith('Order o-41 was refused with 500.') });
    await plantParked(service, { ...at(42), ...failedWith('Order o-42 was refused with 503.') });
    await plantParked(service, { ...at(43), ...failedWith('The address is unknown.') });
    await plantParked(service, {
      ...at(44),
      consumer: 'stock-watch',
      ...failedWith('The address is unknown.'),
    });
    const behind = { id: 'o41', position: positionOf(45), behind: true, error: undefined, attempts: 0 };
    await plantParked(service, behind);
    const found = await causes();
    expect(found).toMatchObject([
      { count: 2, behind: 1, step: 'OrderPlaced', example: { id: 'o41', position: 41 } },
      { count: 1, behind: 0, consumer: 'order-process' },
      { count: 1, behind: 0, consumer: 'stock-watch' },
    ]);
    expect(new Set(found.map(({ cause }) => cause)).size).toBe(3);
  });

  it('are redriven one by one, and the request says what became of each commit', async () => {
    for (const position of [41, 42, 43])
      await plantParked(service, { ...at(position), ...failedWith('Refused: 5') });
    await plantParked(service, { ...at(50), ...failedWith('Something else.') });
    const [{ cause } = { cause: '' }] = await causes();
    const body = { filter: { cause }, reason: 'the provider is back' };
    const answer = await client.post('/v1/admin/parked/redrive', body);
    expect(answer.json<{ marked: object[] }>().marked).toHaveLength(3);
    const path = `/v1/admin/requests/${field(answer, 'request')}`;
    const outcome = async () => field(await client.get(path), 'outcome');
    expect(await outcome()).toEqual({ marked: 3, done: 0, failed: 0, waiting: 3 });
    await tried('o41', () => undefined);
    await tried('o42', ({ request, ...entry }) => ({ ...entry, lastRequest: request?.id, attempts: 9 }));
    expect(await outcome()).toEqual({ marked: 3, done: 1, failed: 1, waiting: 1 });
    expect((await client.get(path)).json()).toMatchObject({
      ...{ action: 'redrive', target: `cause ${cause}`, by: 'anonymous', reason: 'the provider is back' },
      state: 'done',
    });
  });

  it('a reason for giving up is kept with the entry', async () => {
    await plantParked(service);
    await client.post('/v1/admin/parked/discard', { filter: { id: 'o1' }, reason: 'paid by hand' });
    const [entry] = await service.deps.admin.parked.list();
    expect(entry?.request).toMatchObject({ requested: 'discard', reason: 'paid by hand' });
  });
});

describe('requests of operators', () => {
  const rebuild = (view: string, headers = {}) =>
    client.post(`/v1/admin/views/${view}/rebuild`, { reason: 'wrong totals' }, headers);

  it('who paused a consumer, and why, is shown and kept', async () => {
    await plantConsumer(service, 'order-process');
    await client.post('/v1/admin/consumers/order-process/pause', { reason: 'the provider is away' });
    const [consumer] = (await client.get('/v1/admin/consumers')).json<{ items: object[] }>().items;
    expect(consumer).toMatchObject({
      paused: true,
      pause: { by: 'anonymous', reason: 'the provider is away' },
    });
    const unknown = await client.post('/v1/admin/consumers/nobody/pause', { reason: 'a slip' });
    expect(unknown.json()).toMatchObject({ status: 404, code: 'consumer/not-found' });
    const { items } = (await client.get('/v1/admin/requests')).json<{ items: object[] }>();
    expect(items).toMatchObject([{ action: 'pause', target: 'order-process', state: 'done' }]);
  });

  it('are found by person, kind and result, and name the aggregate that they are of', async () => {
    await plantConsumer(service, 'order-process');
    await plantParked(service, { id: 'o1' });
    await client.post('/v1/admin/consumers/order-process/pause', { reason: 'it is away' });
    const filter = { category: 'order', id: 'o1' };
    await client.post('/v1/admin/parked/redrive', { filter, reason: 'it is back' });
    await rebuild('orders');
    const found = async (query: string) =>
      field(await client.get(`/v1/admin/requests?${query}`), 'items') as { action: string }[];
    expect((await found('by=anonymous')).map(({ action }) => action)).toEqual([
      'rebuild',
      'redrive',
      'pause',
    ]);
    expect(await found('by=nobody')).toEqual([]);
    expect(await found('action=redrive&state=done')).toMatchObject([{ stream: filter }]);
    expect(await found('state=asked')).toMatchObject([{ action: 'rebuild' }]);
    expect((await client.get('/v1/admin/requests?state=lost')).statusCode).toBe(400);
  });

  it('a view has one at a time, and one key asks once', async () => {
    const first = await rebuild('orders', { 'idempotency-key': 'k1' });
    expect(first.statusCode).toBe(202);
    expect(first.json()).toMatchObject({ action: 'rebuild', target: 'orders', state: 'asked' });
    const again = [await rebuild('orders', { 'idempotency-key': 'k1' }), await rebuild('orders')];
    expect(again.map((answer) => field(answer, 'id'))).toEqual([field(first, 'id'), field(first, 'id')]);
    expect(field(await rebuild('users'), 'id')).not.toBe(field(first, 'id'));
    expect((await rebuild('nothing')).json()).toMatchObject({ status: 404, code: 'view/not-found' });
  });

  it('one that nobody has begun is cancelled at once, and only the version that was seen', async () => {
    const asked = await rebuild('orders');
    const path = `/v1/admin/requests/${field(asked, 'id')}/cancel`;
    const stale = await client.post(path, undefined, { 'if-match': '"999"' });
    expect(stale.json()).toMatchObject({ status: 412, code: 'command/version-mismatch' });
    const cancelled = await client.post(path, undefined, { 'if-match': String(asked.headers.etag) });
    expect(cancelled.json()).toMatchObject({ state: 'cancelled', cancelledBy: 'anonymous' });
    expect(field(await rebuild('orders'), 'id')).not.toBe(field(asked, 'id'));
  });

  it('the last 500 are kept, in the rows of those before them', async () => {
    const { requests } = service.deps.admin;
    const wish = { action: 'pause', target: 'order-process', by: 'op', reason: '' } as const;
    const bucket = await service.buckets.create(bucketNames(TEST_PREFIX).shared, { durable: true });
    for (let number = 0; number < 500; number++) {
      const value = toBytes({ ...wish, id: `r${number}`, number, at: 0 });
      const key = `request.${String(number).padStart(3, '0')}`;
      await bucket.write({ key, value, expectedRevision: 0 });
    }
    for (const id of ['r500', 'r501']) await requests.ask({ ...wish, id });
    const kept = await requests.list();
    expect([kept.length, kept[0]?.id, kept.at(-1)?.id]).toEqual([500, 'r501', 'r2']);
  });
});

describe('traces', () => {
  it('are none where no memory is kept for them, and that is said of each', async () => {
    expect((await client.get('/v1/admin/traces')).json()).toEqual({ items: [] });
    const path = `/v1/admin/traces/${'a'.repeat(32)}`;
    expect((await client.get(path)).json()).toMatchObject({ status: 404, code: 'trace/not-kept' });
    expect((await client.get('/dev/traces')).json()).toMatchObject({ code: 'route/not-found' });
  });
});

describe('one aggregate', () => {
  it('is found by its id, its SKU and an e-mail address, and by nothing else', async () => {
    const user = await client.post('/v1/users', { email: 'ada@example.com', name: 'Ada' });
    await list(client, 'TEA');
    const order = await ordered(client, String(field(user, 'id')), 'TEA');
    const find = async (text: string) =>
      field(await client.post('/v1/admin/aggregates/find', { text }), 'items');
    expect(await find(` ${order}`)).toEqual([{ category: 'order', id: order, by: 'id' }]);
    expect(await find('tea')).toEqual([{ category: 'product', id: 'TEA', by: 'id' }]);
    expect(await find('ADA@example.com')).toMatchObject([
      { category: 'user', id: field(user, 'id'), by: 'email' },
      { category: 'email', by: 'email' },
    ]);
    expect(await find('nobody@example.com')).toEqual([]);
  });

  it('an order is found by what its client calls it, and by its payment', async () => {
    await list(client, 'TEA');
    const lines = [{ sku: 'TEA', quantity: 1 }];
    const placed = await client.post('/v1/orders', { userId: 'u1', lines, externalReference: 'PO-7' });
    const id = String(field(placed, 'id'));
    await confirm(service, id);
    const find = async (text: string) => {
      // Shown by the list once it is in it.
      await client.get('/v1/orders?externalReference=PO-7');
      return field(await client.post('/v1/admin/aggregates/find', { text }), 'items');
    };
    expect(await find('PO-7 ')).toEqual([{ category: 'order', id, by: 'reference' }]);
    expect(await find('pay-1')).toEqual([{ category: 'order', id, by: 'payment' }]);
    expect(await find('PO-8')).toEqual([]);
  });

  it('is shown as it was at each version, with what its last commit changed and what it waits for', async () => {
    await list(client, 'TEA');
    const id = await ordered(client, 'u1', 'TEA');
    await client.post(`/v1/orders/${id}/cancel`, { reason: 'changed my mind' });
    const path = `/v1/admin/aggregates/order/${id}`;
    const commits = (await client.get(`${path}/commits`)).json<{ items: { position: number }[] }>().items;
    expect(commits).toHaveLength(2);
    const [first, second] = commits.map(({ position }) => position);
    const then = (await client.get(`${path}?version=${first}`)).json();
    expect(then).toMatchObject({ version: first, latest: second, commits: 1, state: { status: 'placed' } });
    const now = (await client.get(path)).json<{ changes: { path: string }[] }>();
    expect(now).toMatchObject({ version: second, commits: 2, state: { status: 'cancelled' }, waitsFor: [] });
    expect(now.changes).toContainEqual({ path: 'status', before: 'placed', after: 'cancelled' });
    await plantParked(service, { id });
    expect(field(await client.get(path), 'waitsFor')).toEqual([
      { consumer: 'order-process', position: 42, error: 'The provider said no.' },
    ]);
    expect((await client.get('/v1/admin/aggregates/order/nothing')).json()).toMatchObject({
      code: 'aggregate/not-found',
    });
  });
});
