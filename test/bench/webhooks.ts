import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { create } from '@bufbuild/protobuf';
import { jetstreamManager } from '@nats-io/jetstream';
import { createNatsBuckets, positionAt, type Requests, systemRuntime } from '../../src/eventstore/index.ts';
import { OrderConfirmedSchema } from '../../src/gen/jetledger/public/orders/v1/orders_pb.ts';
import { orders } from '../../src/processes/contracts/orders.ts';
import { attemptsStreamConfig, openAttempts } from '../../src/processes/delivery/adapters/attempts.ts';
import { createDialler } from '../../src/processes/delivery/adapters/dial.ts';
import type { DeliveryOutlet, Receiver } from '../../src/processes/delivery/port.ts';
import { deliveryWorker, type Receivers } from '../../src/processes/delivery/worker.ts';
import { openPublicStream, publicStreamConfig, startEngine } from '../../src/processes/engine/index.ts';
import { send } from '../../src/processes/webhook/adapters/deliver.ts';
import { publicSource } from '../../src/processes/webhook/public-source.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { ratioOf, rounded, scaled } from './measure.ts';
import { openOrderLog } from './order-log.ts';
import type { BenchOptions, Scenario } from './result.ts';
import type { Received } from './webhook-receiver.ts';

const RECEIVERS = 100;
const BURST = 300;
const WARMING_UP = 50;
const EVENTS_PER_SECOND = 10;
const SECONDS = 8;
const TURNS = 3;
const BACKLOG = 1_000_000;
const PATIENCE_MS = 15_000;
const MIB = 2 ** 20;
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const { prefix } = TEST_LOG;
const runtime = systemRuntime;

/** Public events to a hundred receivers in another process, signed, over HTTP, each try kept, from a durable server. */
export const webhooksScenario: Scenario = {
  name: 'webhooks',
  title: 'Webhooks: public events over HTTP, one process, one durable server',
  run: async ({ rounds, scale, print }: BenchOptions) => {
    const backlog = scaled(BACKLOG, scale, 5_000);
    const seconds = scaled(SECONDS, scale, SECONDS);
    const [bursts, costs, drains, grown]: [number[], number[], number[], number[]] = [[], [], [], []];
    const [well, oneHangs]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      await using bench = await openBench({ syncAlways: true });
      const burst = await bench.burst(scaled(BURST, scale, 100));
      bursts.push(burst.perSecond);
      costs.push(burst.cpuUs);
      print(`a burst: ${Math.round(burst.perSecond)}/s, ${Math.round(burst.cpuUs)} us of CPU each`);
      for (let turn = 0; turn < TURNS; turn++) {
        well.push(await bench.steady(seconds, '/quiet'));
        oneHangs.push(await bench.steady(seconds, '/hang'));
        print(`p99 at 1,000/s: ${well.at(-1)} ms, with one that hangs ${oneHangs.at(-1)} ms`);
      }
      // What fills it syncs seldom: a million would take minutes.
      await using idle = await openBench({ syncAlways: false });
      const drain = await idle.drain(backlog);
      drains.push(drain.perSecond);
      grown.push(drain.grownMib);
      print(
        `a backlog of ${backlog}: ${Math.round(drain.perSecond)}/s, heap ${drain.heapsMib.map(Math.round)} MiB`,
      );
    }
    return [
      {
        ...{ name: `a burst to ${RECEIVERS} receivers`, product: rounded(bursts), unit: 'deliveries/s' },
        note: `CPU of the sender ${Math.round(Math.min(...costs))} us a delivery`,
      },
      {
        ...{ name: `p99 at ${RECEIVERS * EVENTS_PER_SECOND}/s, 1 of ${RECEIVERS} hangs, of the others` },
        ...{ product: rounded(oneHangs), baseline: rounded(well), unit: 'ms' },
        ...{ ratio: ratioOf(oneHangs, well), goal: 1.2, lowerIsBetter: true },
        note: 'Beside it: none hangs. From publishing to receipt',
      },
      {
        ...{ name: 'a backlog for one receiver', product: rounded(drains), unit: 'deliveries/s' },
        note: `${backlog.toLocaleString('en-US')} events; most heap after the first tenth, beside its own: ${Math.max(...grown).toFixed(1)} MiB more`,
      },
    ];
  },
};

async function openBench(server: { readonly syncAlways: boolean }) {
  const opened = await openOrderLog(server);
  const { log, requests } = opened;
  const jsm = await jetstreamManager(requests.connection);
  await jsm.streams.add(publicStreamConfig(orders, { prefix, replicas: 1, keepMs: undefined }));
  await jsm.streams.add(attemptsStreamConfig({ prefix, replicas: 1, keepMs: 3_600_000 }));
  const receiver = await startReceiver();
  const directory = createDirectory(requests, receiver.url);
  const bucketOptions = { requests, runtime, replicas: 1, timeoutMs: PATIENCE_MS, announceLosses: false };
  const buckets = createNatsBuckets(bucketOptions);
  const source = publicSource({ requests, prefix, timeoutMs: PATIENCE_MS, runtime, contract: orders });
  const { receivers } = directory;
  const about = { name: 'webhooks', buckets, prefix, runtime, receivers, outlet };
  const worker = deliveryWorker({ ...about, sources: [source] });
  const only = { consumers: [], workers: [worker], settings: { prefix } };
  const engine = startEngine({ log, buckets, runtime, ...only });
  const publish = createPublish(requests);
  for (let n = 0; n < RECEIVERS; n++) directory.set(`r${n}`, `/r${n}`);
  await publish(WARMING_UP);
  await receiver.received(WARMING_UP * RECEIVERS);
  await receiver.ask('take');
  return {
    burst: async (events: number) => {
      const [cpu, started] = [process.cpuUsage(), performance.now()];
      await publish(events);
      await receiver.received(events * RECEIVERS);
      const seconds = (performance.now() - started) / 1_000;
      const { user, system } = process.cpuUsage(cpu);
      await receiver.ask('take');
      const deliveries = events * RECEIVERS;
      return { perSecond: deliveries / seconds, cpuUs: (user + system) / deliveries };
    },
    /** p99 of all receivers but the first, which is at `path`. */
    steady: async (seconds: number, path: string): Promise<number> => {
      directory.set('r0', path);
      const events = seconds * EVENTS_PER_SECOND;
      const started = performance.now();
      for (let n = 0; n < events; n++) {
        await delay(started + (n * 1_000) / EVENTS_PER_SECOND - performance.now());
        await publish(1);
      }
      await receiver.received(events * (RECEIVERS - 1));
      return (await receiver.ask('take')).p99;
    },
    drain: async (events: number) => {
      for (let n = 0; n < RECEIVERS; n++) directory.remove(`r${n}`);
      await publish(events);
      await receiver.ask('take');
      const started = performance.now();
      const heapsMib: number[] = [];
      directory.set('late', '/late', 1);
      for (let tenth = 1; tenth <= 10; tenth++) {
        await receiver.received(Math.floor((events * tenth) / 10));
        heapsMib.push(heapMib());
      }
      const perSecond = (events * 1_000) / (performance.now() - started);
      await receiver.ask('take');
      return { perSecond, heapsMib, grownMib: Math.max(...heapsMib) - (heapsMib[0] ?? 0) };
    },
    [Symbol.asyncDispose]: async () => {
      await engine.stop();
      directory.close();
      receiver.close();
      await opened[Symbol.asyncDispose]();
    },
  };
}

const nothing = async (): Promise<undefined> => undefined;

const outlet: DeliveryOutlet = {
  ...{ giveUp: nothing, disable: nothing, complete: nothing, find: nothing },
  testEvent: () => {
    throw new Error('nobody asks for a test');
  },
  trouble: (what, error) => console.error(what, error),
};

/** Webhooks as they stand in the log, without one. */
function createDirectory(requests: Requests, base: string) {
  const dialler = createDialler({ targets: 'loopback', timeoutMs: PATIENCE_MS });
  const attempts = openAttempts(requests, prefix, PATIENCE_MS);
  const known = new Map<string, Receiver>();
  const watchers = new Set<(id: string) => void>();
  const tell = (id: string): void => {
    for (const changed of watchers) changed(id);
  };
  const receivers: Receivers = {
    all: () => known.values(),
    get: (id) => known.get(id),
    watch: (changed) => watchers.add(changed),
  };
  return {
    receivers,
    set: (id: string, path: string, createdAt = Date.now()): void => {
      const to = { url: `${base}${path}`, secrets: [SECRET] };
      known.set(id, {
        ...{ id, enabled: true, ordered: false, createdAt, renewedAt: createdAt, requests: [] },
        wants: () => true,
        deliver: async (event, attempt) => {
          const { tried, kept } = await send({ dialler, runtime }, to, event, attempt);
          attempts.keep(id, kept);
          if (!tried.taken && path !== '/hang') console.error(`  ${id} failed: ${tried.error}`);
          return tried;
        },
      });
      tell(id);
    },
    remove: (id: string): void => {
      known.delete(id);
      tell(id);
    },
    close: dialler.close,
  };
}

async function startReceiver() {
  const child = fork(fileURLToPath(new URL('./webhook-receiver.ts', import.meta.url)), {
    execArgv: ['--import', new URL('./typescript.mjs', import.meta.url).href],
  });
  const [port] = (await once(child, 'message')) as [number];
  const ask = async (what: 'count' | 'take'): Promise<Received> => {
    const answer = once(child, 'message');
    child.send(what);
    return ((await answer) as [Received])[0];
  };
  return {
    url: `http://127.0.0.1:${port}`,
    ask,
    received: async (count: number): Promise<void> => {
      while ((await ask('count')).count < count) await delay(20);
    },
    close: () => child.disconnect(),
  };
}

/** Puts so many public events into the stream, each of an order of its own. */
function createPublish(requests: Requests): (count: number) => Promise<void> {
  const common = { requests, prefix, contract: orders, format: 'protobuf', timeoutMs: PATIENCE_MS } as const;
  const stream = openPublicStream(common);
  const schema = OrderConfirmedSchema;
  let put = 0;
  const one = async (): Promise<void> => {
    const [at, now] = [++put, Date.now()];
    const subject = `order-${at}`;
    const data = create(schema, { orderId: subject, confirmedAt: BigInt(now) });
    const about = { id: `event-${at}`, source: '/bench', type: schema.typeName, subject, time: now };
    const event = { ...about, sequence: 1, traceparent: '', tracestate: '', data };
    const mark = { incarnation: 'bench', position: positionAt(at), index: 0, sequence: 1 };
    await stream.store({ event, schema, mark }, 0);
  };
  return async (count) => {
    for (let left = count; left > 0; left -= 200)
      await Promise.all(Array.from({ length: Math.min(200, left) }, one));
  };
}

/** After a collection. */
function heapMib(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed / MIB;
}
