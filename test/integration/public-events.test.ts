import { toJson } from '@bufbuild/protobuf';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type PublicEvent,
  publicEventOf,
  publicStreamName,
  publicSubject,
} from '../../src/processes/engine/index.ts';
import { contracts } from '../../src/service/shop.ts';
import { until } from '../../src/testing/until.ts';
import { must } from '../e2e/client.ts';
import { openShop, type Shop } from '../e2e/shop.ts';
import { type TracedWorld, tracedWorld } from './tracing-support.ts';

const PREFIX = 'jl';

let world: TracedWorld;
let connection: NatsConnection;
let shop: Shop;
let url = '';

beforeAll(async () => {
  world = await tracedWorld({
    JETLEDGER_PUBLIC_EVENTS__CONTEXTS: 'orders=forever, catalogue=forever, users=30d',
    JETLEDGER_PUBLIC_EVENTS__FORMAT: 'json',
  });
  ({ url } = await world.start());
  connection = await connect({ servers: world.server.url });
  shop = await openShop(url, 'public');
}, 60_000);
afterAll(async () => {
  await connection?.close();
  await world?.[Symbol.asyncDispose]();
});

/** Everything that was published of a context, as it stands on NATS and as it is read. */
async function published(context: string) {
  const contract = contracts.find((one) => one.context === context);
  if (contract === undefined) throw new Error(`There is no contract ${context}.`);
  const name = publicStreamName(PREFIX, contract);
  const { messages } = (await (await jetstreamManager(connection)).streams.info(name)).state;
  const events: PublicEvent[] = [];
  let bytes = '';
  if (messages === 0) return { events, bytes };
  const consumer = await jetstream(connection).consumers.get(name);
  for await (const { headers, data, subject } of await consumer.consume({ max_messages: 100 })) {
    const event = publicEventOf({ headers: Object.fromEntries(headers ?? []), data }, contract.events);
    if (event === undefined) throw new Error('A public event of no known type.');
    expect(subject).toBe(publicSubject(contract, event.subject));
    events.push(event);
    bytes += `${subject} ${[...(headers ?? [])].flat(2).join(' ')} ${Buffer.from(data).toString('utf8')}\n`;
    if (events.length === messages) break;
  }
  return { events, bytes };
}

const nameOf = ({ type }: PublicEvent): string => type.slice(type.lastIndexOf('.') + 1);

test('an order is told from its placing to its delivery, in order and numbered', async () => {
  const order = `/v1/orders/${shop.orderId}`;
  const isConfirmed = async () =>
    (await must(200, url, 'GET', `${order}?consistency=strong`)).field('status') === 'confirmed';
  await until('the order is confirmed', isConfirmed, 15_000);
  await must(200, url, 'POST', `${order}/ship`, { tracking: 'TRACK-1' });
  await until('the shipment is told', async () => (await published('orders')).events.length === 4, 15_000);
  const { events } = await published('orders');
  expect(events.map((event) => [event.sequence, nameOf(event), event.subject])).toEqual([
    [1, 'OrderPlaced', shop.orderId],
    [2, 'OrderPaid', shop.orderId],
    [3, 'OrderConfirmed', shop.orderId],
    [4, 'OrderShipped', shop.orderId],
  ]);
  const [placed] = events;
  const [schema] = contracts[0]?.events ?? [];
  if (placed === undefined || schema === undefined) throw new Error('Nothing was told.');
  expect(placed.source).toBe('/jetledger/orders/v1');
  expect(placed.traceparent).toMatch(/^00-[0-9a-f]{32}-/);
  expect(toJson(schema, placed.data)).toMatchObject({
    orderId: shop.orderId,
    userId: shop.userId,
    totalMinor: '900',
    currency: 'EUR',
    lines: [{ sku: shop.sku, quantity: '2' }],
  });
});

test('of users and products only what their contracts say is told, and nobody by name or address', async () => {
  await until('the user is told', async () => (await published('users')).events.length === 1, 15_000);
  await until('the product is told', async () => (await published('catalogue')).events.length === 1, 15_000);
  const [users, catalogue, orders] = [
    await published('users'),
    await published('catalogue'),
    await published('orders'),
  ];
  expect(users.events.map(nameOf)).toEqual(['UserRegistered']);
  expect(catalogue.events.map(nameOf)).toEqual(['ProductListed']);
  const everything = users.bytes + catalogue.bytes + orders.bytes;
  for (const secret of ['Ada', shop.email, 'tok_success', 'TRACK-1', '\u0001'])
    expect(everything).not.toContain(secret);
});

test('publishers are consumers as all others, for operators too', async () => {
  const { body } = await must(200, url, 'GET', '/v1/admin/consumers');
  for (const name of ['public-orders-v1', 'public-catalogue-v1', 'public-users-v1'])
    expect(JSON.stringify(body)).toContain(name);
});

test('a context without a contract, or one that is named twice, is refused with those that there are', async () => {
  await expect(world.start({ JETLEDGER_PUBLIC_EVENTS__CONTEXTS: 'payments=forever' })).rejects.toThrow(
    /names payments, of which nothing is public\. Name some of orders, catalogue, users/,
  );
  await expect(
    world.start({ JETLEDGER_PUBLIC_EVENTS__CONTEXTS: 'users=30d, users=forever' }),
  ).rejects.toThrow(/names users, twice\./);
});
