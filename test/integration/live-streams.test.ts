import { create, type Message } from '@bufbuild/protobuf';
import { jetstreamManager } from '@nats-io/jetstream';
import { expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import {
  CustomerValidatedSchema,
  OrderPlacedSchema,
  OrderStockReservedSchema,
} from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { createLiveOrders } from '../../src/projections/views/live-orders.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { memoryService, TEST_SETTINGS } from '../support/memory-service.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { openSse, type SseClient } from '../support/sse-client.ts';

const codec = codecOf<Message>(order);

/** Writes orders of several users, and knows what every stream must have told. */
function writer(log: Log) {
  const versions = new Map<string, number>();
  const told: { id: string; user: string; position: number; at: string }[] = [];
  // Answers may come in another order than what they answer was stored in.
  const inOrder = (of: (event: (typeof told)[number]) => boolean): string[] =>
    told
      .filter(of)
      .sort((a, b) => a.position - b.position)
      .map(({ at }) => at);
  return {
    append: async (id: string, user: string, ...events: readonly Message[]): Promise<void> => {
      const commitId = systemRuntime.id();
      const decisions = [{ commandId: commitId, events: events.map((event) => codec.encode(event)) }];
      const commit = create(CommitSchema, { commitId, decisions });
      const result = await log.append({ category: 'order', id }, versions.get(id) ?? 0, commit);
      if (!result.appended) throw new Error(`conflict on ${id}`);
      versions.set(id, result.version);
      const position = result.version;
      for (const { $typeName } of events)
        told.push({ id, user, position, at: `${position} ${$typeName.split('.').at(-1)}` });
    },
    ofOrder: (id: string) => inOrder((event) => event.id === id),
    ofUser: (user: string) => inOrder((event) => event.user === user),
  };
}

const placed = (orderId: string, userId: string) => create(OrderPlacedSchema, { orderId, userId });
const validated = () => create(CustomerValidatedSchema);
const reserved = () => create(OrderStockReservedSchema);

const seen = (clients: readonly SseClient[]) =>
  clients.flatMap(({ events }) =>
    events
      .filter(({ event }) => event !== 'start' && event !== 'end')
      .map(({ event, data }) => `${data.position} ${event}`),
  );

/** The service's streams over a log on a real server. */
async function streaming(server: TestServer, streamHeartbeatMs: number) {
  await createLogStream(server.url);
  const handle: LogHandle = await openTestLog(server.url);
  const live = createLiveOrders({ log: handle.log, runtime: systemRuntime });
  const service = await memoryService({
    override: { log: handle.log, live, settings: { ...TEST_SETTINGS, streamHeartbeatMs } },
  });
  const base = await service.app.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 });
  return {
    log: handle.log,
    connection: handle.connection,
    base,
    service,
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      live.stop();
      await handle.close();
    },
  };
}

const CLIENTS = 2_000;
const ORDERS = 100;
const USERS = 20;
const AT_ONCE = 100;
/** For a machine that has much else to do; alone it takes a few seconds. */
const LONG_MS = 30_000;

it('2,000 clients each see all of their events once and in order, and the log has one consumer', {
  timeout: 90_000,
}, async () => {
  await using server = await startTestServer();
  await using streams = await streaming(server, 5_000);
  const shop = writer(streams.log);
  const orders = Array.from({ length: ORDERS }, (_, n) => ({ id: `o${n}`, user: `u${n % USERS}` }));
  await Promise.all(orders.map(({ id, user }) => shop.append(id, user, placed(id, user))));
  const before = new Map(orders.map(({ user }) => [user, shop.ofUser(user).length]));

  // Three of four follow an order, one follows a user.
  const clients: { path: string; expected: () => string[]; lives: SseClient[] }[] = [];
  for (let n = 0; n < CLIENTS; n += AT_ONCE) {
    const joining = Array.from({ length: AT_ONCE }, async (_, i) => {
      const { id, user } = orders[(n + i) % ORDERS] ?? { id: '', user: '' };
      const ofUser = (n + i) % 4 === 0;
      const path = ofUser ? `/v1/orders/stream?user=${user}` : `/v1/orders/${id}/stream`;
      const expected = () => (ofUser ? shop.ofUser(user).slice(before.get(user)) : shop.ofOrder(id));
      clients.push({ path, expected, lives: [await openSse(streams.base + path)] });
    });
    await Promise.all(joining);
  }
  expect(clients.every(({ lives }) => lives[0]?.status === 200)).toBe(true);
  const jsm = await jetstreamManager(streams.connection);
  expect((await jsm.streams.info(TEST_LOG.stream)).state.consumer_count).toBe(1);

  await Promise.all(orders.map(({ id, user }) => shop.append(id, user, validated(), reserved())));
  // Some lose their connection meanwhile and come back behind the last event that they saw.
  const losing = clients.filter((_, n) => n % 10 === 0);
  await until('they have seen something', () => losing.every(({ lives }) => seen(lives).length > 0), LONG_MS);
  for (const { lives } of losing) lives[0]?.close();
  await Promise.all(orders.map(({ id, user }) => shop.append(id, user, validated())));
  for (const { path, lives } of losing) {
    const resumed = { 'last-event-id': lives[0]?.lastId() ?? '' };
    lives.push(await openSse(streams.base + path, resumed));
  }
  await Promise.all(orders.map(({ id, user }) => shop.append(id, user, validated())));

  const complete = clients.map(({ lives, expected }) => ({ lives, all: expected() }));
  await until(
    'all have all',
    () => complete.every(({ lives, all }) => seen(lives).length >= all.length),
    LONG_MS,
  );
  for (const { lives, all } of complete) expect(seen(lives)).toEqual(all);
  expect((await jsm.streams.info(TEST_LOG.stream)).state.consumer_count).toBe(1);
  await streams.service.app.close();
  await Promise.all(clients.map(({ lives }) => lives.at(-1)?.ended));
  expect(clients.every(({ lives }) => lives.at(-1)?.events.at(-1)?.event === 'end')).toBe(true);
});

it('clients stay connected while NATS is restarted, hear heartbeats, and then miss nothing', async () => {
  await using server = await startTestServer();
  await using streams = await streaming(server, 100);
  const shop = writer(streams.log);
  await shop.append('o1', 'u1', placed('o1', 'u1'));
  const order = await openSse(`${streams.base}/v1/orders/o1/stream`);
  const user = await openSse(`${streams.base}/v1/orders/stream?user=u1`);
  await shop.append('o1', 'u1', validated());
  await server.kill9();
  const beats = order.heartbeats();
  await until('heartbeats without a server', () => order.heartbeats() >= beats + 3);
  // Nobody knows whether there are newer commits, so nobody is let in on old ones.
  const refused = await openSse(`${streams.base}/v1/orders/o1/stream`);
  expect(refused.status).toBe(503);
  await server.restart();
  await until('the log is back', async () => (await streams.log.head()) !== BEGINNING);
  await shop.append('o1', 'u1', validated(), reserved());
  await until('everything is told', () => seen([order]).length >= 4 && seen([user]).length >= 3);
  expect(seen([order])).toEqual(shop.ofOrder('o1'));
  expect(seen([user])).toEqual(shop.ofUser('u1').slice(1));
  for (const client of [order, user]) client.close();
});
