import { SpanKind } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask, must } from '../e2e/client.ts';
import { openTestLog } from '../support/nats-log.ts';
import {
  clientTrace,
  only,
  openShop,
  type TracedService,
  type TracedWorld,
  traced,
  tracedWorld,
} from './tracing-support.ts';

let world: TracedWorld;
let service: TracedService;
beforeAll(async () => {
  world = await tracedWorld();
  service = await world.start();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const HAPPY = `
SERVER POST /v1/orders status_code=201
  PRODUCER order.place outcome=accepted
    CONSUMER order-process process order outcome=handled attempt=1
      INTERNAL customer_validation
        PRODUCER order.recordCustomerValidated outcome=accepted
          CONSUMER order-process process order outcome=handled attempt=1
            INTERNAL authorize_payment
              PRODUCER order.recordAuthorised outcome=accepted
                CONSUMER order-process process order outcome=handled attempt=1
                  INTERNAL capture_payment
                    INTERNAL confirm
                      PRODUCER order.recordCaptured outcome=accepted
                        CONSUMER order-process process order outcome=handled attempt=1
                          PRODUCER send notification
                            CONSUMER process notification outcome=handled attempt=1
                        CONSUMER project order
                CONSUMER project order
          CONSUMER project order
      INTERNAL reserve_stock
        PRODUCER order.recordStockReserved outcome=accepted
        PRODUCER product.reserveStock outcome=accepted
          CONSUMER project product
          CONSUMER stock-watch process product outcome=handled attempt=1
    CONSUMER project order`;

const NO_CUSTOMER = `
SERVER POST /v1/orders status_code=201
  PRODUCER order.place outcome=accepted
    CONSUMER order-process process order outcome=handled attempt=1
      INTERNAL customer_validation reason=customer/unknown ERROR There is no such customer.
        PRODUCER order.reject outcome=accepted
          CONSUMER order-process process order outcome=handled attempt=1
            INTERNAL release_stock
              PRODUCER order.recordStockReleased outcome=accepted
                CONSUMER order-process process order outcome=handled attempt=1
                CONSUMER project order
              PRODUCER product.releaseStock outcome=accepted
                CONSUMER project product
                CONSUMER stock-watch process product outcome=handled attempt=1
            PRODUCER send notification
              CONSUMER process notification outcome=handled attempt=1
          CONSUMER project order
    CONSUMER project order`;

const NO_STOCK = `
SERVER POST /v1/orders status_code=201
  PRODUCER order.place outcome=accepted
    CONSUMER order-process process order outcome=handled attempt=1
      INTERNAL customer_validation
        PRODUCER order.recordCustomerValidated outcome=accepted
          CONSUMER order-process process order outcome=handled attempt=1
            INTERNAL release_stock
              PRODUCER order.recordStockReleased outcome=accepted
                CONSUMER order-process process order outcome=handled attempt=1
                CONSUMER project order
              PRODUCER product.releaseStock outcome=accepted
                CONSUMER project product
                CONSUMER stock-watch process product outcome=handled attempt=1
            PRODUCER send notification
              CONSUMER process notification outcome=handled attempt=1
          CONSUMER project order
      INTERNAL reserve_stock reason=inventory/insufficient-stock ERROR There is not enough stock of TEA-SCARCE.
        PRODUCER order.reject outcome=accepted
        PRODUCER product.reserveStock outcome=rejected rejection=product/insufficient-stock
    CONSUMER project order`;

const DECLINED = `
SERVER POST /v1/orders status_code=201
  PRODUCER order.place outcome=accepted
    CONSUMER order-process process order outcome=handled attempt=1
      INTERNAL customer_validation
        PRODUCER order.recordCustomerValidated outcome=accepted
          CONSUMER order-process process order outcome=handled attempt=1
            INTERNAL authorize_payment reason=payment/card_declined ERROR The card was declined.
              PRODUCER order.reject outcome=accepted
                CONSUMER order-process process order outcome=handled attempt=1
                  INTERNAL release_stock
                    PRODUCER order.recordStockReleased outcome=accepted
                      CONSUMER order-process process order outcome=handled attempt=1
                      CONSUMER project order
                    PRODUCER product.releaseStock outcome=accepted
                      CONSUMER project product
                      CONSUMER stock-watch process product outcome=handled attempt=1
                  PRODUCER send notification
                    CONSUMER process notification outcome=handled attempt=1
                  INTERNAL void_payment
                    PRODUCER order.recordPaymentCancelled outcome=accepted
                      CONSUMER order-process process order outcome=handled attempt=1
                      CONSUMER project order
                CONSUMER project order
          CONSUMER project order
      INTERNAL reserve_stock
        PRODUCER order.recordStockReserved outcome=accepted
        PRODUCER product.reserveStock outcome=accepted
          CONSUMER project product
          CONSUMER stock-watch process product outcome=handled attempt=1
    CONSUMER project order`;

it('an order that goes well is one trace, from the request to the notification', async () => {
  const shop = await openShop(service.url, 'happy');
  const trace = clientTrace(1);
  const placed = await shop.order(trace);
  const spans = await traced(world, trace, HAPPY);
  const orderId = String(placed.field('id'));
  const server = only(spans, 'POST /v1/orders');
  expect(placed.headers.get('traceparent')).toBe(`00-${trace.traceId}-${server.spanContext().spanId}-01`);
  expect(server.parentSpanContext).toMatchObject({ spanId: '00000000000000c1', isRemote: true });
  expect(server.attributes).toEqual({
    'http.request.method': 'POST',
    'http.route': '/v1/orders',
    'http.response.status_code': 201,
    'url.scheme': 'http',
  });
  const place = only(spans, 'order.place');
  const position = Number(placed.field('position'));
  const messaging = {
    'messaging.system': 'nats',
    'messaging.system.name': 'nats',
    'messaging.destination.name': 'jl.order',
  };
  expect(place.attributes).toEqual({
    ...messaging,
    'messaging.operation.name': 'append',
    'messaging.operation.type': 'send',
    'jetledger.category': 'order',
    'jetledger.aggregate.id': orderId,
    'jetledger.attempts': 1,
    'jetledger.outcome': 'accepted',
    'jetledger.version': position,
  });
  const consumed = spans.find(
    ({ name, attributes }) =>
      name === 'order-process process order' && attributes['jetledger.position'] === position,
  );
  expect(consumed?.attributes).toEqual({
    ...messaging,
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.consumer.group.name': 'order-process',
    'jetledger.aggregate.id': orderId,
    'jetledger.position': position,
    'jetledger.commit.id': expect.any(String),
    'jetledger.attempt': 1,
    'jetledger.redriven': false,
    'jetledger.redelivered': false,
    'jetledger.outcome': 'handled',
  });
  expect(consumed?.links.map(({ context }) => context.spanId)).toEqual([place.spanContext().spanId]);
  const consumers = spans.filter(({ kind }) => kind === SpanKind.CONSUMER);
  const producers = new Set(
    spans.filter(({ kind }) => kind === SpanKind.PRODUCER).map((span) => span.spanContext().spanId),
  );
  for (const { name, links, parentSpanContext } of consumers) {
    const linked = links.map(({ context }) => context.spanId);
    // It is in the trace of the first command of its commit, and points to all of them.
    expect([name, linked[0]]).toEqual([name, parentSpanContext?.spanId]);
    for (const spanId of linked) expect(producers).toContain(spanId);
  }
  expect(only(spans, 'reserve_stock').attributes).toEqual({
    'jetledger.step': 'inventory',
    'jetledger.order.id': orderId,
  });
  const views = spans.find(
    ({ name, attributes }) => name === 'project order' && attributes['jetledger.position'] === position,
  );
  expect(views?.attributes['jetledger.views']).toEqual(expect.arrayContaining(['orders', 'statistics']));
});

it('the context of the command is in the headers of its commit, and its trace in the history of the order', async () => {
  const shop = await openShop(service.url, 'headers');
  const trace = clientTrace(2);
  const placed = await shop.order({ ...trace, headers: { ...trace.headers, tracestate: 'vendor=7' } });
  const spans = await traced(world, trace, HAPPY);
  await using handle = await openTestLog(world.server.url);
  const request = JSON.stringify({ seq: Number(placed.field('position')) });
  const reply = await handle.requests.request('$JS.API.STREAM.MSG.GET.jetledger', request, {
    timeoutMs: 2_000,
  });
  if (reply.failed !== undefined) throw new Error(String(reply.failed));
  const { message } = JSON.parse(reply.msg.string()) as { message: { hdrs: string } };
  const headers = Buffer.from(message.hdrs, 'base64').toString();
  expect(headers).toContain(
    `traceparent: 00-${trace.traceId}-${only(spans, 'order.place').spanContext().spanId}-01`,
  );
  expect(headers).toContain('tracestate: vendor=7');
  const history = await must(200, service.url, 'GET', `/v1/orders/${placed.field('id')}/events`);
  expect(history.field('items', 0, 'traceId')).toBe(trace.traceId);
  expect(history.field('items', 4, 'traceId')).toBe(trace.traceId);
});

it('a customer who is not known shows as the step that failed, and why', async () => {
  const shop = await openShop(service.url, 'nobody');
  const trace = clientTrace(3);
  await shop.order(trace, { userId: 'nobody' });
  const spans = await traced(world, trace, NO_CUSTOMER);
  expect(only(spans, 'customer_validation').attributes).toMatchObject({
    'jetledger.step': 'customer_validation',
    'jetledger.reason': 'customer/unknown',
  });
});

it('too little stock shows as the step that failed, and why', async () => {
  const shop = await openShop(service.url, 'scarce', 1);
  const trace = clientTrace(4);
  await shop.order(trace);
  const spans = await traced(world, trace, NO_STOCK);
  expect(only(spans, 'product.reserveStock').status.code).toBe(0);
});

it('a declined payment shows as the step that failed, and why', async () => {
  const shop = await openShop(service.url, 'declined');
  const trace = clientTrace(5);
  await shop.order(trace, { payment: { token: 'tok_declined' } });
  // The watch releases once more where the order had ended when it looked.
  const again = ({ name, attributes }: ReadableSpan) =>
    name === 'product.releaseStock' && Object.values(attributes).includes('unchanged');
  await traced(world, trace, DECLINED, again);
});

it('a problem names its trace, on the answer, on the span, and on each line of the log', async () => {
  const trace = clientTrace(6);
  const headers = { ...trace.headers, 'content-type': 'application/json' };
  const unknown = await ask(service.url, 'GET', '/v1/orders/nothing', undefined, trace.headers);
  expect([unknown.status, unknown.field('traceId')]).toEqual([404, trace.traceId]);
  const malformed = await fetch(`${service.url}/v1/orders`, { method: 'POST', headers, body: '{' });
  expect(malformed.status).toBe(400);
  expect(await malformed.json()).toMatchObject({ code: 'request/malformed-json', traceId: trace.traceId });
  const spans = await traced(
    world,
    trace,
    `
SERVER GET /v1/orders/:id status_code=404 code=order/not-found
SERVER POST /v1/orders status_code=400 code=request/malformed-json`,
  );
  const lines = service.lines.filter((line) => line.trace_id === trace.traceId && line.msg === 'request');
  expect(lines.map(({ status, span_id }) => [status, span_id])).toEqual(
    [404, 400].map((status) => [
      status,
      spans.find(({ attributes }) => attributes['http.response.status_code'] === status)?.spanContext()
        .spanId,
    ]),
  );
});

it('each line of the log that a command or an event causes names trace and commit', async () => {
  const shop = await openShop(service.url, 'lines');
  const trace = clientTrace(7);
  await shop.order(trace);
  await traced(world, trace, HAPPY);
  const lines = service.lines.filter((line) => line.trace_id === trace.traceId);
  const commands = lines.filter(({ msg }) => msg === 'command').map(({ command }) => command);
  expect(commands).toEqual(expect.arrayContaining(['place', 'reserveStock', 'recordCaptured']));
  const processed = lines.filter(({ msg }) => msg === 'event processed');
  expect(processed.length).toBeGreaterThanOrEqual(5);
  for (const line of processed) expect(line.commit_id).toMatch(/^[0-9a-f-]{36}$/);
  // What a command inside an event writes names the event's commit too.
  expect(lines.find(({ command }) => command === 'recordCaptured')?.commit_id).toBeDefined();
});

it('a request that nobody sampled records nothing, and its trace id still holds to the end', async () => {
  const shop = await openShop(service.url, 'unsampled');
  const { traceId } = clientTrace(8);
  const headers = { traceparent: `00-${traceId}-00000000000000c1-00` };
  const placed = await shop.order({ traceId, headers }, { payment: { token: 'tok_declined' } });
  expect(placed.headers.get('traceparent')).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  const path = `/v1/orders/${placed.field('id')}`;
  await expect
    .poll(async () => (await must(200, service.url, 'GET', path)).field('status'), WAIT)
    .toBe('rejected');
  const history = await must(200, service.url, 'GET', `${path}/events`);
  const traces = (history.field('items') as { traceId: string }[]).map((item) => item.traceId);
  expect(new Set(traces)).toEqual(new Set([traceId]));
  expect((await world.spans()).filter((span) => span.spanContext().traceId === traceId)).toEqual([]);
  expect(service.lines.filter((line) => line.trace_id === traceId).map(({ msg }) => msg)).toContain(
    'request',
  );
});

it('what is asked about the service itself is not traced', async () => {
  const { traceId, headers } = clientTrace(9);
  const health = ['/health/live', '/health/ready', '/health/startup'];
  for (const path of [
    ...health,
    '/metrics',
    '/docs/json',
    '/openapi.json',
    '/v1/admin/traces',
    '/console/settings.json',
  ]) {
    await fetch(`${service.url}${path}`, { headers });
  }
  expect((await world.spans()).filter((span) => span.spanContext().traceId === traceId)).toEqual([]);
});

it('no span holds an address or a name of a person', async () => {
  const spans = await world.spans();
  expect(spans.filter(({ kind }) => kind === SpanKind.SERVER).length).toBeGreaterThan(10);
  const everything = JSON.stringify(
    spans.map(({ name, attributes, events, status, links }) => [
      name,
      attributes,
      events,
      status,
      links.map((l) => l.attributes),
    ]),
  );
  expect(everything).not.toMatch(/@|example\.com|\bAda\b/);
});

const WAIT = { timeout: 10_000, interval: 20 };
