import { create, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formOf } from '../../src/api/events/form.ts';
import { asTyped } from '../../src/api/events/history.ts';
import { EVENTS_V2 } from '../../src/api/events/schemas.ts';
import { order } from '../../src/domain/order.ts';
import { product } from '../../src/domain/product.ts';
import { user } from '../../src/domain/user.ts';
import { HIDDEN } from '../../src/eventstore/index.ts';
import { OrderPlacedSchema } from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { aggregates } from '../../src/service/shop.ts';
import { until } from '../../src/testing/until.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { openSse, type SseClient } from '../support/sse-client.ts';
import { documentOf } from './document.ts';
import { type Client, clientOf, confirmedOrder, list, ordered, registered } from './requests.ts';

let service: MemoryService;
let client: Client;
let opened: SseClient[] = [];

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
});
afterEach(async () => {
  for (const one of opened) one.close();
  opened = [];
  await service[Symbol.asyncDispose]();
});

type Items = { items: readonly Record<string, unknown>[] };
const typesOf = ({ items }: Items) => items.map(({ type }) => type);

/** A validator of the document's component. */
async function validatorOf(name: string) {
  const { components } = await documentOf(service.app);
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  ajv.addSchema({
    $id: 'doc',
    components: JSON.parse(JSON.stringify(components).replaceAll('"#/', '"doc#/')) as object,
  });
  const validate = ajv.compile({ $ref: `doc#/components/schemas/${name}` });
  return (value: unknown) => [validate(value), validate.errors];
}

async function follow(path: string, headers: Record<string, string> = {}): Promise<SseClient> {
  const address = service.app.server.address();
  const base =
    typeof address === 'object' && address !== null
      ? `http://127.0.0.1:${address.port}`
      : await service.app.listen({ host: '127.0.0.1', port: 0 });
  const sse = await openSse(`${base}${path}`, headers);
  opened.push(sse);
  return sse;
}

describe('a list of events', () => {
  it('is as clients have known it until they ask for types, by Accept or by the query', async () => {
    await list(client, 'TEA');
    const id = await confirmedOrder(service, client, 'u1', 'TEA');
    const path = `/v1/orders/${id}/events`;
    const known = await client.get(path);
    expect(known.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(known.headers.vary).toBe('Accept');
    expect(known.json<Items>().items[0]).toMatchObject({
      payload: { totalMinor: '2580', paymentToken: HIDDEN },
    });
    const typed = await client.get(path, { accept: EVENTS_V2 });
    expect(typed.headers['content-type']).toBe(`${EVENTS_V2}; charset=utf-8`);
    expect(typed.json<Items>().items[0]).toMatchObject({
      category: 'order',
      aggregateId: id,
      type: 'OrderPlaced',
      data: {
        userId: 'u1',
        total: { amountMinor: 2580, currency: 'EUR' },
        lines: [{ sku: 'TEA', quantity: 2, unitPrice: { amountMinor: 1290, currency: 'EUR' } }],
        placedAt: expect.stringMatching(/^2026-01-15T09:30:00\.\d{3}Z$/),
      },
    });
    for (const accept of [`${EVENTS_V2}, */*;q=0.1`, `application/json, ${EVENTS_V2.toUpperCase()}`])
      expect((await client.get(path, { accept })).body).toBe(typed.body);
    expect((await client.get(`${path}?events=v2`)).body).toBe(typed.body);
    for (const accept of ['*/*', 'application/json', `${EVENTS_V2};q=0`])
      expect((await client.get(path, { accept })).body).toBe(known.body);
    expect((await client.get(`${path}?events=v1`, { accept: EVENTS_V2 })).body).toBe(known.body);
    const facts = ({ position, time, actor, correlationId, type }: Record<string, unknown>) => ({
      position,
      time,
      actor,
      correlationId,
      type,
    });
    expect(typed.json<Items>().items.map(facts)).toEqual(known.json<Items>().items.map(facts));
    expect(await validatorOf('OrderEventPage').then((check) => check(typed.json()))).toEqual([true, null]);
  });

  it('of a user and of a product has types from the beginning, and pages as that of an order has', async () => {
    const userId = await registered(client);
    await client.patch(`/v1/users/${userId}`, { name: 'Ada King' });
    const userEvents = (await client.get(`/v1/users/${userId}/events`)).json<Items>();
    expect(typesOf(userEvents)).toEqual(['UserCreated', 'UserRenamed']);
    expect(userEvents.items[0]).toMatchObject({
      category: 'user',
      data: { email: 'ada@example.com', name: 'Ada' },
    });
    await list(client, 'TEA');
    await client.patch('/v1/products/TEA', { price: { amountMinor: 990 } });
    const first = await client.get('/v1/products/TEA/events?limit=1');
    expect(typesOf(first.json())).toEqual(['ProductListed']);
    const link = /^<([^>]+)>; rel="next"$/.exec(String(first.headers.link))?.[1] ?? '';
    const second = (await client.get(link)).json<Items>();
    expect(second.items.map(({ data }) => data)).toEqual([
      {
        price: { amountMinor: 990, currency: 'EUR' },
        previousPrice: { amountMinor: 1290, currency: 'EUR' },
        changedAt: expect.any(String),
      },
    ]);
    for (const path of ['/v1/users/nobody', '/v1/products/NONE'])
      expect((await client.get(`${path}/events`)).statusCode).toBe(404);
    expect((await client.get('/v1/users/nobody/events?events=v1')).statusCode).toBe(400);
  });

  it('shows what is hidden in no form', async () => {
    await list(client, 'TEA');
    const lines = [{ sku: 'TEA', quantity: 1 }];
    const placed = await client.post('/v1/orders', { userId: 'u1', lines, payment: { token: 'tok_secret' } });
    const path = `${placed.headers.location}/events`;
    for (const query of ['', '?events=v2'])
      expect((await client.get(path + query)).body).not.toContain('tok_secret');
    expect((await client.get(`${path}?events=v2`)).body).not.toContain('paymentToken');
  });
});

describe('a stream of events', () => {
  it('tells what the list tells in the same form, and goes on in another form behind any id', async () => {
    await list(client, 'TEA');
    const id = await confirmedOrder(service, client, 'u1', 'TEA');
    const listed = (await client.get(`/v1/orders/${id}/events?events=v2`)).json<Items>().items;
    const path = `/v1/orders/${id}/stream`;
    const typed = await follow(path, { accept: 'text/event-stream; events=v2' });
    await until('the typed ones', () => typed.events.length >= listed.length, 5_000);
    expect(typed.events.map(({ data: { status: _status, ...event } }) => event)).toEqual(listed);
    expect(typed.events.at(-1)?.data.status).toBe('confirmed');
    const check = await validatorOf('OrderEvent');
    for (const { data } of typed.events) expect(check(data)).toEqual([true, null]);
    const recorded = await follow(path);
    await until('the recorded ones', () => recorded.events.length >= listed.length, 5_000);
    expect(recorded.events.map((event) => event.id)).toEqual(typed.events.map((event) => event.id));
    expect(recorded.events[0]?.data).toMatchObject({ orderId: id, payload: { totalMinor: '2580' } });
    for (const [index, { id: last = '' }] of recorded.events.slice(0, -1).entries()) {
      for (const [query, one] of [
        ['?events=v2', typed],
        ['?events=v1', recorded],
      ] as const) {
        const resumed = await follow(path + query, { 'last-event-id': last });
        const rest = one.events.slice(index + 1);
        await until('the rest', () => resumed.events.length >= rest.length, 5_000);
        expect(resumed.events).toEqual(rest);
        resumed.close();
      }
    }
  });

  it("of a user's orders has both forms", async () => {
    await list(client, 'TEA');
    const [typed, recorded] = [
      await follow('/v1/orders/stream?user=u1&events=v2'),
      await follow('/v1/orders/stream?user=u1'),
    ];
    const id = await ordered(client, 'u1', 'TEA');
    for (const sse of [typed, recorded]) await until('the order', () => sse.events.length >= 2, 5_000);
    expect(typed.events[1]?.data).toMatchObject({
      aggregateId: id,
      status: 'placed',
      data: { userId: 'u1' },
    });
    expect(recorded.events[1]?.data).toMatchObject({
      orderId: id,
      status: 'placed',
      payload: { userId: 'u1' },
    });
    expect(typed.events.map((event) => event.id)).toEqual(recorded.events.map((event) => event.id));
  });

  it('of a user and of a product tells its history, then what happens, and is resumed without a gap', async () => {
    const userId = await registered(client);
    await list(client, 'TEA');
    const users = await follow(`/v1/users/${userId}/stream`);
    const products = await follow('/v1/products/TEA/stream');
    await until('the beginning', () => users.events.length === 1 && products.events.length === 1, 5_000);
    await client.patch(`/v1/users/${userId}`, { name: 'Ada King' });
    await list(client, 'CUP');
    for (const receiptId of ['a', 'b'])
      await client.post('/v1/products/TEA/stock', { receiptId, quantity: 1 });
    await until('what happened', () => users.events.length === 2 && products.events.length === 3, 5_000);
    expect(users.events.map(({ event }) => event)).toEqual(['UserCreated', 'UserRenamed']);
    expect(products.events.map(({ data }) => data)).toEqual(
      (await client.get('/v1/products/TEA/events')).json<Items>().items,
    );
    const resumed = await follow('/v1/products/TEA/stream', {
      'last-event-id': products.events[0]?.id ?? '',
    });
    await until('the rest', () => resumed.events.length >= 2, 5_000);
    expect(resumed.events).toEqual(products.events.slice(1));
    expect((await follow('/v1/users/nobody/stream')).status).toBe(404);
  });
});

describe('the form of an event', () => {
  it('of every category in the list has a schema that its object fits, whatever was stored', () => {
    const ajv = new Ajv2020({ strict: false });
    addFormats.default(ajv);
    for (const schema of aggregates.flatMap(({ events }) => events)) {
      const form = formOf(schema);
      const validate = ajv.compile(
        JSON.parse(JSON.stringify(form.schema).replaceAll('"$id":"Money",', '')) as object,
      );
      fc.assert(
        fc.property(messageOf(schema), (message) => {
          const shown: unknown = JSON.parse(JSON.stringify(form.show(message)));
          expect([schema.name, validate(shown), validate.errors]).toEqual([schema.name, true, null]);
        }),
        { seed: 20260115, numRuns: 20 },
      );
    }
  });

  it('refuses an integer that a JSON number does not hold', () => {
    const form = formOf(OrderPlacedSchema);
    const placed = { currency: 'EUR', totalMinor: 2n ** 53n };
    expect(() => form.show(create(OrderPlacedSchema, placed))).toThrow(RangeError);
  });

  it('is named in the document once for each type of the categories that clients see', async () => {
    const { components } = await documentOf(service.app);
    for (const { events } of [user, product, order])
      for (const { name } of events) expect(components.schemas).toHaveProperty(name);
    expect(() => [user, product, order].map(asTyped)).not.toThrow();
  });
});

function scalarOf(scalar: ScalarType | undefined): fc.Arbitrary<unknown> {
  if (scalar === ScalarType.STRING) return fc.string();
  if (scalar === ScalarType.BOOL) return fc.boolean();
  return fc.bigInt({ min: 0n, max: BigInt(Number.MAX_SAFE_INTEGER) });
}

/** Messages with random values of the kinds that our protos use. */
function messageOf(schema: DescMessage): fc.Arbitrary<Message> {
  const fields = schema.fields.map((field) => {
    const one: fc.Arbitrary<unknown> =
      field.message !== undefined
        ? messageOf(field.message)
        : field.name.endsWith('_at')
          ? fc.bigInt({ min: 0n, max: 4_102_444_800_000n })
          : field.name === 'currency'
            ? fc.constantFrom('EUR', 'JPY')
            : scalarOf(field.scalar);
    return [field.localName, field.fieldKind === 'list' ? fc.array(one, { maxLength: 3 }) : one] as const;
  });
  return fc.record(Object.fromEntries(fields)).map((values) => create(schema, values));
}
