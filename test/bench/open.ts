import { product as decider } from '../../src/domain/product.ts';
import type { Handler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream } from '../support/nats-log.ts';
import { ratioOf, rounded, scaled } from './measure.ts';
import { openProduct, type Product } from './product.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

/** How many reservations of one product are open. */
const [MANY, FEW] = [100_000, 100];
/** Cold commands a round. */
const COMMANDS = 20;

/** A command must not pay for what others have reserved of its product and not shipped yet. */
export const openScenario: Scenario = {
  name: 'open',
  title: 'A cold reservation of a product with many open ones, default sync',
  run: async (options) => {
    await using server = await startTestServer({ syncAlways: false });
    await createLogStream(server.url);
    await using product = await openProduct(server.url, false);
    const many = await reserved(product, 'MANY', scaled(MANY, options.scale, FEW), options);
    const few = await reserved(product, 'FEW', FEW, options);
    const [large, small]: number[][] = [[], []];
    for (let round = 0; round < options.rounds; round++) {
      large?.push(await coldReserve(product, many));
      small?.push(await coldReserve(product, few));
    }
    return [rowOf(options, large ?? [], small ?? [])];
  },
};

function rowOf({ scale }: BenchOptions, large: readonly number[], small: readonly number[]): ResultRow {
  return {
    name: `5. cold reservation, ${scaled(MANY, scale, FEW)} open / ${FEW} open`,
    lowerIsBetter: true,
    ratio: ratioOf(large, small),
    product: rounded(large),
    baseline: rounded(small),
    unit: 'ms',
  };
}

/** A product with so many open reservations. */
async function reserved(
  product: Product,
  sku: string,
  count: number,
  { print }: BenchOptions,
): Promise<string> {
  const handler = product.handler();
  const at = Date.now();
  const list = { type: 'list', sku, name: 'Wanted', priceMinor: 100n, currency: 'EUR', at } as const;
  await handler.execute(decider, sku, list, metaOf());
  const receive = { type: 'receiveStock', receiptId: 'r', quantity: 10 * MANY, at } as const;
  await handler.execute(decider, sku, receive, metaOf());
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) await reserve(handler, sku);
  };
  await Promise.all(Array.from({ length: 64 }, work));
  // Writes the snapshots that wait.
  await handler.close();
  print(`${sku}: ${count} open reservations`);
  return sku;
}

/** The mean time of a command in a process that knows nothing of the product, in milliseconds. */
async function coldReserve(product: Product, sku: string): Promise<number> {
  let total = 0;
  for (let i = 0; i < COMMANDS; i++) {
    const handler = product.handler();
    const startedAt = performance.now();
    await reserve(handler, sku);
    total += performance.now() - startedAt;
    await handler.close();
  }
  return total / COMMANDS;
}

async function reserve(handler: Handler, sku: string): Promise<void> {
  const command = { type: 'reserveStock', orderId: systemRuntime.id(), quantity: 1, at: Date.now() } as const;
  const result = await handler.execute(decider, sku, command, metaOf());
  if (result.outcome !== 'accepted') throw new Error(`a reservation was answered ${result.outcome}`);
}

const metaOf = () => ({ commandId: systemRuntime.id(), actor: 'bench' });
