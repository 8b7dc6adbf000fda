import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import { product } from '../../src/domain/product.ts';
import { EventStoreError } from '../../src/eventstore/errors.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { openNatsLog } from '../../src/eventstore/nats/log-stream.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime as runtime } from '../../src/eventstore/runtime.ts';
import { bucketName } from '../../src/projections/engine/aliases.ts';
import { type Page, type ReadRow, ViewBehind } from '../../src/projections/engine/reading.ts';
import { startProjections } from '../../src/projections/engine/start.ts';
import { views as allProjections } from '../../src/service/shop.ts';
import { startTestCluster, type TestCluster } from '../../src/testing/nats-cluster.ts';
import { until } from '../../src/testing/until.ts';
import { createPrng } from '../../src/testing/world.ts';
import { LIVENESS } from '../audit/open-log.ts';
import { createLogStream, TEST_LOG } from '../support/nats-log.ts';
import { createReadModels, type ReadModels } from '../support/read-models.ts';

const WRITERS = 6;
const WAIT_MS = 1_000;
const SETTINGS = { prefix: TEST_LOG.prefix, checkpointMs: 50 };

/** What came of the reads with a token. */
interface Tally {
  fresh: number;
  behind: number;
  away: number;
  /** Commands without a token. */
  refused: number;
  readonly stale: string[];
}

/** One process with a connection of its own; `views` lets it keep the read models. */
async function startProcess(cluster: TestCluster, views: boolean) {
  const connection = await connect({
    servers: [...cluster.urls],
    ignoreClusterUpdates: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    ...LIVENESS,
  });
  const requests = createRequests(connection);
  const bounds = { attemptTimeoutMs: 700, deadlineMs: 1_500 };
  const { log } = await openNatsLog({ requests, runtime, ...TEST_LOG, ...bounds });
  const bucketsOf = (announceLosses: boolean) =>
    createNatsBuckets({ requests, runtime, replicas: 3, timeoutMs: 1_000, announceLosses });
  const running = views
    ? startProjections({
        log,
        buckets: bucketsOf(true),
        projections: allProjections,
        runtime,
        settings: SETTINGS,
      })
    : undefined;
  const reads = createReadModels({ log, buckets: bucketsOf(false), runtime, settings: SETTINGS });
  return {
    log,
    reads,
    [Symbol.asyncDispose]: async () => {
      reads.stop();
      await running?.stop();
      requests.close();
      await connection.close();
    },
  };
}

const jsonOf = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown;
const priceOf = (row: ReadRow | undefined) =>
  row === undefined ? 0 : (jsonOf(row.json) as { price: { amountMinor: number } }).price.amountMinor;
const idsOf = ({ items }: Page) => items.map((item) => (jsonOf(item) as { id: string }).id);

/** Reads as of a position; an answer that does not show it is stale, no answer is none. */
async function judged<T>(
  tally: Tally,
  what: string,
  read: () => Promise<T>,
  shows: (answer: T) => boolean,
): Promise<void> {
  try {
    if (shows(await read())) tally.fresh++;
    else tally.stale.push(what);
  } catch (error) {
    if (error instanceof ViewBehind) tally.behind++;
    else if (error instanceof EventStoreError && error.retryable) tally.away++;
    else throw error;
  }
}

type Handler = ReturnType<typeof createHandler>;

const meta = () => ({ commandId: runtime.id(), actor: 'test' });

/** The position of an accepted command: what its client gets as token. */
function tokenOf({ outcome, version }: { outcome: string; version?: number }): number {
  if (outcome !== 'accepted' || version === undefined) throw new Error(`a command was ${outcome}`);
  return version;
}

async function changePrice(handler: Handler, sku: string, price: number): Promise<number> {
  const priced = { priceMinor: BigInt(price), currency: 'EUR', at: runtime.now() };
  const command = price === 1 ? { type: 'list' as const, sku, name: sku } : { type: 'change' as const };
  return tokenOf(await handler.execute(product, sku, { ...command, ...priced }, meta()));
}

async function placeOrder(handler: Handler, sku: string, userId: string, orderId: string): Promise<number> {
  const at = runtime.now();
  const lines = [{ sku, name: sku, quantity: 1, unitPriceMinor: 1n, currency: 'EUR' }];
  const payment = { paymentToken: 'tok', paymentDueAt: at + 60_000 };
  const command = { type: 'place' as const, orderId, userId, lines, ...payment, at };
  return tokenOf(await handler.execute(order, orderId, command, meta()));
}

/** Changes a price and places an order, again and again, and looks at both in any process as soon as they are accepted. */
async function writeAndRead(
  n: number,
  handler: Handler,
  readers: readonly ReadModels[],
  tally: Tally,
  stopped: () => boolean,
): Promise<void> {
  const random = createPrng(n);
  const [sku, userId] = [`SKU-${n}`, `user-${n}`];
  const reader = () => readers[Math.floor(random() * readers.length)] as ReadModels;
  let price = 1;
  await changePrice(handler, sku, price);
  while (!stopped()) {
    try {
      const wanted = ++price;
      const changed = await changePrice(handler, sku, wanted);
      const product = { minPosition: positionOf(changed), waitMs: WAIT_MS };
      const shown = () => reader().product(sku, product);
      await judged(tally, `${sku} at ${changed}`, shown, (row) => priceOf(row) >= wanted);
      const orderId = runtime.id();
      const minPosition = await placeOrder(handler, sku, userId, orderId);
      const listed = () =>
        reader().ordersOfUser(userId, { limit: 5, minPosition: positionOf(minPosition), waitMs: WAIT_MS });
      await judged(tally, `${userId} at ${minPosition}`, listed, (page) => idsOf(page)[0] === orderId);
    } catch (error) {
      if (!(error instanceof EventStoreError && error.retryable)) throw error;
      tally.refused++;
      await delay(20);
    }
  }
}

it('whatever happens to the cluster, no read shows a state older than its token', {
  timeout: 150_000,
}, async () => {
  await using cluster = await startTestCluster();
  await createLogStream(cluster.urls[0] ?? '', TEST_LOG, 3);
  await cluster.settled([TEST_LOG.stream]);
  await using keeper = await startProcess(cluster, true);
  await using other = await startProcess(cluster, false);
  const handler = createHandler({ log: keeper.log, runtime });
  const tally: Tally = { fresh: 0, behind: 0, away: 0, refused: 0, stale: [] };
  let stopped = false;
  const readers = [keeper.reads, other.reads];
  const working = Promise.all(
    Array.from({ length: WRITERS }, (_, n) => writeAndRead(n, handler, readers, tally, () => stopped)),
  );
  const freshReads = (more: number) => {
    const wanted = tally.fresh + more;
    return until(`${more} fresh reads`, () => tally.fresh >= wanted, 45_000);
  };

  await freshReads(50);
  await cluster.stepDown(TEST_LOG.stream);
  for (const view of ['products', 'orders_by_user'])
    await cluster.stepDown(`KV_${bucketName(TEST_LOG.prefix, view, 1)}`);
  await freshReads(50);
  const victim = await cluster.leaderOf(TEST_LOG.stream);
  await victim?.kill9();
  await freshReads(50);
  await victim?.restart();
  await freshReads(50);

  stopped = true;
  await working;
  await handler.close();
  expect(tally.stale).toEqual([]);
  console.info(`read your writes: ${JSON.stringify(tally)}`);
});
