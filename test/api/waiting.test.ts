import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import { openMemoryTimers } from '../../src/testing/memory-timers.ts';
import { fixedRuntime, type MemoryService, memoryService, TEST_EPOCH } from '../support/memory-service.ts';
import { plantConsumer, plantCursor, plantParked } from './planted.ts';
import { type Client, clientOf, field, list, ordered } from './requests.ts';

let service: MemoryService;
let client: Client;
/** Past all that is done before it. */
let now = TEST_EPOCH;

beforeEach(async () => {
  now = TEST_EPOCH;
  const ticking = fixedRuntime();
  service = await memoryService({ runtime: { ...ticking, now: () => now } });
  client = clientOf(service);
});
afterEach(async () => service[Symbol.asyncDispose]());

const arm = (kind: string, id: string, inMs: number) =>
  openMemoryTimers(service.timers, { runtime: fixedRuntime() }).arm({ kind, id, at: TEST_EPOCH + inMs });
const timeIn = (ms: number) => new Date(TEST_EPOCH + ms).toISOString();

describe('timers', () => {
  it('are listed by when they are due, with those that are not armed yet', async () => {
    await arm('payment-deadline', 'o1', 60_000);
    await arm('email-claim', 'e1', -5_000);
    await plantConsumer(service, 'order-process');
    const held = {
      kind: 'payment-deadline',
      id: 'o2',
      at: TEST_EPOCH + 30_000,
      traceparent: '',
      tracestate: '',
    };
    await plantCursor(service, 'order-process', { high: 9, open: [], timers: [held] });
    const of = (kind: string, category: string, id: string, ms: number, state: string) => ({
      ...{ kind, category, id, at: timeIn(ms), state },
    });
    expect((await client.get('/v1/admin/timers')).json()).toEqual({
      items: [
        of('email-claim', 'email', 'e1', -5_000, 'armed'),
        of('payment-deadline', 'order', 'o2', 30_000, 'held'),
        of('payment-deadline', 'order', 'o1', 60_000, 'armed'),
      ],
      total: 3,
      complete: true,
    });
    const due = await client.get('/v1/admin/timers?kind=payment-deadline&limit=1');
    expect(field(due, 'items')).toMatchObject([{ id: 'o2' }]);
  });

  it('an aggregate tells its own, and which consumers are at its commits', async () => {
    await list(client, 'TEA');
    const id = await ordered(client, 'u1', 'TEA');
    await arm('payment-deadline', id, 60_000);
    await arm('email-claim', id, 60_000);
    const { version } = await service.deps.handler.load(order, id);
    await plantConsumer(service, 'order-process');
    await plantCursor(service, 'order-process', { high: version, open: [version] });
    expect((await client.get(`/v1/admin/aggregates/order/${id}`)).json()).toMatchObject({
      waitsFor: [],
      timers: [{ kind: 'payment-deadline', state: 'armed', at: timeIn(60_000) }],
      underWay: [{ consumer: 'order-process', position: version, since: timeIn(0) }],
    });
  });
});

describe('payments in doubt', () => {
  const step = (id: string, command: Parameters<typeof order.decide>[0]) =>
    service.deps.handler.execute(order, id, command, { commandId: service.deps.runtime.id(), actor: 'op' });
  const inDoubt = async () => field(await client.get('/v1/admin/payments/in-doubt'), 'items');

  it('are those that are tried for more than ten seconds, and those that wait for an operator', async () => {
    await list(client, 'TEA');
    const id = await ordered(client, 'u1', 'TEA');
    await step(id, { type: 'recordCustomerValidated', directoryPosition: 1, at: now });
    await step(id, { type: 'recordStockReserved', at: now });
    const { version } = await service.deps.handler.load(order, id);
    await plantConsumer(service, 'order-process');
    await plantCursor(service, 'order-process', { high: version, open: [version] });
    now = TEST_EPOCH + 9_000;
    expect(await inDoubt()).toEqual([]);
    now = TEST_EPOCH + 11_000;
    expect(await inDoubt()).toEqual([
      { id, step: 'authorise', position: version, since: timeIn(0), parked: false },
    ]);
    const events = [{ type: 'jetledger.order.v1.PaymentAuthorised', schemaVersion: 1, payload: {} }];
    await plantParked(service, { id: 'o1', firstAt: TEST_EPOCH + 10_000, events });
    expect(await inDoubt()).toMatchObject([
      { id },
      { id: 'o1', step: 'capture', parked: true, error: 'The provider said no.' },
    ]);
  });

  it('an order that has ended is among them only while its payment may have to be given back', async () => {
    await list(client, 'TEA');
    const untouched = await ordered(client, 'u1', 'TEA');
    const touched = await ordered(client, 'u1', 'TEA');
    await step(touched, { type: 'recordCustomerValidated', directoryPosition: 1, at: now });
    await step(touched, { type: 'recordStockReserved', at: now });
    const open: number[] = [];
    for (const id of [untouched, touched]) {
      await client.post(`/v1/orders/${id}/cancel`, { reason: 'changed my mind' });
      open.push((await service.deps.handler.load(order, id)).version);
    }
    await plantConsumer(service, 'order-process');
    await plantCursor(service, 'order-process', { high: Math.max(...open), open });
    now = TEST_EPOCH + 60_000;
    expect(await inDoubt()).toMatchObject([{ id: touched, step: 'return', parked: false }]);
    await step(touched, { type: 'recordPaymentCancelled', paymentId: 'pay-1', at: now });
    expect(await inDoubt()).toEqual([]);
  });
});
