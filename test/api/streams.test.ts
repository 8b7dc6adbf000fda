import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { WITHOUT_KEYS } from '../../src/eventstore/personal/personal-data.ts';
import { BEGINNING, versionAt } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { OrderCancelledSchema } from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { createLiveOrders } from '../../src/projections/views/live-orders.ts';
import { until } from '../../src/testing/until.ts';
import { type MemoryService, memoryService, TEST_SETTINGS } from '../support/memory-service.ts';
import { openSse, type SseClient } from '../support/sse-client.ts';
import { type Client, clientOf, confirmedOrder, list, ordered } from './requests.ts';

let service: MemoryService;
let client: Client;
let base: string;
let opened: SseClient[] = [];

beforeEach(async () => {
  service = await memoryService({
    override: { settings: { ...TEST_SETTINGS, maxStreams: 4, streamHeartbeatMs: 30 } },
  });
  client = clientOf(service);
  base = await service.app.listen({ host: '127.0.0.1', port: 0 });
  await list(client, 'TEA');
});
afterEach(async () => {
  for (const one of opened) one.close();
  opened = [];
  await service[Symbol.asyncDispose]();
});

async function open(path: string, headers: Record<string, string> = {}): Promise<SseClient> {
  const sse = await openSse(`${base}${path}`, headers);
  opened.push(sse);
  return sse;
}

const typesOf = ({ events }: SseClient) => events.map(({ event }) => event);
const got = (sse: SseClient, count: number) =>
  until(`${count} events`, () => sse.events.length >= count, 5_000);
const code = async (sse: SseClient) => {
  await sse.ended;
  return [sse.status, (JSON.parse(sse.text()) as { code: string }).code];
};

/** How long a token of these tests lasts. */
const TOKEN_MS = 1_000;
const LARGE = 'x'.repeat(400_000);

/** Appends so many events of 400 kB each. */
const appendLarge = (id: string, count: number): Promise<void> => appendCancelled(id, LARGE, count);

async function appendCancelled(id: string, reason: string, count = 1): Promise<void> {
  const stream = { category: order.category, id };
  // Put by hand, since no text that looks like a sealed one can be stored otherwise.
  const data = toBinary(OrderCancelledSchema, create(OrderCancelledSchema, { reason }));
  const event = { ...codecOf(order).encode(create(OrderCancelledSchema)), data };
  let { commits } = await service.log.read(stream, { after: 0, confirm: true });
  for (let i = 0; i < count; i++) {
    const commitId = `cancelled-${i}`;
    const decisions = [{ commandId: commitId, events: [event] }];
    await service.log.append(
      stream,
      versionAt(commits.at(-1)?.position ?? BEGINNING),
      create(CommitSchema, { commitId, decisions }),
    );
    ({ commits } = await service.log.read(stream, {
      after: versionAt(commits.at(-1)?.position ?? BEGINNING),
      confirm: true,
    }));
  }
}

it("an order's stream tells its history as /events does, with status and id, and then what happens", async () => {
  const id = await confirmedOrder(service, client, 'u1', 'TEA');
  const sse = await open(`/v1/orders/${id}/stream`);
  expect([sse.status, sse.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8']);
  expect(sse.headers).toMatchObject({ 'cache-control': 'no-store', 'x-request-id': expect.any(String) });
  const history = (await client.get(`/v1/orders/${id}/events`)).json<{ items: object[] }>().items;
  await got(sse, history.length);
  expect(sse.events.map(({ data: { orderId: _id, status: _status, ...event } }) => event)).toEqual(history);
  expect(sse.events.map(({ data }) => data.orderId)).toEqual(history.map(() => id));
  expect(sse.events.map(({ data }) => data.status)).toEqual([
    ...history.slice(1).map(() => 'placed'),
    'confirmed',
  ]);
  expect(new Set(sse.events.map((event) => event.id)).size).toBe(history.length);
  await client.post(`/v1/orders/${id}/ship`);
  await got(sse, history.length + 1);
  expect(sse.events.at(-1)).toMatchObject({ event: 'OrderShipped', data: { status: 'shipped' } });
  expect(sse.retry()).toBe(2_000);
});

it('Last-Event-ID resumes behind every single event, as header and as parameter; the header wins', async () => {
  const id = await confirmedOrder(service, client, 'u1', 'TEA');
  const all = await open(`/v1/orders/${id}/stream`);
  await until('the history', () => typesOf(all).includes('OrderConfirmed'));
  const ids = all.events.map((event) => event.id ?? '');
  for (const [index, last] of ids.slice(0, -1).entries()) {
    const resumed = await open(`/v1/orders/${id}/stream?lastEventId=${ids[0]}`, { 'last-event-id': last });
    await got(resumed, ids.length - index - 1);
    expect(resumed.events.map((event) => event.id)).toEqual(ids.slice(index + 1));
    resumed.close();
    await resumed.ended;
  }
  const byQuery = await open(`/v1/orders/${id}/stream?lastEventId=${ids.at(-2)}`);
  await got(byQuery, 1);
  expect(byQuery.events.map((event) => event.id)).toEqual(ids.slice(-1));
});

it("a user's stream begins with the position from which on nothing is missed, and heartbeats move it on", async () => {
  await ordered(client, 'u1', 'TEA');
  const sse = await open('/v1/orders/stream?user=u1');
  await got(sse, 1);
  expect(sse.events).toMatchObject([{ event: 'start', data: { position: sse.lastId() } }]);
  const start = sse.lastId() ?? '';
  const listed = await client.get('/v1/users/u1/orders', { 'min-position': start });
  expect(listed.json<{ items: unknown[] }>().items).toHaveLength(1);
  const mine = await ordered(client, 'u1', 'TEA');
  await got(sse, 2);
  expect(sse.events[1]).toMatchObject({ event: 'OrderPlaced', data: { orderId: mine, status: 'placed' } });
  const last = sse.lastId();
  await ordered(client, 'u2', 'TEA');
  await until('a heartbeat with a newer id', () => sse.heartbeats() > 0 && sse.lastId() !== last);
  const resumed = await open('/v1/orders/stream?user=u1', { 'last-event-id': start });
  await got(resumed, 1);
  expect(resumed.events.map(({ id }) => id)).toEqual([last]);
});

it('a heartbeat does not move a client beyond an event that is still being opened', async () => {
  const id = await ordered(client, 'u1', 'TEA');
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const openListed = async (json: Uint8Array): Promise<Uint8Array> => {
    await released;
    return json;
  };
  const { log, deps } = service;
  const settings = { ...TEST_SETTINGS, streamHeartbeatMs: 10 };
  await using slow = await memoryService({
    personal: { ...WITHOUT_KEYS, openListed },
    override: { log, live: deps.live, settings },
  });
  base = await slow.app.listen({ host: '127.0.0.1', port: 0 });
  const sse = await open('/v1/orders/stream?user=u1');
  await got(sse, 1);
  await appendCancelled(id, '\u0001sealed');
  await ordered(client, 'u2', 'TEA');
  const before = sse.lastId();
  const beats = sse.heartbeats();
  await until('ten heartbeats', () => sse.heartbeats() > beats + 10);
  expect([sse.events.length, sse.lastId()]).toEqual([1, before]);
  release();
  await got(sse, 2);
  expect(sse.events[1]).toMatchObject({ event: 'OrderCancelled', data: { orderId: id } });
});

it('what cannot be streamed is a problem that says what to do', async () => {
  const id = await ordered(client, 'u1', 'TEA');
  const place = String((await client.get(`/v1/orders/${id}`)).headers.position);
  const life = place.split('@')[1];
  expect(await code(await open('/v1/orders/nobody/stream'))).toEqual([404, 'order/not-found']);
  const from = (last: string) => open(`/v1/orders/${id}/stream`, { 'last-event-id': last });
  expect(await code(await from(`1@${'x'.repeat(8)}`))).toEqual([412, 'position/not-in-log']);
  expect(await code(await from(`900000@${life}`))).toEqual([412, 'position/not-in-log']);
  expect(await code(await from('42'))).toEqual([400, 'request/invalid']);
  expect(await code(await open('/v1/orders/stream'))).toEqual([400, 'request/invalid']);
  expect((await from(place)).status).toBe(200);
  const head = await fetch(`${base}/v1/orders/${id}/stream`, { method: 'HEAD' });
  expect(head.status).toBe(405);
});

it('a place that left memory is answered 410 for a user, and never matters for an order', async () => {
  const live = createLiveOrders({ log: service.log, runtime: systemRuntime, settings: { replayCommits: 2 } });
  await using small = await memoryService({ override: { log: service.log, live } });
  base = await small.app.listen({ host: '127.0.0.1', port: 0 });
  const id = await ordered(client, 'u1', 'TEA');
  const place = String((await client.get(`/v1/orders/${id}`)).headers.position);
  for (let i = 0; i < 4; i++) await ordered(client, 'u1', 'TEA');
  const old = { 'last-event-id': place };
  expect(await code(await open('/v1/orders/stream?user=u1', old))).toEqual([410, 'stream/too-old']);
  expect((await open(`/v1/orders/${id}/stream`, old)).status).toBe(200);
  live.stop();
});

it('one stream more than the limit is answered 503; each that ends makes room', async () => {
  const id = await ordered(client, 'u1', 'TEA');
  const streams = [];
  for (let i = 0; i < 3; i++) streams.push(await open(`/v1/orders/${id}/stream`));
  // Those of operators take the same places.
  streams.push(await open('/v1/admin/live'));
  expect(await code(await open('/v1/admin/live'))).toEqual([503, 'stream/too-many']);
  const refused = await open(`/v1/orders/${id}/stream`);
  expect(refused.headers['retry-after']).toBe('1');
  expect(await code(refused)).toEqual([503, 'stream/too-many']);
  expect(await code(await open('/v1/orders/nobody/stream'))).toEqual([503, 'stream/too-many']);
  streams[0]?.close();
  await until('room', async () => (await open(`/v1/orders/${id}/stream`)).status === 200);
  for (const stream of opened) stream.close();
  await until('room', async () => (await open('/v1/orders/nobody/stream')).status === 404);
});

it('closing the service ends every stream with an event that says so, also one that nobody reads', async () => {
  const id = await ordered(client, 'u1', 'TEA');
  const streams = [
    await open(`/v1/orders/${id}/stream`),
    await open('/v1/orders/stream?user=u1'),
    await open('/v1/admin/live'),
    await open(`/v1/orders/${id}/stream`),
  ];
  await got(streams[0] as SseClient, 1);
  streams[3]?.pause();
  const began = performance.now();
  await service.app.close();
  expect(performance.now() - began).toBeLessThan(4_000);
  for (const stream of streams.slice(0, 3)) {
    await stream.ended;
    expect(stream.events.at(-1)).toMatchObject({ event: 'end', data: { reason: 'shutdown' } });
    expect(stream.retry()).toBe(4_000);
  }
});

it('a client that does not read is ended with a word about it, and resumes without a gap', async () => {
  const { live } = service.deps;
  const over: Promise<void>[] = [];
  const watched: typeof live = {
    ...live,
    order: async (...asked) => {
      const opening = await live.order(...asked);
      if (opening.opened) over.push(opening.stream.over);
      return opening;
    },
  };
  await using small = await memoryService({ override: { log: service.log, live: watched } });
  base = await small.app.listen({ host: '127.0.0.1', port: 0 });
  const id = await ordered(client, 'u1', 'TEA');
  const sse = await open(`/v1/orders/${id}/stream`);
  await got(sse, 1);
  sse.pause();
  // More than the sockets between the two take, and then more than a client may have waiting.
  const sent = 60;
  await appendLarge(id, sent);
  await over[0];
  sse.resume();
  await sse.ended;
  const last = sse.events.at(-1);
  expect(last).toMatchObject({ event: 'end', data: { reason: 'slow' } });
  const resumed = await open(`/v1/orders/${id}/stream`, { 'last-event-id': sse.lastId() ?? '' });
  await got(resumed, 1 + sent - (sse.events.length - 1));
  const seen = [...sse.events.slice(0, -1), ...resumed.events].map(({ data }) => data.position);
  expect(seen).toHaveLength(1 + sent);
  expect(seen).toEqual([...seen].sort((a, b) => Number(a) - Number(b)));
});

it('a token reaches only the streams of its own orders, and its end ends them', async () => {
  const verify = async (token: string) => {
    const verified = { outcome: 'verified' as const, expiresAt: Date.now() + TOKEN_MS };
    return token.startsWith('admin')
      ? { ...verified, user: 'ops', scopes: ['admin'] }
      : { ...verified, user: 'somebody', scopes: ['orders'] };
  };
  const id = await ordered(client, 'u1', 'TEA');
  const settings = { ...TEST_SETTINGS, streamHeartbeatMs: 30 };
  await using guarded = await memoryService({
    override: {
      log: service.log,
      live: service.deps.live,
      handler: service.deps.handler,
      auth: { verify },
      settings,
    },
  });
  base = await guarded.app.listen({ host: '127.0.0.1', port: 0 });
  const by = (token: string) => ({ authorization: `Bearer ${token}.b.c` });
  for (const path of [`/v1/orders/${id}/stream`, '/v1/orders/stream?user=u1']) {
    expect((await open(path)).status).toBe(401);
    expect((await open(path, by('somebody'))).status).toBe(404);
    const own = await open(path, by('admin'));
    expect([own.status, path]).toEqual([200, path]);
    await got(own, 1);
    await own.ended;
  }
});
