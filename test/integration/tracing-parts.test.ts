import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask, must } from '../e2e/client.ts';
import { clientTrace, only, openShop, type TracedWorld, traced, tracedWorld } from './tracing-support.ts';

let world: TracedWorld;
beforeAll(async () => {
  world = await tracedWorld({ JETLEDGER_TRACING__DEV_TRACES: '10' });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

it('an order that one process takes and another one processes is one trace', async () => {
  const taking = await world.start({
    JETLEDGER_SERVICE__ROLES: 'api',
  });
  const shop = await openShop(taking.url, 'parts');
  const trace = clientTrace(1);
  const placed = await shop.order(trace);
  const taken = await traced(
    world,
    trace,
    `
SERVER POST /v1/orders status_code=201
  PRODUCER order.place outcome=accepted`,
  );
  // Nobody processes yet: what joins the trace later knows it from the log alone.
  const processing = await world.start();
  const path = `/v1/orders/${placed.field('id')}`;
  const confirmed = async () => (await ask(processing.url, 'GET', path)).field('status');
  await expect.poll(confirmed, { timeout: 15_000, interval: 50 }).toBe('confirmed');
  const spans = await world.trace(trace.traceId, (found) =>
    found.some(({ name }) => name === 'process notification'),
  );
  expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([trace.traceId]));
  const first = spans.find(
    ({ name, attributes }) =>
      name === 'order-process process order' && attributes['jetledger.position'] === placed.field('position'),
  );
  expect(first?.parentSpanContext).toMatchObject({
    spanId: only(taken, 'order.place').spanContext().spanId,
    isRemote: true,
  });
  expect(taking.lines.some(({ msg }) => msg === 'event processed')).toBe(false);
  expect(
    processing.lines.some((line) => line.msg === 'event processed' && line.trace_id === trace.traceId),
  ).toBe(true);
});

it('the last traces are there as data, and only where they are kept', async () => {
  const service = await world.start({ JETLEDGER_SERVICE__ROLES: 'api,projections' });
  const trace = clientTrace(2);
  const refused = await ask(service.url, 'GET', '/v1/orders/nothing', undefined, trace.headers);
  expect(refused.status).toBe(404);
  const list = await must(200, service.url, 'GET', '/v1/admin/traces?limit=1');
  expect(list.body).toEqual({
    items: [
      {
        traceId: trace.traceId,
        name: 'GET /v1/orders/:id',
        answer: '404 order/not-found',
        start: expect.any(Number),
        durationMs: expect.any(Number),
        spans: 1,
        omitted: 0,
        error: false,
        parts: ['api'],
        ids: [],
      },
    ],
  });
  const detail = await must(200, service.url, 'GET', `/v1/admin/traces/${trace.traceId}`);
  expect(detail.body).toMatchObject({
    traceId: trace.traceId,
    spans: [
      {
        name: 'GET /v1/orders/:id',
        kind: 'server',
        status: 'unset',
        parentSpanId: '00000000000000c1',
        attributes: { 'jetledger.problem.code': 'order/not-found' },
      },
    ],
  });
  expect((await ask(service.url, 'GET', `/v1/admin/traces/${'f'.repeat(32)}`)).status).toBe(404);
  expect((await ask(service.url, 'GET', '/v1/admin/traces?limit=0')).status).toBe(400);
  const document = await must(200, service.url, 'GET', '/openapi.json');
  expect(Object.keys(document.field('paths') as object).filter((path) => path.startsWith('/dev'))).toEqual(
    [],
  );
});
