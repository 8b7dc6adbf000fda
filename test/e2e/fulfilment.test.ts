import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { makeNew } from '../../src/generator/new.ts';
import { orders } from '../../src/processes/contracts/orders.ts';
import { startEngine } from '../../src/processes/engine/engine.ts';
import {
  type AnyContract,
  createPublisher,
  openPublicStream,
  publicEventOf,
  publicStreamConfig,
  publicStreamName,
} from '../../src/processes/engine/index.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { bucketsOf } from '../support/echo.ts';
import { type LogHandle, openTestLog } from '../support/nats-log.ts';
import { newerOrders } from '../support/newer-orders.ts';
import {
  type Running,
  runCommand,
  startProgram,
  startService,
  type Variables,
} from '../support/service-process.ts';
import { linkPackages } from './add-an-aggregate.ts';
import { must } from './client.ts';
import { PAYMENT } from './shop.ts';
import { freePort } from './tutorial.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CONTRACT = 'proto/jetledger/public/orders/v1/orders.proto';
const BOUND_MS = 240_000;
const SHIPPED_MS = 90_000;

let folder: string;
let service: string;
let server: TestServer;
let truth: LogHandle;
let jsm: JetStreamManager;
let shop: Running;
let url = '';
let variables: Variables;
const running: Running[] = [];

function run(program: string, ...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: service,
    encoding: 'utf8',
    timeout: BOUND_MS,
  });
  expect(status, stdout + stderr).toBe(0);
}

/** As examples/fulfilment/README.md says. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-fulfilment-'));
  service = join(folder, 'fulfilment');
  makeNew(folder, { kind: 'service', name: 'fulfilment', aggregate: 'shipment' }, () => undefined);
  await cp(join(ROOT, 'examples/fulfilment/src'), join(service, 'src'), { recursive: true });
  await mkdir(dirname(join(service, CONTRACT)), { recursive: true });
  await cp(join(ROOT, CONTRACT), join(service, CONTRACT));
  await linkPackages(service);
  const kernel = join(service, 'node_modules/jetledger');
  await mkdir(kernel);
  run('tar', 'xzf', 'vendor/jetledger.tgz', '-C', kernel, '--strip-components=1');
  run('npm', 'run', '--silent', 'build');
}, BOUND_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  server = await startTestServer();
  const port = await freePort();
  variables = {
    JETLEDGER_ENV: 'test',
    JETLEDGER_LOGGING__LEVEL: 'info',
    JETLEDGER_HTTP__PORT: String(port),
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    NATS_URL: server.url,
    JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl,
  };
}, BOUND_MS);
afterEach(async () => {
  for (const one of running.splice(0)) await one[Symbol.asyncDispose]();
  await truth.close();
  await server.stop();
});

async function startShop(more: Variables = {}): Promise<void> {
  variables = { ...variables, ...more };
  const applied = await runCommand(['topology', 'apply'], variables);
  expect(applied.code, applied.stderr).toBe(0);
  const started = await startService(variables);
  ({ url } = started);
  shop = started;
  running.push(shop);
}

function startFulfilment(): Running {
  const started = startProgram([join(service, 'dist/main.js')], {
    ...{ NATS_URL: server.url, NATS_MONITOR_URLS: server.monitorUrl, NODE_ENV: 'development', PORT: '0' },
    ...{ SHOP_URL: url, PACKING_MS: '1000', LOG_LEVEL: 'warn' },
  });
  running.push(started);
  return started;
}

/** A user and a product with stock; each call of what comes back places so many orders. */
async function openShop(): Promise<(count: number) => Promise<string[]>> {
  const user = await must(201, url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' });
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 1_000 });
  const userId = String(user.field('id'));
  const place = async (): Promise<string> => {
    const order = { userId, lines: [{ sku: 'TEA', quantity: 1 }], payment: PAYMENT };
    return String((await must(201, url, 'POST', '/v1/orders', order)).field('id'));
  };
  return async (count) => Promise.all(Array.from({ length: count }, place));
}

/** Which public events of a contract there are of each order, by name. */
async function published(contract: AnyContract): Promise<ReadonlyMap<string, string[]>> {
  const name = publicStreamName('jl', contract);
  const { messages } = (await jsm.streams.info(name)).state;
  const found = new Map<string, string[]>();
  if (messages === 0) return found;
  const consumer = await jetstream(truth.connection).consumers.get(name);
  let left = messages;
  for await (const { headers, data } of await consumer.consume({ max_messages: 500 })) {
    const event = publicEventOf({ headers: Object.fromEntries(headers ?? []), data }, contract.events);
    if (event !== undefined)
      found.set(event.subject, [...(found.get(event.subject) ?? []), event.type.split('.').at(-1) ?? '']);
    if (--left === 0) break;
  }
  return found;
}

async function untilShipped(contract: AnyContract, ids: readonly string[]): Promise<void> {
  const isShipped = async () => {
    const told = await published(contract);
    return ids.every((id) => told.get(id)?.includes('OrderShipped') === true);
  };
  await until('every order is shipped', isShipped, SHIPPED_MS);
}

/** The second service's own log: each order once, from its confirmation to its shipment. */
async function checkShipments(ids: readonly string[]): Promise<void> {
  const own = await openTestLog(server.url, { stream: 'fulfilment', prefix: 'fulfilment' });
  const closed = async (): Promise<boolean> => {
    const histories = await Promise.all(ids.map((id) => typesOf(own, id)));
    return histories.every((types) => types.includes('ShipmentClosed'));
  };
  await until('every shipment is closed', closed, SHIPPED_MS);
  for (const id of ids)
    expect([id, ...(await typesOf(own, id))]).toEqual([id, 'ShipmentOpened', 'ShipmentClosed']);
  await own.close();
}

async function typesOf({ log }: LogHandle, id: string): Promise<string[]> {
  const { commits } = await log.read({ category: 'shipment', id }, { after: 0, confirm: true });
  return commits.flatMap(({ decisions }) =>
    decisions.flatMap(({ events }) => events.map(({ type }) => type)),
  );
}

describe('the second service, two processes of it', () => {
  it(
    'ships each confirmed order once, however it and the shop are killed meanwhile',
    async () => {
      await startShop({ JETLEDGER_PUBLIC_EVENTS__CONTEXTS: 'orders=forever' });
      truth = await openTestLog(server.url);
      jsm = await jetstreamManager(truth.connection);
      const place = await openShop();
      const ids = await place(8);
      const first = startFulfilment();
      startFulfilment();
      await untilShipped(orders, ids.slice(0, 2));
      first.signal('SIGKILL');
      ids.push(...(await place(8)));
      shop.signal('SIGKILL');
      await shop.ended();
      startFulfilment();
      await startShop();
      ids.push(...(await place(4)));
      await untilShipped(orders, ids);
      await checkShipments(ids);
      const told = await published(orders);
      expect(told.size).toBe(ids.length);
      for (const id of ids)
        expect([id, ...(told.get(id) ?? [])]).toEqual([
          id,
          'OrderPlaced',
          'OrderPaid',
          'OrderConfirmed',
          'OrderShipped',
        ]);
    },
    BOUND_MS,
  );

  it(
    'goes on beside a build that tells more, and publishes the next version, too',
    async () => {
      await startShop();
      truth = await openTestLog(server.url);
      jsm = await jetstreamManager(truth.connection);
      const newer = newerOrders();
      const versions = [newer, { ...newer, version: 2 }];
      for (const contract of versions)
        await jsm.streams.add(publicStreamConfig(contract, { prefix: 'jl', replicas: 1, keepMs: undefined }));
      const { log, requests } = truth;
      const engine = startEngine({
        ...{ log, buckets: bucketsOf(truth), runtime: systemRuntime, settings: { prefix: 'newer' } },
        consumers: versions.map((contract) => {
          const stream = openPublicStream({
            requests,
            prefix: 'jl',
            contract,
            format: 'protobuf',
            timeoutMs: 2_000,
          });
          return createPublisher({ contract, log, stream, source: '/newer' });
        }),
      });
      const place = await openShop();
      const ids = await place(6);
      for (let process = 1; process <= 2; process++) startFulfilment();
      await untilShipped(newer, ids);
      await checkShipments(ids);
      const all = ['OrderPlaced', 'OrderChecked', 'OrderPaid', 'OrderConfirmed', 'OrderShipped'];
      for (const contract of versions) {
        const told = await published(contract);
        for (const id of ids) expect([...(told.get(id) ?? [])].sort()).toEqual([...all].sort());
      }
      await engine.stop();
    },
    BOUND_MS,
  );
});
