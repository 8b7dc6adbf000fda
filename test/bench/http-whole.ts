import { fromBinary } from '@bufbuild/protobuf';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { OrderConfirmedSchema } from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { must } from '../e2e/client.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import type { BenchRequest } from './http-load.ts';
import { DURABLE, prepareServer, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { cpuOf, rounded, secondsOf } from './measure.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const PATIENCE_MS = 30_000;

/** Whole orders: placed over HTTP, validated, reserved, paid, confirmed, by one process with all roles. */
export const wholeOrderScenario: Scenario = {
  name: 'whole-order',
  title:
    'A whole order of three lines, from the request to `OrderConfirmed` in the log, one process with all roles',
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
  const place = async (callers: number, seconds: number): Promise<Round> => {
    const spent = await spentOn(server, service.pid);
    return { ...(await run(service.url, orders, confirmed, callers, seconds)), ...(await spent()) };
  };
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
      row('CPU of the service, an order', (round) => each(round, round.serviceUs), 'us'),
      row('CPU of the server, an order', (round) => each(round, round.serverUs), 'us'),
      row('messages to the server, an order', (round) => each(round, round.messages), 'messages'),
      row('commits, an order', (round) => each(round, round.commits), 'commits'),
    );
  }
  return rows;
}

const each = ({ orders }: Round, amount: number): number => amount / orders;

interface Round extends Timed, Spent {}

interface Timed {
  readonly orders: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** What a round took, of everything that went on meanwhile. */
interface Spent {
  readonly serviceUs: number;
  readonly serverUs: number;
  /** That the server received, those of the reader of this bench and of heartbeats included. */
  readonly messages: number;
  readonly commits: number;
}

/** Begins to count. @returns what ends it */
async function spentOn({ monitorUrl, pid }: TestServer, service: number): Promise<() => Promise<Spent>> {
  const look = async (): Promise<Spent> => {
    const ask = async (path: string): Promise<unknown> => (await fetch(`${monitorUrl}/${path}`)).json();
    const [varz, jsz] = [
      (await ask('varz')) as { in_msgs: number },
      (await ask('jsz?streams=true')) as {
        account_details: { stream_detail: { name: string; state: { messages: number } }[] }[];
      },
    ];
    const streams = jsz.account_details.flatMap(({ stream_detail }) => stream_detail);
    const commits = streams.find(({ name }) => name === TEST_LOG.stream)?.state.messages ?? 0;
    const [serviceUs, serverUs] = [await cpuOf(service), await cpuOf(pid())];
    return { serviceUs, serverUs, messages: varz.in_msgs, commits };
  };
  const before = await look();
  return async () => {
    const after = await look();
    return {
      serviceUs: after.serviceUs - before.serviceUs,
      serverUs: after.serverUs - before.serverUs,
      messages: after.messages - before.messages,
      commits: after.commits - before.commits,
    };
  };
}

/** Callers that each place an order, wait until it is confirmed, and place the next one. */
async function run(
  url: string,
  orders: readonly BenchRequest[],
  confirmed: Confirmations,
  callers: number,
  seconds: number,
): Promise<Timed> {
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
  return { orders: took.length, perSecond: took.length / spent, p50: share(0.5), p99: share(0.99) };
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
