import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { InMemorySpanExporter, type ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { afterEach, expect, it } from 'vitest';
import { product } from '../../src/domain/product.ts';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { traceStore } from '../../src/eventstore/telemetry/traces.ts';
import { rebuild } from '../../src/projections/engine/rebuild/rebuild.ts';
import { traceProjections } from '../../src/projections/engine/telemetry/traces.ts';
import { users } from '../../src/projections/views/users.ts';
import { createMemoryLog } from '../../src/testing/memory-log.ts';
import { until } from '../../src/testing/until.ts';
import { memoryService } from '../support/memory-service.ts';
import { startedTracing, type TestTracing } from '../support/telemetry.ts';
import { createShopWorld, userCreated } from '../unit/projections/shop-world.ts';
import { tracedConfig } from './tracing-support.ts';

let tracing: TestTracing | undefined;
let collector: Server | undefined;
afterEach(async () => {
  await tracing?.stop(1_000);
  tracing = undefined;
  collector?.closeAllConnections();
  collector?.close();
  collector = undefined;
});

/** Listens where a collector would, and does with each export what `answer` says. */
async function startCollector(answer: (length: number) => number | undefined): Promise<string> {
  const server = createServer((request, response) => {
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    request.on('end', () => {
      const status = answer(length);
      if (status !== undefined) response.writeHead(status).end();
    });
  });
  collector = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function traceTo(
  endpoint: string,
  told: string[] = [],
  more: Record<string, string> = {},
): Promise<TestTracing> {
  const variables = { JETLEDGER_TRACING__ENABLED: 'true', JETLEDGER_TRACING__ENDPOINT: endpoint, ...more };
  const onCollector = (state: string): void => void told.push(state);
  tracing = await startedTracing(tracedConfig('nats://127.0.0.1:4222', variables), { onCollector });
  return tracing;
}

it('spans arrive at a collector as OTLP', async () => {
  const exports: number[] = [];
  const endpoint = await startCollector((length) => {
    exports.push(length);
    return 200;
  });
  const { tracer, flush, dropped } = await traceTo(endpoint);
  await using service = await memoryService({ override: { tracer } });
  await service.app.inject({ method: 'GET', url: '/v1/orders/nothing' });
  await flush();
  expect(exports).toHaveLength(1);
  expect(exports[0]).toBeGreaterThan(100);
  expect(dropped()).toBe(0);
});

it('requests do not notice a collector that is away or never answers, and stopping keeps its bound', async () => {
  for (const endpoint of ['http://127.0.0.1:1', await startCollector(() => undefined)]) {
    const told: string[] = [];
    const own = await traceTo(endpoint, told, { JETLEDGER_TRACING__EXPORT_TIMEOUT_MS: '200' });
    await using service = await memoryService({ override: { tracer: own.tracer } });
    for (let i = 0; i < 50; i++) {
      const answer = await service.app.inject({ method: 'GET', url: '/v1/orders/nothing' });
      expect(answer.statusCode).toBe(404);
    }
    await own.flush();
    await until('the spans are counted as lost', () => own.dropped() === 50);
    expect(told).toEqual(['away']);
    const more = await service.app.inject({ method: 'GET', url: '/v1/orders/nothing' });
    expect(more.statusCode).toBe(404);
    const began = performance.now();
    await own.stop(500);
    expect(performance.now() - began).toBeLessThan(5_000);
    tracing = undefined;
  }
});

/** A handler with tracing into memory, on a log of which a test may change parts. */
async function traced(change: (log: Log) => Partial<Log> = () => ({})): Promise<{
  handler: Handler;
  spans(): Promise<ReadableSpan[]>;
}> {
  const exporter = new InMemorySpanExporter();
  tracing = await startedTracing(tracedConfig('nats://127.0.0.1:4222'), { exporter });
  const { tracer, flush } = tracing;
  const memory = createMemoryLog();
  const log = { ...memory, ...change(memory) };
  return {
    handler: createHandler({ log, runtime: systemRuntime, observer: traceStore({ tracer, prefix: 'jl' }) }),
    spans: async () => {
      await flush();
      return exporter.getFinishedSpans();
    },
  };
}

const meta = (commandId: string) => ({ commandId, actor: 'test' });
const AT = Date.UTC(2026, 0, 15);
const LIST = { type: 'list', sku: 'TEA', name: 'Tea', priceMinor: 450n, currency: 'EUR', at: AT } as const;
const TAKE = { type: 'receiveStock', receiptId: 'r1', quantity: 5, at: AT } as const;

it('a command shows what became of it, and how often it was decided', async () => {
  let losing = 1;
  const { handler, spans } = await traced((log) => ({
    append: async (stream, expected, commit) =>
      commit.decisions[0]?.commandId === 'c2' && losing-- > 0
        ? { appended: false, conflict: stream }
        : log.append(stream, expected, commit),
  }));
  await handler.execute(product, 'TEA', LIST, meta('c1'));
  await handler.execute(product, 'TEA', TAKE, meta('c2'));
  await handler.execute(product, 'TEA', { ...LIST, name: 'Coffee' }, meta('c3'));
  await handler.execute(product, 'TEA', TAKE, meta('c2'));
  const [listed, received, rejected, repeated] = (await spans()).map(({ attributes }) => attributes);
  expect(listed).toMatchObject({ 'jetledger.outcome': 'accepted', 'jetledger.attempts': 1 });
  expect(received).toMatchObject({ 'jetledger.outcome': 'accepted', 'jetledger.attempts': 2 });
  expect(rejected).toMatchObject({
    'jetledger.outcome': 'rejected',
    'jetledger.rejection': 'product/exists',
    'jetledger.attempts': 1,
  });
  expect(repeated).toMatchObject({ 'jetledger.outcome': 'accepted', 'jetledger.repeated': true });
  for (const { status } of await spans()) expect(status.code).toBe(SpanStatusCode.UNSET);
});

it('a command that the infrastructure prevents is shown as failed', async () => {
  const { handler, spans } = await traced(() => ({
    append: async () => {
      throw new LogUnavailable('no server');
    },
  }));
  await expect(handler.execute(product, 'TEA', LIST, meta('c1'))).rejects.toThrow(LogUnavailable);
  const [span] = await spans();
  expect(span?.attributes).toMatchObject({ 'jetledger.outcome': 'fault', 'jetledger.category': 'product' });
  expect(span?.status.code).toBe(SpanStatusCode.ERROR);
  expect(span?.events.map(({ name }) => name)).toEqual(['exception']);
});

it('a command that comes with a stored trace and no active one joins it', async () => {
  const { handler, spans } = await traced();
  const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
  await handler.execute(product, 'TEA', LIST, { ...meta('c1'), traceparent });
  const [span] = await spans();
  expect(span?.parentSpanContext?.spanId).toBe('cd'.repeat(8));
  expect(span?.spanContext().traceId).toBe('ab'.repeat(16));
});

it('a rebuild is a trace of its own, with what went through it', async () => {
  const exporter = new InMemorySpanExporter();
  tracing = await startedTracing(tracedConfig('nats://127.0.0.1:4222'), { exporter });
  const { tracer } = tracing;
  const observer = traceProjections({ tracer, prefix: 'jl' });
  const shop = createShopWorld();
  await shop.world.run(async () => {
    for (let i = 0; i < 3; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
    await rebuild({ ...shop, projection: users, observer });
  });
  await tracing.flush();
  const [span] = exporter.getFinishedSpans();
  expect([span?.name, span?.kind, span?.parentSpanContext]).toEqual([
    'rebuild users',
    SpanKind.INTERNAL,
    undefined,
  ]);
  expect(span?.attributes).toMatchObject({
    'jetledger.view': 'users',
    'jetledger.rebuild.position': 3,
    'jetledger.rebuild.head': 3,
    'jetledger.rebuild.bucket': 's_users_v1',
    'jetledger.rebuild.switched': true,
  });
});

it('while tracing is off a caller gets its own context back, and problems name its trace', async () => {
  await using service = await memoryService();
  const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
  const ask = (headers: Record<string, string>) =>
    service.app.inject({ method: 'GET', url: '/v1/orders/nothing', headers });
  const answer = await ask({ traceparent });
  expect([answer.headers.traceparent, answer.json().traceId]).toEqual([traceparent, 'ab'.repeat(16)]);
  expect((await ask({ traceparent: 'nonsense' })).headers.traceparent).toBeUndefined();
});
