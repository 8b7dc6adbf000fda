import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
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
import { builtFulfilment, FULFILMENT_LOG, startFulfilment } from '../support/fulfilment.ts';
import { type LogHandle, openTestLog } from '../support/nats-log.ts';
import { newerOrders } from '../support/newer-orders.ts';
import { type Running, runCommand, startService, type Variables } from '../support/service-process.ts';
import { must } from './client.ts';
import { PAYMENT } from './shop.ts';
import { freePort } from './tutorial.ts';

const BOUND_MS = 240_000;
const SHIPPED_MS = 90_000;

let program: string;
let server: TestServer;
let truth: LogHandle;
let jsm: JetStreamManager;
let shop: Running;
let url = '';
let variables: Variables;
const running: Running[] = [];

beforeAll(async () => {
  program = await builtFulfilment();
}, BOUND_MS);

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

function startSecond(): Running {
  const started = startFulfilment(program, server, { shopUrl: url, packingMs: 1_000 });
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
  const own = await openTestLog(server.url, FULFILMENT_LOG);
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
      const first = startSecond();
      startSecond();
      await untilShipped(orders, ids.slice(0, 2));
      first.signal('SIGKILL');
      ids.push(...(await place(8)));
      shop.signal('SIGKILL');
      await shop.ended();
      startSecond();
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
      for (let process = 1; process <= 2; process++) startSecond();
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
