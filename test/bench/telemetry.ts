import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import autocannon from 'autocannon';
import { must } from '../e2e/client.ts';
import { createDataDir, type Running, startCommand, stopService } from '../support/service-process.ts';
import { until } from '../support/until.ts';
import { WARM_UP_SECONDS } from './http-load.ts';
import { interleaved, ratioOf, rounded, secondsOf } from './measure.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const CONNECTIONS = 64;
const START_MS = 20_000;
const ORDER = { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }], payment: { token: 'tok_success' } };

/** Commands over HTTP and nothing else, so that what telemetry costs them is not hidden by other work. */
const API_ONLY = {
  JETLEDGER_ENV: 'test',
  JETLEDGER_SERVICE__ROLES: 'api',
};
const NO_METRICS = { JETLEDGER_METRICS__ENABLED: 'false' };

/** What telemetry costs the commands: each side is a service of its own, all of them running all the time. */
export const telemetryScenario: Scenario = {
  name: 'telemetry',
  title: 'Telemetry: `POST /v1/orders` over 64 connections',
  run: async (options) => {
    await using collector = await startCollector();
    const traced = (ratio: string) => ({
      JETLEDGER_TRACING__ENABLED: 'true',
      JETLEDGER_TRACING__ENDPOINT: collector.url,
      JETLEDGER_TRACING__SAMPLE_RATIO: ratio,
    });
    await using off = await startSide(NO_METRICS);
    await using metrics = await startSide({});
    await using tenth = await startSide(traced('0.1'));
    await using all = await startSide(traced('1'));
    const sides = { off, metrics, tenth, all };
    const rows = await measure(sides, options);
    options.print(`the collector took ${collector.exports()} exports`);
    return rows;
  },
};

type Sides = Readonly<Record<'off' | 'metrics' | 'tenth' | 'all', Side>>;

async function measure(sides: Sides, { rounds, scale, print }: BenchOptions): Promise<ResultRow[]> {
  const seconds = Math.max(1, 2 * secondsOf(scale));
  for (const side of Object.values(sides)) await side.perSecond(WARM_UP_SECONDS);
  const { off, metrics, tenth, all } = await interleaved(rounds, {
    off: () => sides.off.perSecond(seconds),
    metrics: () => sides.metrics.perSecond(seconds),
    tenth: () => sides.tenth.perSecond(seconds),
    all: () => sides.all.perSecond(seconds),
  });
  print(`off ${off.map(Math.round)}, 10 % ${tenth.map(Math.round)}, 100 % ${all.map(Math.round)}`);
  const row = (name: string, measured: number[], goal?: number): ResultRow => ({
    name,
    product: rounded(measured),
    baseline: rounded(off),
    ratio: ratioOf(measured, off),
    ...(goal !== undefined && { goal }),
    unit: 'requests/s',
  });
  return [
    row('14. 10 % of the requests traced, metrics on / telemetry off', tenth, 0.85),
    row('14. all requests traced, metrics on / telemetry off', all, 0.65),
    row('metrics on, nothing traced / telemetry off', metrics),
  ];
}

interface Side extends AsyncDisposable {
  perSecond(seconds: number): Promise<number>;
}

/** A service with its own server and data, and a product to order. */
async function startSide(variables: Readonly<Record<string, string>>): Promise<Side> {
  const data = await createDataDir();
  const port = await freePort();
  const own = { ...data.variables, JETLEDGER_HTTP__PORT: port };
  const service = await startCommand(['serve'], { ...own, ...API_ONLY, ...variables });
  const url = `http://127.0.0.1:${port}`;
  await answers(service, url);
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  return {
    perSecond: (seconds) => load(url, seconds),
    [Symbol.asyncDispose]: async () => {
      await stopService(service);
      await data[Symbol.asyncDispose]();
    },
  };
}

/** Without read models it is never ready, and takes orders all the same. */
async function answers(service: Running, url: string): Promise<void> {
  const alive = async () => !service.alive() || (await fetch(`${url}/health/live`)).ok;
  await until('the service answers', alive, START_MS);
  if (!service.alive()) throw new Error(`the service did not start:\n${service.output().stderr}`);
}

/** A port that nobody listens on; its line in the log, which would name it, is below the level. */
async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

async function load(url: string, seconds: number): Promise<number> {
  const result = await autocannon({
    url: `${url}/v1/orders`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(ORDER),
    connections: CONNECTIONS,
    duration: seconds,
  });
  if (result.non2xx + result.errors > 0) {
    throw new Error(`${result.non2xx} orders were refused and ${result.errors} requests failed`);
  }
  return result['2xx'] / result.duration;
}

/** A collector that takes everything and keeps nothing. */
async function startCollector(): Promise<AsyncDisposable & { readonly url: string; exports(): number }> {
  let exports = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      exports++;
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exports: () => exports,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
