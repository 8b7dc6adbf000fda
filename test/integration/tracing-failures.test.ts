import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { CursorValue } from '../../src/processes/engine/cursor.ts';
import { bucketNames } from '../../src/processes/engine/rows.ts';
import { createSimulatedProvider } from '../../src/processes/payment/adapters/simulated.ts';
import { createMemoryBucket } from '../../src/testing/memory-bucket.ts';
import {
  answerJson,
  type HttpServer,
  paymentApi,
  type Respond,
  startHttpServer,
} from '../contract/payment-server.ts';
import { must } from '../e2e/client.ts';
import { openTestLog, TEST_LOG } from '../support/nats-log.ts';
import {
  clientTrace,
  count,
  only,
  openShop,
  type TracedService,
  type TracedWorld,
  traced,
  tracedWorld,
} from './tracing-support.ts';

const API_KEY = 'sk-very-secret';
const WAIT = { timeout: 10_000, interval: 20 };

let world: TracedWorld;
let service: TracedService;
let payments: HttpServer;
let webhook: HttpServer;
const provider = createSimulatedProvider({ bucket: createMemoryBucket('payments'), runtime: systemRuntime });
const working = paymentApi(provider, API_KEY);
const taken: Respond = (_, response) => void response.writeHead(204).end();

const variables = (): Record<string, string> => ({
  JETLEDGER_PAYMENT__ADAPTER: 'http',
  JETLEDGER_PAYMENT__URL: `${payments.url}/v1`,
  JETLEDGER_PAYMENT__API_KEY: API_KEY,
  JETLEDGER_NOTIFICATIONS__ADAPTER: 'webhook',
  JETLEDGER_NOTIFICATIONS__URL: `${webhook.url}/hooks/secret-path`,
  JETLEDGER_NOTIFICATIONS__SECRET: 'shared-secret-of-16',
  JETLEDGER_PROCESSES__RETRY_FIRST_MS: '10',
  JETLEDGER_PROCESSES__PAYMENT_DEADLINE_MS: '60000',
});

/** The API's paths begin with the version, the provider's do not. */
const behindVersion =
  (respond: Respond): Respond =>
  (request, response) =>
    respond({ ...request, path: request.path.replace(/^\/v1/, '') }, response);

beforeAll(async () => {
  payments = await startHttpServer(behindVersion(working));
  webhook = await startHttpServer(taken);
  world = await tracedWorld();
  service = await world.start(variables());
});
beforeEach(() => {
  payments.respond(behindVersion(working));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await payments.stop();
  await webhook.stop();
});

/** Answers the first so many requests to a path by an error, and goes on as usual. */
function failing(times: number, path: RegExp, status: number): Respond {
  let left = times;
  return behindVersion((request, response) => {
    if (!path.test(request.path) || left-- <= 0) return working(request, response);
    answerJson(response, status, { error: { code: 'broken', message: 'It does not work.' } });
  });
}

/** The tree of an order that goes well in the end; `before` are tries of the payment that come before the good one. */
function orderTree({ before = '', good = 'attempt=1' }: { before?: string; good?: string } = {}): string {
  return `
SERVER POST /v1/orders status_code=201
  PRODUCER order.place outcome=accepted
    CONSUMER order-process process order outcome=handled attempt=1
      INTERNAL customer_validation
        PRODUCER order.recordCustomerValidated outcome=accepted
${before}          CONSUMER order-process process order outcome=handled ${good}
            INTERNAL authorize_payment
              PRODUCER order.recordAuthorised outcome=accepted
                CONSUMER order-process process order outcome=handled attempt=1
                  INTERNAL capture_payment
                    INTERNAL confirm
                      PRODUCER order.recordCaptured outcome=accepted
                        CONSUMER order-process process order outcome=handled attempt=1
                          PRODUCER send notification
                            CONSUMER process notification outcome=handled attempt=1
                              CLIENT POST status_code=204
                        CONSUMER project order
                    CLIENT POST /v1/intents/{key}/capture status_code=200
                CONSUMER project order
              CLIENT POST /v1/intents status_code=201
              CLIENT POST /v1/intents/{key}/authorise status_code=200
          CONSUMER project order
      INTERNAL reserve_stock
        PRODUCER order.recordStockReserved outcome=accepted
        PRODUCER product.reserveStock outcome=accepted
          CONSUMER project product
          CONSUMER stock-watch process product outcome=handled attempt=1
    CONSUMER project order`;
}

const UNAVAILABLE = 'ERROR The payment provider does not answer (/intents/{id}/authorise: status 503).';
const RETRIED = `\
          CONSUMER order-process process order outcome=retried attempt=1 ${UNAVAILABLE}
            INTERNAL authorize_payment ${UNAVAILABLE}
              CLIENT POST /v1/intents status_code=201
              CLIENT POST /v1/intents/{key}/authorise status_code=503 ERROR status 503
              CLIENT POST /v1/intents/{key}/authorise status_code=503 ERROR status 503
              CLIENT POST /v1/intents/{key}/authorise status_code=503 ERROR status 503
`;
const PARKED = `\
          CONSUMER order-process process order outcome=parked attempt=1 ERROR create {id}: It does not work.
            INTERNAL authorize_payment ERROR create {id}: It does not work.
              CLIENT POST /v1/intents status_code=400 ERROR
`;

it('calls to the payment provider and to the webhook are part of the trace and carry it on', async () => {
  const shop = await openShop(service.url, 'calls');
  const trace = clientTrace(1);
  const placed = await shop.order(trace);
  const spans = await traced(world, trace, orderTree());
  const authorise = only(spans, 'POST /v1/intents/{key}/authorise');
  const port = Number(new URL(payments.url).port);
  expect(authorise.attributes).toEqual({
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'server.address': '127.0.0.1',
    'server.port': port,
    'url.template': '/v1/intents/{key}/authorise',
  });
  const asked = payments.received.find(({ path }) => path === `/v1/intents/${placed.field('id')}/authorise`);
  expect(asked?.headers.traceparent).toBe(`00-${trace.traceId}-${authorise.spanContext().spanId}-01`);
  const told = webhook.received.find(({ headers }) => headers.traceparent?.includes(trace.traceId));
  expect(told?.headers.traceparent).toBe(
    `00-${trace.traceId}-${only(spans, 'POST').spanContext().spanId}-01`,
  );
  expect(JSON.stringify(spans.map(({ name, attributes }) => [name, attributes]))).not.toMatch(/secret/);
  const sent = only(spans, 'send notification');
  expect(only(spans, 'process notification').links.map(({ context }) => context.spanId)).toEqual([
    sent.spanContext().spanId,
  ]);
});

it('each try of an event is a span of its own, and what failed in it is shown as failed', async () => {
  // The adapter repeats a call twice by itself before the event is tried again.
  payments.respond(failing(3, /authorise$/, 503));
  const shop = await openShop(service.url, 'retried');
  const trace = clientTrace(2);
  await shop.order(trace);
  const spans = await traced(world, trace, orderTree({ before: RETRIED, good: 'attempt=2' }));
  const tries = spans.filter(({ name }) => name === 'order-process process order');
  const first = tries.find(({ attributes }) => attributes['jetledger.outcome'] === 'retried');
  const second = tries.find(({ attributes }) => attributes['jetledger.attempt'] === 2);
  expect(first?.attributes).toMatchObject({ 'jetledger.attempt': 1 });
  expect(second?.attributes).toMatchObject({ 'jetledger.outcome': 'handled' });
  expect(second?.parentSpanContext?.spanId).toBe(first?.parentSpanContext?.spanId);
  expect(first?.status).toMatchObject({ code: 2 });
  expect(first?.events.map(({ name }) => name)).toEqual(['exception']);
});

it('a parked event shows why, and its redrive joins its trace and links to who asked for it', async () => {
  payments.respond(failing(1, /\/intents$/, 400));
  const shop = await openShop(service.url, 'parked');
  const trace = clientTrace(3);
  const placed = await shop.order(trace);
  const orderId = String(placed.field('id'));
  const parked = await world.trace(
    trace.traceId,
    (found) => count(found, 'order-process process order', 'parked') === 1,
  );
  const failed = parked.find(({ attributes }) => attributes['jetledger.outcome'] === 'parked');
  expect(failed?.status).toMatchObject({ code: 2, message: expect.stringContaining('It does not work.') });
  const list = `/v1/admin/parked?id=${orderId}`;
  await expect
    .poll(async () => (await must(200, service.url, 'GET', list)).field('items', 0, 'traceId'), WAIT)
    .toBe(trace.traceId);
  const request = clientTrace(4);
  await must(
    200,
    service.url,
    'POST',
    '/v1/admin/parked/redrive',
    { filter: { id: orderId } },
    request.headers,
  );
  const asked = await traced(
    world,
    request,
    `
SERVER POST /v1/admin/parked/redrive status_code=200
  INTERNAL redrive`,
  );
  const spans = await traced(world, trace, orderTree({ before: PARKED, good: 'attempt=1 redriven' }));
  const redriven = spans.find(({ attributes }) => attributes['jetledger.redriven'] === true);
  expect(redriven?.attributes).toMatchObject({ 'jetledger.outcome': 'handled', 'jetledger.attempt': 1 });
  expect(redriven?.parentSpanContext?.spanId).toBe(failed?.parentSpanContext?.spanId);
  expect(redriven?.links.map(({ context }) => [context.traceId, context.spanId])).toEqual([
    [trace.traceId, failed?.parentSpanContext?.spanId],
    [trace.traceId, only(spans, 'order.recordStockReserved').spanContext().spanId],
    [request.traceId, only(asked, 'redrive').spanContext().spanId],
  ]);
  expect(only(asked, 'redrive').attributes['jetledger.redrive.marked']).toBe(1);
});

it('a timer that fires joins the trace of the event that armed it, and so does what it causes', async () => {
  await service.stop();
  const release: (() => void)[] = [];
  payments.respond(
    behindVersion(async (request, response) => {
      if (/authorise$/.test(request.path)) await new Promise<void>((resolve) => release.push(resolve));
      await working(request, response);
    }),
  );
  service = await world.start({ ...variables(), JETLEDGER_PROCESSES__PAYMENT_DEADLINE_MS: '1000' });
  const shop = await openShop(service.url, 'late');
  const trace = clientTrace(5);
  const placed = await shop.order(trace);
  const spans = await world.trace(trace.traceId, (found) => count(found, 'fire payment-deadline') === 1);
  const fired = only(spans, 'fire payment-deadline');
  const arming = fired.parentSpanContext?.spanId;
  expect(fired.attributes).toEqual({
    'messaging.system': 'nats',
    'messaging.system.name': 'nats',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'jlt.fire.payment-deadline',
    'jetledger.timer.kind': 'payment-deadline',
    'jetledger.timer.due_late_ms': expect.any(Number),
    'jetledger.aggregate.id': placed.field('id'),
    'jetledger.attempt': 1,
    'jetledger.redelivered': false,
  });
  expect(fired.links.map(({ context }) => context.spanId)).toEqual([arming]);
  for (const go of release) go();
  const all = await world.trace(trace.traceId, (found) => count(found, 'process notification') === 1);
  const armed = all.find((span) => span.spanContext().spanId === arming);
  expect(armed?.attributes).toMatchObject({ 'jetledger.position': placed.field('position') });
  expect(only(all, 'order.expire').parentSpanContext?.spanId).toBe(fired.spanContext().spanId);
});

it('an event that is delivered again after a takeover says so', async () => {
  await service.stop();
  service = await world.start(variables());
  const shop = await openShop(service.url, 'again');
  const trace = clientTrace(6);
  const placed = await shop.order(trace);
  const position = Number(placed.field('position'));
  await world.trace(trace.traceId, (found) => count(found, 'process notification') === 1);
  await service.stop();
  await reopen(position);
  service = await world.start(variables());
  const spans = await world.trace(trace.traceId, (found) =>
    found.some(({ attributes }) => attributes['jetledger.redelivered'] === true),
  );
  const again = spans.filter(({ attributes }) => attributes['jetledger.redelivered'] === true);
  expect(again.map(({ name, attributes }) => [name, attributes['jetledger.position']])).toEqual([
    ['order-process process order', position],
  ]);
});

/** As if the last owner had died while it handled this commit. */
async function reopen(position: number): Promise<void> {
  await using handle = await openTestLog(world.server.url);
  const { requests } = handle;
  const how = { requests, runtime: systemRuntime, replicas: 1, timeoutMs: 5_000, announceLosses: false };
  const cursors = await createNatsBuckets(how).create(bucketNames(TEST_LOG.prefix).cursors, {
    durable: true,
  });
  for await (const { key, value, revision } of cursors.rows({ prefix: 'order-process.' })) {
    const cursor = JSON.parse(Buffer.from(value).toString()) as CursorValue;
    const next = { ...cursor, open: [position, ...cursor.open] };
    if (numberOf(cursor.high) < position) continue;
    const row = { key, value: Buffer.from(JSON.stringify(next)), expectedRevision: revision };
    expect(await cursors.write(row)).toMatchObject({ written: true });
  }
}
