import { describe, expect, it } from 'vitest';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { type CursorState, floorOf } from '../../src/processes/engine/cursor.ts';
import { bucketNames } from '../../src/processes/engine/rows.ts';
import type { LedgerEntry } from '../../src/processes/payment/adapters/ledger.ts';
import { createSimulatedProvider } from '../../src/processes/payment/adapters/simulated.ts';
import { createMemoryBucket } from '../../src/testing/memory-bucket.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { paymentApi, startHttpServer } from '../contract/payment-server.ts';
import { type Answer, must } from '../e2e/client.ts';
import { ledgerOf, parkedOn } from '../soak/report.ts';
import { runSoak } from '../soak/run.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { inspectOrders } from '../support/order-invariants.ts';
import { createDataDir, type DataDir, startService, stopService } from '../support/service-process.ts';

const TIMEOUT_MS = 150_000;
const WAIT_MS = 60_000;
const NOTHING_WRONG = { open: [], violations: [] };

/** A server with the streams on it, and the variables of a service there. */
async function topology(server: TestServer, data: DataDir, more: Readonly<Record<string, string>> = {}) {
  const variables = {
    ...data.variables,
    ...more,
    NATS_URL: server.url,
    JETLEDGER_LOG__DURABILITY: 'none',
    JETLEDGER_USERS__EMAIL_KEY: 'c3'.repeat(32),
  };
  await applyTopology(variables);
  return variables;
}

interface Shop {
  readonly userId: string;
  order(token: string): Promise<string>;
  status(orderId: string): Promise<Answer>;
}

async function openShop(url: string, name: string): Promise<Shop> {
  const user = await must(201, url, 'POST', '/v1/users', { email: `${name}@example.com`, name });
  const userId = String(user.field('id'));
  const sku = `TEA-${name.toUpperCase()}`;
  const price = { amountMinor: 333, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku, name: 'Tea', price });
  await must(200, url, 'POST', `/v1/products/${sku}/stock`, { receiptId: 'r1', quantity: 100 });
  const lines = [{ sku, quantity: 3 }];
  return {
    userId,
    order: async (token) =>
      String((await must(201, url, 'POST', '/v1/orders', { userId, lines, payment: { token } })).field('id')),
    status: (orderId) => must(200, url, 'GET', `/v1/orders/${orderId}`),
  };
}

function reaches(shop: Shop, orderId: string, status: string): Promise<void> {
  const is = async () => (await shop.status(orderId)).field('status') === status;
  return until(`${orderId} is ${status}`, is, WAIT_MS);
}

async function comesToRest(truth: LogHandle, ledger: () => AsyncIterable<LedgerEntry>): Promise<void> {
  const rests = async () => {
    const { open, violations } = await inspectOrders(truth.log, ledger());
    return open.length + violations.length === 0;
  };
  await until('the books agree', rests, WAIT_MS).catch(() => undefined);
  expect(await inspectOrders(truth.log, ledger())).toMatchObject(NOTHING_WRONG);
  expect(await parkedOn(truth)).toEqual([]);
}

const cursorsOf = ({ requests }: LogHandle) =>
  createNatsBuckets({
    requests,
    runtime: systemRuntime,
    replicas: 1,
    timeoutMs: 5_000,
    announceLosses: false,
  }).create(bucketNames(TEST_LOG.prefix).cursors, { durable: true });

/** Where every group of every consumer stands, by its key. */
async function placesOf(truth: LogHandle): Promise<Map<string, number>> {
  const floors = new Map<string, number>();
  for await (const { key, value } of (await cursorsOf(truth)).rows())
    floors.set(key, numberOf(floorOf(JSON.parse(Buffer.from(value).toString('utf8')) as CursorState)));
  return floors;
}

/** As if nothing had ever been handled: every event is delivered again. */
async function rewind(truth: LogHandle): Promise<void> {
  const cursors = await cursorsOf(truth);
  for await (const { key, value, revision } of cursors.rows()) {
    const place = { ...JSON.parse(Buffer.from(value).toString('utf8')), high: 0, open: [] };
    const write = { key, value: Buffer.from(JSON.stringify(place)), expectedRevision: revision };
    expect(await cursors.write(write)).toMatchObject({ written: true });
  }
}

async function entriesOf(ledger: () => AsyncIterable<LedgerEntry>): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  for await (const entry of ledger()) entries.push(entry);
  return entries.sort((a, b) => a.key.localeCompare(b.key));
}

describe.concurrent('the order process under faults', () => {
  it(
    'brings every order to its end, to the cent, when an instance and nats-server are killed on the way',
    async () => {
      const seed = 4_711;
      const report = await runSoak({
        orders: 80,
        instances: 2,
        seed,
        faults: 'each',
        paymentDeadlineMs: 6_000,
        maxOpen: 60,
        restWithinMs: WAIT_MS,
      });
      expect(report).toMatchObject({ stuck: [], violations: [], parked: [], placed: 80 });
      expect([...report.complaints]).toEqual([]);
      expect([...report.faults]).toEqual([
        ['kill-instance', 1],
        ['kill-nats', 1],
      ]);
    },
    TIMEOUT_MS,
  );

  it(
    'ends what is not paid in time or whose customer leaves, and changes nothing when it sees every event again',
    async () => {
      await using server = await startTestServer();
      await using data = await createDataDir();
      const due = { JETLEDGER_PROCESSES__PAYMENT_DEADLINE_MS: '8000' };
      const variables = await topology(server, data, due);
      await using truth = await openTestLog(server.url);
      const ledger = await ledgerOf(truth);
      {
        await using service = await startService(variables);
        const [stays, leaves] = [await openShop(service.url, 'ada'), await openShop(service.url, 'bob')];
        const [unpaid, paid, open] = [
          await stays.order('tok_never'),
          await stays.order('tok_success'),
          await leaves.order('tok_success'),
        ];
        await Promise.all([reaches(stays, paid, 'confirmed'), reaches(leaves, open, 'confirmed')]);
        await must(200, service.url, 'POST', `/v1/users/${leaves.userId}/deactivate`, {});
        await reaches(leaves, open, 'cancelled');
        await reaches(stays, unpaid, 'rejected');
        expect((await stays.status(unpaid)).body).toMatchObject({
          step: 'payment',
          reason: { code: 'payment/expired' },
        });
        await comesToRest(truth, ledger);
        expect((await stays.status(paid)).field('status')).toBe('confirmed');
        await stopService(service);
      }
      const [head, entries, before] = [
        await truth.log.head(),
        await entriesOf(ledger),
        await placesOf(truth),
      ];
      expect([...before.values()].filter((low) => low > 0)).not.toEqual([]);
      await rewind(truth);
      {
        await using service = await startService(variables);
        const again = async () => {
          const now = await placesOf(truth);
          return [...before].every(([key, low]) => (now.get(key) ?? 0) >= low);
        };
        await until('every event was seen again', again, WAIT_MS);
        await stopService(service);
      }
      expect(await truth.log.head()).toBe(head);
      expect(await entriesOf(ledger)).toEqual(entries);
      await comesToRest(truth, ledger);
    },
    TIMEOUT_MS,
  );

  it(
    'lets orders wait while the payment provider is down, and finishes them when it is back',
    async () => {
      const provider = createSimulatedProvider({
        bucket: createMemoryBucket('provider'),
        runtime: systemRuntime,
      });
      const apiKey = 'provider-key';
      // Only its port is wanted: nobody listens there until it is back.
      const first = await startHttpServer(paymentApi(provider, apiKey));
      await first.stop();
      await using server = await startTestServer();
      await using data = await createDataDir();
      const variables = await topology(server, data, {
        JETLEDGER_PAYMENT__ADAPTER: 'http',
        JETLEDGER_PAYMENT__URL: first.url,
        JETLEDGER_PAYMENT__API_KEY: apiKey,
        JETLEDGER_PROCESSES__RETRY_LONGEST_MS: '1000',
      });
      await using truth = await openTestLog(server.url);
      await using service = await startService(variables);
      const shop = await openShop(service.url, 'eve');
      const orders = [
        await shop.order('tok_success'),
        await shop.order('tok_fail_1'),
        await shop.order('tok_declined'),
      ];
      const { output } = service;
      await until(
        'nothing is sent to it any more',
        () => output().stdout.includes('circuit breaker'),
        WAIT_MS,
      );
      for (const id of orders) {
        const waits = async () => (await shop.status(id)).field('step') === 'payment';
        await until(`${id} waits for its payment`, waits, WAIT_MS);
      }
      await using _back = await startHttpServer(
        paymentApi(provider, apiKey),
        Number(new URL(first.url).port),
      );
      const ends = ['confirmed', 'confirmed', 'rejected'];
      await Promise.all(orders.map((id, i) => reaches(shop, id, ends[i] ?? '')));
      await comesToRest(truth, provider.ledger);
    },
    TIMEOUT_MS,
  );
});
