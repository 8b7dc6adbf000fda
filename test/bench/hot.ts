import { product as decider } from '../../src/domain/product.ts';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, openTestLog } from '../support/nats-log.ts';
import { interleaved, perSecond, ratioOf, rounded, secondsOf } from './measure.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const CALLERS = 64;

/** Coalescing (protocol 17): everybody wants the same product. */
export const hotScenario: Scenario = {
  name: 'hot',
  title: 'One hot product, 64 callers at once, every write synced',
  run: async (options) => {
    const one = await startTestServer({ syncAlways: true });
    const single = await measure(one, one.url, 1, 4, options);
    const three = await startTestCluster({ syncAlways: true });
    return [single, await measure(three, three.urls.join(','), 3, 10, options)];
  },
};

async function measure(
  servers: AsyncDisposable,
  url: string,
  replicas: 1 | 3,
  goal: number,
  { rounds, scale, print }: BenchOptions,
): Promise<ResultRow> {
  await using _servers = servers;
  const name = `13b. ${replicas === 1 ? 'one server' : 'three servers'}: coalesced / one by one`;
  print(name);
  await createLogStream(url, undefined, replicas);
  await using opened = await openTestLog(url);
  const { log } = opened;
  let skus = 0;
  const side = (maxBatch: number) => async () => {
    const settings = { maxBatch, deadlineMs: 60_000 };
    const handler = createHandler({ log, runtime: systemRuntime, settings });
    const sku = `HOT-${skus++}`;
    await listProduct(handler, sku);
    return perSecond(CALLERS, secondsOf(scale), () => receiveStock(handler, sku));
  };
  const { together, alone } = await interleaved(rounds, { together: side(CALLERS), alone: side(1) });
  return {
    name,
    goal,
    ratio: ratioOf(together, alone),
    product: rounded(together),
    baseline: rounded(alone),
    unit: 'commands/s',
  };
}

async function listProduct(handler: Handler, sku: string): Promise<void> {
  const list = { type: 'list', sku, name: 'Hot', priceMinor: 100n, currency: 'EUR', at: Date.now() } as const;
  await handler.execute(decider, sku, list, { commandId: systemRuntime.id(), actor: 'bench' });
}

async function receiveStock(handler: Handler, sku: string): Promise<boolean> {
  const commandId = systemRuntime.id();
  const receive = { type: 'receiveStock', receiptId: commandId, quantity: 1, at: Date.now() } as const;
  const result = await handler.execute(decider, sku, receive, { commandId, actor: 'bench' });
  if (result.outcome !== 'accepted') throw new Error(`stock was answered ${result.outcome}`);
  return true;
}
