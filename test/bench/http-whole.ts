import { fromBinary } from '@bufbuild/protobuf';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { OrderConfirmedSchema } from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { must } from '../e2e/client.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import type { BenchRequest } from './http-load.ts';
import { DURABLE, prepareServer, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { rounded, secondsOf } from './measure.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const PATIENCE_MS = 30_000;

/** Whole orders: placed over HTTP, validated, reserved, paid, confirmed, by one process with all roles. */
export const wholeOrderScenario: Scenario = {
  name: 'whole-order',
  title: 'A whole order, from the request to `OrderConfirmed` in the log, one process with all roles',
  run: async (options) => [
    ...(await measureOn('default sync', false, options)),
    ...(await measureOn('`sync_interval: always`', true, options)),
  ],
};

async function measureOn(what: string, syncAlways: boolean, options: BenchOptions): Promise<ResultRow[]> {
  await using server = await startTestServer({ syncAlways });
  await prepareServer(server.url);
  await using service = await startServiceOn(
    server.url,
    'api,projections,processes',
    syncAlways ? DURABLE : {},
  );
  const orders = await openBenchShop(service.url);
  await using confirmed = await watchConfirmations(server.url);
  const place = (callers: number, seconds: number) => run(service.url, orders, confirmed, callers, seconds);
  const seconds = 2 * secondsOf(options.scale);
  const rows: ResultRow[] = [];
  await place(64, seconds);
  for (const callers of [1, 64]) {
    const rounds: Round[] = [];
    for (let round = 0; round < options.rounds; round++) rounds.push(await place(callers, seconds));
    options.print(
      `${what}, ${callers} at once: ${rounds.map(({ perSecond }) => Math.round(perSecond))} orders/s`,
    );
    const row = (name: string, pick: (round: Round) => number, unit: string): ResultRow => ({
      name: `13. ${what}, ${callers} at once: ${name}`,
      product: rounded(rounds.map(pick)),
      unit,
    });
    rows.push(
      row('orders confirmed', ({ perSecond }) => perSecond, 'orders/s'),
      row('from request to confirmed, p50', ({ p50 }) => p50, 'ms'),
      row('from request to confirmed, p99', ({ p99 }) => p99, 'ms'),
    );
  }
  return rows;
}

interface Round {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Callers that each place an order, wait until it is confirmed, and place the next one. */
async function run(
  url: string,
  orders: readonly BenchRequest[],
  confirmed: Confirmations,
  callers: number,
  seconds: number,
): Promise<Round> {
  const start = performance.now();
  const took: number[] = [];
  let next = 0;
  const call = async (): Promise<void> => {
    while (performance.now() - start < seconds * 1_000) {
      const began = performance.now();
      const body = orders[next++ % orders.length]?.body;
      const placed = await must(201, url, 'POST', '/v1/orders', body);
      took.push((await confirmed.at(String(placed.field('id')))) - began);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  const spent = (performance.now() - start) / 1_000;
  const sorted = took.sort((a, b) => a - b);
  const share = (part: number) => sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN;
  return { perSecond: took.length / spent, p50: share(0.5), p99: share(0.99) };
}

interface Confirmations extends AsyncDisposable {
  /** When the log's reader saw that the order is confirmed, on this process's clock. @throws Error after half a minute */
  at(orderId: string): Promise<number>;
}

/** Reads the log's orders on a connection of its own. */
async function watchConfirmations(nats: string): Promise<Confirmations> {
  const connection = await connect({ servers: nats });
  const seen = new Map<string, number>();
  const waiting = new Map<string, (at: number) => void>();
  const orders = { filter_subjects: [`${TEST_LOG.prefix}.order.>`] };
  const consumer = await jetstream(connection).consumers.get(TEST_LOG.stream, orders);
  const messages = await consumer.consume({
    max_messages: 1_000,
    callback: (message) => {
      const { decisions } = fromBinary(CommitSchema, message.data);
      const isEnd = decisions.some(({ events }) =>
        events.some(({ type }) => type === OrderConfirmedSchema.name),
      );
      if (!isEnd) return;
      const id = message.subject.slice(message.subject.lastIndexOf('.') + 1);
      const resolve = waiting.get(id);
      if (resolve === undefined) seen.set(id, performance.now());
      else resolve(performance.now());
      waiting.delete(id);
    },
  });
  return {
    at: (id) => {
      const at = seen.get(id);
      seen.delete(id);
      if (at !== undefined) return Promise.resolve(at);
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`the order ${id} was not confirmed`)), PATIENCE_MS);
        waiting.set(id, (time) => {
          clearTimeout(late);
          resolve(time);
        });
      });
    },
    [Symbol.asyncDispose]: async () => {
      await messages.close();
      await connection.close();
    },
  };
}
