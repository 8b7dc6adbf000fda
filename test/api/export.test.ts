import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeliveryTry, KeptNotification } from '../../src/api/deps.ts';
import { order } from '../../src/domain/order.ts';
import { BEGINNING, isAfter } from '../../src/eventstore/position.ts';
import { until } from '../../src/testing/until.ts';
import { type MemoryService, memoryService, TEST_EPOCH } from '../support/memory-service.ts';
import { plantParked } from './planted.ts';
import { type Client, clientOf, confirmedOrder, field, list } from './requests.ts';

/** As the document has it. */
interface Exported {
  readonly user: { readonly name: string; readonly version: number };
  readonly events: readonly { readonly type: string; readonly position: number; readonly actor: string }[];
  readonly addresses: readonly { readonly digest: string; readonly events: readonly { type: string }[] }[];
  readonly orders: readonly {
    readonly order: { readonly id: string; readonly deliveryAddress?: { readonly city: string } };
    readonly events: readonly { readonly type: string; readonly position: number }[];
  }[];
  readonly notifications: readonly { readonly text: string }[];
  readonly deadLetters: readonly { readonly id: string }[];
  readonly operatorRequests: readonly { readonly target: string }[];
  readonly deliveries: readonly { readonly subject: string }[];
  readonly nameDigests: readonly string[];
  readonly complete: boolean;
}

const ADDRESS = { name: 'Ada', street: '12 St James’s Square', city: 'London', country: 'GB' };
const WELCOME: KeptNotification = { id: 'n1', kind: 'welcome', text: 'Welcome.', time: TEST_EPOCH };

const attemptOf = (subject: string): DeliveryTry => ({
  ...{ id: `e-${subject}`, type: 'OrderPlaced', subject, attempt: 1, at: TEST_EPOCH, durationMs: 3 },
  ...{ taken: true, status: 200, sequence: 1 },
});

describe('an export', () => {
  const attempts: DeliveryTry[] = [];
  let service: MemoryService;
  let client: Client;
  /** A user with orders, and one of whom nothing may be in it. */
  let [ada, bob] = ['', ''];
  let [adas, bobs] = ['', ''];
  let exported: Exported;

  beforeAll(async () => {
    const { deps } = await memoryService();
    const { emailIdOf } = deps.personalRecords;
    const personalRecords = {
      emailIdOf,
      notifications: async function* (userId: string) {
        if (userId === ada) yield WELCOME;
      },
      attempts: async function* () {
        yield* attempts;
      },
    };
    service = await memoryService({ override: { personalRecords } });
    client = clientOf(service);
    const [first, second] = await Promise.all(
      ['ada', 'bob'].map((name) =>
        client.post('/v1/users', { email: `${name}@example.com`, name: `${name} L` }),
      ),
    );
    [ada, bob] = [String(first && field(first, 'id')), String(second && field(second, 'id'))];
    await client.patch(`/v1/users/${ada}`, { name: 'Ada King' });
    await client.post(`/v1/users/${ada}/email`, { email: 'king@example.com' });
    await list(client, 'TEA');
    await client.post('/v1/products/TEA/stock', { receiptId: 'r1', quantity: 50 });
    adas = await confirmedOrder(service, client, ada, 'TEA');
    bobs = await confirmedOrder(service, client, bob, 'TEA');
    const lines = [{ sku: 'TEA', quantity: 1 }];
    await client.post('/v1/orders', { userId: ada, lines, deliveryAddress: ADDRESS });
    await plantParked(service, { id: adas });
    await plantParked(service, { id: bobs });
    await plantParked(service, { consumer: 'email-backstop', category: 'user', id: ada });
    const filter = { category: 'order', id: adas };
    await client.post('/v1/admin/parked/redrive', { filter });
    await client.post('/v1/admin/parked/redrive', { filter: { ...filter, id: bobs } });
    attempts.push(attemptOf(adas), attemptOf(bobs), attemptOf(ada), attemptOf('TEA'));
    const answer = await client.get(`/v1/users/${ada}/export`);
    expect([answer.statusCode, answer.headers['content-disposition']]).toEqual([
      200,
      `attachment; filename="user-${ada}.json"`,
    ]);
    exported = answer.json<Exported>();
  }, 30_000);
  afterAll(() => service[Symbol.asyncDispose]());

  it('holds the user, its history and what is kept of its addresses', () => {
    expect(exported.user).toMatchObject({ id: ada, name: 'Ada King', email: 'king@example.com' });
    const history = ['UserCreated', 'UserRenamed', 'EmailChangeStarted', 'EmailChanged'];
    expect(exported.events.map(({ type }) => type)).toEqual(history);
    expect(exported.events.every(({ actor }) => actor === 'anonymous')).toBe(true);
    const { emailIdOf } = service.deps.personalRecords;
    expect(exported.addresses.map(({ digest, events }) => [digest, events.map(({ type }) => type)])).toEqual([
      [emailIdOf('ada@example.com'), ['EmailClaimed', 'EmailReleased']],
      [emailIdOf('king@example.com'), ['EmailClaimed']],
    ]);
    expect(exported.nameDigests.length).toBeGreaterThan(3);
    expect(exported.complete).toBe(true);
  });

  it('holds its orders, newest first, with delivery address and events', () => {
    const [last, first] = exported.orders;
    expect(exported.orders).toHaveLength(2);
    expect(last?.order.deliveryAddress).toEqual(ADDRESS);
    expect(first?.order.id).toBe(adas);
    expect(first?.events.map(({ type }) => type)).toContain('OrderConfirmed');
  });

  it('holds what it was told, its dead letters, what operators asked for, and what webhooks were sent', () => {
    expect(exported.notifications).toEqual([{ ...WELCOME, time: new Date(TEST_EPOCH).toISOString() }]);
    expect(exported.deadLetters.map(({ id }) => id).sort()).toEqual([ada, adas].sort());
    expect(exported.operatorRequests.map(({ target }) => target)).toEqual([expect.stringContaining(adas)]);
    expect(exported.deliveries.map(({ subject }) => subject)).toEqual([adas, ada]);
  });

  it('holds nothing of anybody else', () => {
    const text = JSON.stringify(exported);
    for (const foreign of [bob, bobs, 'bob']) expect(text).not.toContain(foreign);
  });

  it('is not there for who is not', async () => {
    expect(field(await client.get('/v1/users/nobody/export'), 'code')).toBe('user/not-found');
  });
});

describe('an export of 10,000 orders', () => {
  const ORDERS = 10_000;
  let service: MemoryService;
  let user = '';
  let path = '';
  let reads = 0;

  beforeAll(async () => {
    service = await memoryService();
    const client = clientOf(service);
    user = String(field(await client.post('/v1/users', { email: 'ada@example.com', name: 'Ada' }), 'id'));
    const lines = [{ sku: 'TEA', name: 'Tea', quantity: 1, unitPriceMinor: 450n, currency: 'EUR' }];
    const at = TEST_EPOCH;
    const payment = { paymentToken: 'tok_success', paymentDueAt: at };
    for (let n = 0; n < ORDERS; n++) {
      const command = { type: 'place' as const, orderId: `o${n}`, userId: user, lines, ...payment, at };
      const meta = { commandId: `c${n}`, actor: 'test' };
      const { outcome } = await service.deps.handler.execute(order, `o${n}`, command, meta);
      if (outcome !== 'accepted') throw new Error(outcome);
    }
    await service.app.listen({ host: '127.0.0.1', port: 0 });
    path = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}/v1/users/${user}/export`;
    const { read } = service.log;
    Object.assign(service.log, {
      read: (...given: Parameters<typeof read>) => {
        // Others read marks of the log all the time.
        if (given[0].category === order.category) reads++;
        return read(...given);
      },
    });
    await until(
      'the list has all',
      async () => (await client.get(`/v1/users/${user}/orders`)).statusCode === 200,
    );
  }, 120_000);
  afterAll(() => service[Symbol.asyncDispose]());

  /** An answer of which nothing is read yet. */
  async function opened(): Promise<IncomingMessage> {
    reads = 0;
    const request = get(path, { agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    return response;
  }

  /** How many reads there were once no more come. */
  async function settled(): Promise<number> {
    for (let before = -1; before !== reads; ) {
      before = reads;
      await delay(300);
    }
    return reads;
  }

  it('goes no further than its reader, and then holds every event of the user that the log holds', async () => {
    const response = await opened();
    const ahead = await settled();
    expect(ahead).toBeGreaterThan(0);
    // What sockets hold, which is some megabytes at the most.
    expect(ahead).toBeLessThan(ORDERS / 2);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const { orders, events, complete } = JSON.parse(Buffer.concat(chunks).toString()) as Exported;
    const found = [...events, ...orders.flatMap((one) => one.events)].map(({ position }) => position);
    expect([complete, orders.length]).toEqual([true, ORDERS]);
    expect(found.sort((a, b) => a - b)).toEqual(await positionsInLog(service, ['user', 'order']));
  }, 120_000);

  it('ends reading when its client leaves', async () => {
    const response = await opened();
    await once(response, 'readable');
    response.destroy();
    const left = await settled();
    expect(left).toBeLessThan(ORDERS / 2);
  }, 60_000);
});

async function positionsInLog(
  { log }: MemoryService,
  categories: readonly string[],
): Promise<readonly number[]> {
  const positions: number[] = [];
  const end = await log.head();
  for await (const { commits, through } of log.scan({ after: BEGINNING })) {
    for (const { position, stream } of commits)
      if (categories.includes(stream.category)) positions.push(Number(position));
    if (!isAfter(end, through)) break;
  }
  return positions;
}
