import { fromBinary } from '@bufbuild/protobuf';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { OrderConfirmedSchema } from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { must } from '../e2e/client.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { type BenchService, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { cpuOf } from './measure.ts';

const PATIENCE_MS = 30_000;

/** A server that is counted. */
interface CountedServer {
  readonly url: string;
  readonly monitorUrl: string;
  readonly pid: () => number;
}

/** How orders come in. */
export type Pace = { readonly callers: number } | { readonly perSecond: number };

/** What came of a measurement, of everything that went on meanwhile. */
export interface Measured {
  readonly orders: number;
  readonly seconds: number;
  /** Milliseconds from the request to `OrderConfirmed` in the log. */
  readonly p50: number;
  readonly p99: number;
  readonly serviceUs: number;
  readonly serverUs: number;
  /** That the servers received, those of this bench's reader, of heartbeats and from each other included. */
  readonly messages: number;
  readonly commits: number;
  /** Messages stored where each is synced if the server syncs at all. */
  readonly synced: number;
}

/** Services that run the shop on servers. */
export interface Shop extends AsyncDisposable {
  order(pace: Pace, seconds: number): Promise<Measured>;
  /** Nothing is ordered. */
  idle(seconds: number): Promise<Measured>;
}

/**
 * Starts a service for each set of roles, the first one answering requests, and makes users and products.
 * @param servers one, or all of a cluster, on which the topology was applied
 * @param at where the services find the first server; itself unless given
 */
export async function openShop(
  servers: readonly CountedServer[],
  roles: readonly [string, ...string[]],
  variables: Readonly<Record<string, string>>,
  at?: string,
): Promise<Shop> {
  const [server] = servers;
  if (server === undefined) throw new RangeError('a shop needs a server');
  const opened: AsyncDisposable[] = [];
  const start = async (set: string): Promise<BenchService> => {
    const service = await startServiceOn(at ?? server.url, set, variables);
    opened.unshift(service);
    return service;
  };
  const [first, ...others] = roles;
  const api = await start(first);
  const services = [api];
  for (const set of others) services.push(await start(set));
  const orders = await openBenchShop(api.url);
  const confirmed = await watchConfirmations(server.url);
  opened.unshift(confirmed);
  let next = 0;
  const one = async (): Promise<number> => {
    const began = performance.now();
    const body = orders[next++ % orders.length]?.body;
    const placed = await must(201, api.url, 'POST', '/v1/orders', body);
    return (await confirmed.at(String(placed.field('id')))) - began;
  };
  const counting = async (work: () => Promise<readonly number[]>): Promise<Measured> => {
    const before = await countsOf(servers, services);
    const start = performance.now();
    const took = [...(await work())].sort((a, b) => a - b);
    const seconds = (performance.now() - start) / 1_000;
    const after = await countsOf(servers, services);
    const share = (part: number): number => took[Math.ceil(part * took.length) - 1] ?? Number.NaN;
    const grown = (of: keyof Counts): number => after[of] - before[of];
    return {
      orders: took.length,
      seconds,
      p50: share(0.5),
      p99: share(0.99),
      serviceUs: grown('serviceUs'),
      serverUs: grown('serverUs'),
      messages: grown('messages'),
      commits: grown('commits'),
      synced: grown('synced'),
    };
  };
  return {
    order: (pace, seconds) =>
      counting(() =>
        'callers' in pace ? inTurns(one, pace.callers, seconds) : inTime(one, pace.perSecond, seconds),
      ),
    idle: (seconds) => counting(() => pause(seconds * 1_000).then(() => [])),
    [Symbol.asyncDispose]: async () => {
      for (const one of opened) await one[Symbol.asyncDispose]();
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Callers that each place an order, wait until it is confirmed, and place the next one. */
async function inTurns(one: () => Promise<number>, callers: number, seconds: number): Promise<number[]> {
  const end = performance.now() + seconds * 1_000;
  const took: number[] = [];
  const call = async (): Promise<void> => {
    while (performance.now() < end) took.push(await one());
  };
  await Promise.all(Array.from({ length: callers }, call));
  return took;
}

/** Orders at fixed times, whatever becomes of those before. */
async function inTime(one: () => Promise<number>, perSecond: number, seconds: number): Promise<number[]> {
  const start = performance.now();
  const due = Array.from({ length: Math.round(perSecond * seconds) }, (_, n) => (n * 1_000) / perSecond);
  return Promise.all(due.map((ms) => pause(start + ms - performance.now()).then(one)));
}

type Counts = Pick<Measured, 'serviceUs' | 'serverUs' | 'messages' | 'commits' | 'synced'>;

interface StreamDetail {
  readonly name: string;
  readonly state: { readonly last_seq: number };
  readonly config: { readonly storage: string; readonly persist_mode?: string };
}

async function countsOf(
  servers: readonly CountedServer[],
  services: readonly { readonly pid: number }[],
): Promise<Counts> {
  const ask = async (url: string): Promise<unknown> => (await fetch(url)).json();
  const messages = await Promise.all(
    servers.map(async ({ monitorUrl }) => ((await ask(`${monitorUrl}/varz`)) as { in_msgs: number }).in_msgs),
  );
  const { account_details } = (await ask(`${servers[0]?.monitorUrl}/jsz?streams=true&config=true`)) as {
    account_details: { stream_detail: StreamDetail[] }[];
  };
  const streams = account_details.flatMap(({ stream_detail }) => stream_detail);
  const durable = streams.filter(
    ({ config }) => config.storage === 'file' && config.persist_mode !== 'async',
  );
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    serviceUs: sum(await Promise.all(services.map(({ pid }) => cpuOf(pid)))),
    serverUs: sum(await Promise.all(servers.map(({ pid }) => cpuOf(pid())))),
    messages: sum(messages),
    commits: streams.find(({ name }) => name === TEST_LOG.stream)?.state.last_seq ?? 0,
    synced: sum(durable.map(({ state }) => state.last_seq)),
  };
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
