import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { InMemorySpanExporter, type ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { expect } from 'vitest';
import { createEmailKey } from '../../src/app/email-key.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import type { Config } from '../../src/platform/config/schema.ts';
import { loadEmailKey } from '../../src/platform/key-files.ts';
import { createLogger, traceFields } from '../../src/platform/logger.ts';
import { connectNats } from '../../src/platform/nats-connection.ts';
import type { Tracing } from '../../src/platform/telemetry/tracing.ts';
import { applyTopology } from '../../src/platform/topology.ts';
import { type Service, startService } from '../../src/service/start.ts';
import { streamsOf } from '../../src/service/topology.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { type Answer, must } from '../e2e/client.ts';
import { startedTracing } from '../support/telemetry.ts';

/** Variables of the configuration. */
export type Variables = Readonly<Record<string, string>>;

/** A nats-server with the streams on it, tracing into memory, and as many services as a test starts. */
export interface TracedWorld extends AsyncDisposable {
  readonly server: TestServer;
  readonly tracing: Tracing;
  /** Every span that has ended so far. */
  spans(): Promise<readonly ReadableSpan[]>;
  /** The finished spans of a trace, once `holds` says that those are all. */
  trace(
    traceId: string,
    holds: (spans: readonly ReadableSpan[]) => boolean,
  ): Promise<readonly ReadableSpan[]>;
  start(variables?: Variables): Promise<TracedService>;
}

export interface TracedService extends Pick<Service, 'url' | 'stop'> {
  readonly config: Config;
  /** Lines of its log, parsed. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

const TRACE_WITHIN_MS = 15_000;

/** The configuration of a test's service. */
export function tracedConfig(url: string, variables: Variables = {}): Config {
  const env = {
    JETLEDGER_ENV: 'test',
    NATS_URL: url,
    JETLEDGER_USERS__EMAIL_KEY: 'c3'.repeat(32),
    JETLEDGER_TRACING__SAMPLE_RATIO: '1',
    JETLEDGER_LOGGING__LEVEL: 'debug',
    ...variables,
  };
  return loadConfig({ env, dir: configDir({}) });
}

/** Starts tracing for this process, so a test file has one at a time. */
export async function tracedWorld(variables: Variables = {}): Promise<TracedWorld> {
  const server = await startTestServer();
  const config = tracedConfig(server.url, variables);
  const connection = await connectNats(server.url, config.nats, 'test');
  const emailKey = createEmailKey(await loadEmailKey(config));
  await applyTopology({
    requests: { connection, apiPrefix: '$JS.API' },
    log: config.log,
    emailKeyCheck: emailKey.check,
    privacy: { encrypt: true, hasMasterKey: true },
    streams: streamsOf(config),
    monitorUrls: [server.monitorUrl],
  });
  await connection.close();
  const exporter = new InMemorySpanExporter();
  const tracing = await startedTracing(config, { exporter });
  const services: TracedService[] = [];
  const spans = async (): Promise<readonly ReadableSpan[]> => {
    await tracing.flush();
    return exporter.getFinishedSpans();
  };
  return {
    server,
    tracing,
    spans,
    trace: async (traceId, holds) => {
      let found: readonly ReadableSpan[] = [];
      const complete = async (): Promise<boolean> => {
        found = (await spans()).filter((span) => span.spanContext().traceId === traceId);
        return holds(found);
      };
      await until(`the trace ${traceId} is complete`, complete, TRACE_WITHIN_MS).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${treeOf(found)}`);
      });
      return found;
    },
    start: async (more = {}) => {
      const service = await startTraced(tracedConfig(server.url, { ...variables, ...more }), tracing);
      services.push(service);
      return service;
    },
    [Symbol.asyncDispose]: async () => {
      for (const service of services) await service.stop();
      await tracing.stop(1_000);
      await server.stop();
    },
  };
}

async function startTraced(config: Config, tracing: Tracing): Promise<TracedService> {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const logger = createLogger(config, { destination: { write }, mixin: traceFields });
  const { url, stop } = await startService(config, logger, { tracing });
  return { url, stop, config, lines };
}

/** A trace that a test begins as a client would. */
export function clientTrace(number: number): {
  readonly traceId: string;
  readonly headers: Record<string, string>;
} {
  const traceId = number.toString(16).padStart(32, 'a');
  return { traceId, headers: { traceparent: `00-${traceId}-00000000000000c1-01` } };
}

export interface Shop {
  readonly userId: string;
  readonly sku: string;
  /** Places an order inside a trace. */
  order(trace: ReturnType<typeof clientTrace>, more?: object): Promise<Answer>;
}

/** A user, a product and its stock, made outside of the traces that tests look at. */
export async function openShop(url: string, name: string, stock = 10): Promise<Shop> {
  const email = `${name}@example.com`;
  const user = await must(201, url, 'POST', '/v1/users', { email, name: `Ada ${name}` });
  const sku = `TEA-${name.toUpperCase()}`;
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku, name: 'Tea', price });
  await must(200, url, 'POST', `/v1/products/${sku}/stock`, { receiptId: `r-${name}`, quantity: stock });
  const userId = String(user.field('id'));
  return {
    userId,
    sku,
    order: ({ headers }, more = {}) => {
      const body = { userId, lines: [{ sku, quantity: 2 }], payment: { token: 'tok_success' }, ...more };
      return must(201, url, 'POST', '/v1/orders', body, headers);
    },
  };
}

/** What a span says, in short: what the trees below show of it. */
const SHOWN: readonly string[] = [
  'http.response.status_code',
  'jetledger.problem.code',
  'jetledger.outcome',
  'jetledger.rejection',
  'jetledger.attempt',
  'jetledger.reason',
];

/** Shown only when they say yes. */
const FLAGS: readonly string[] = ['jetledger.redriven', 'jetledger.redelivered', 'jetledger.repeated'];

/** Spans as an indented tree, children by name; a span whose parent is not among them is a root. */
export function treeOf(spans: readonly ReadableSpan[]): string {
  const ids = new Set(spans.map((span) => span.spanContext().spanId));
  const childrenOf = (id: string | undefined): ReadableSpan[] =>
    spans
      .filter(({ parentSpanContext: parent }) =>
        id === undefined ? parent === undefined || !ids.has(parent.spanId) : parent?.spanId === id,
      )
      .sort((a, b) => a.name.localeCompare(b.name) || attemptOf(a) - attemptOf(b) || earlier(a, b));
  const lines = (id: string | undefined, depth: number): string[] =>
    childrenOf(id).flatMap((span) => [
      `${'  '.repeat(depth)}${lineOf(span)}`,
      ...lines(span.spanContext().spanId, depth + 1),
    ]);
  return lines(undefined, 0).join('\n').replaceAll(UUID, '{id}');
}

const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

function attemptOf({ attributes }: ReadableSpan): number {
  return Number(attributes['jetledger.attempt'] ?? 0);
}

function earlier(a: ReadableSpan, b: ReadableSpan): number {
  return a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1];
}

function lineOf({ kind, name, attributes, status }: ReadableSpan): string {
  const said = SHOWN.flatMap((key) =>
    attributes[key] === undefined ? [] : [`${key.split('.').at(-1)}=${attributes[key]}`],
  );
  const flags = FLAGS.flatMap((key) => (attributes[key] === true ? [key.split('.').at(-1)] : []));
  const failed =
    status.code === SpanStatusCode.ERROR ? ['ERROR', ...(status.message ? [status.message] : [])] : [];
  return [SpanKind[kind], name, ...said, ...flags, ...failed].join(' ');
}

/**
 * Waits until a trace has as many spans as the tree, and compares.
 * @param mayBe spans without others below, which are there or not, as fast as the machine was
 */
export async function traced(
  world: TracedWorld,
  { traceId }: { readonly traceId: string },
  tree: string,
  mayBe: (span: ReadableSpan) => boolean = () => false,
): Promise<readonly ReadableSpan[]> {
  const expected = tree.trim();
  const certain = (found: readonly ReadableSpan[]) => found.filter((span) => !mayBe(span));
  const enough = (found: readonly ReadableSpan[]) => certain(found).length >= expected.split('\n').length;
  const spans = certain(await world.trace(traceId, enough));
  expect(treeOf(spans)).toBe(expected);
  return spans;
}

/** The one span of this name. */
export function only(spans: readonly ReadableSpan[], name: string): ReadableSpan {
  const found = spans.filter((span) => span.name === name);
  if (found.length !== 1 || found[0] === undefined)
    throw new Error(`${found.length} spans are called ${name}`);
  return found[0];
}

/** How many spans have this name, and this outcome where one is given. */
export function count(spans: readonly ReadableSpan[], name: string, outcome?: string): number {
  return spans.filter(
    (span) =>
      span.name === name && (outcome === undefined || span.attributes['jetledger.outcome'] === outcome),
  ).length;
}
