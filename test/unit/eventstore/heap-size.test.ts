import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { beforeAll, describe, expect, it } from 'vitest';
import { evolveOrder, noOrder, type OrderState } from '../../../src/domain/order.ts';
import { evolveProduct, noProduct, type ProductState } from '../../../src/domain/product.ts';
import { createHeapEstimate, heapBytesOf } from '../../../src/eventstore/cache/heap-size.ts';
import { rememberCommand } from '../../../src/eventstore/command-log.ts';
import type { Decider } from '../../../src/eventstore/decider.ts';
import { emptyFold, type Folded } from '../../../src/eventstore/fold.ts';
import { openSnapshot, sealSnapshot } from '../../../src/eventstore/snapshots/stored.ts';
import { createStates } from '../../../src/eventstore/states.ts';
import { DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { CustomerValidatedSchema, OrderPlacedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import {
  ProductListedSchema,
  StockReceivedSchema,
  StockReservedSchema,
} from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { manualRuntime, rest } from './kernel.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function bytesInUse(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const at = 1_900_000_000_000n;

/** As it comes out of a request: what `randomUUID` gives is put together of many parts. */
const newId = (): string => Buffer.from(randomUUID()).toString();

/** As it comes from the log: texts that were put together in memory are larger. */
function stored<D extends DescMessage>(schema: D, event: MessageInitShape<D>): MessageShape<D> {
  return fromBinary(schema, toBinary(schema, create(schema, event)));
}

function orderOf(count: number): OrderState {
  const line = (sku: string) => ({ sku, name: 'Tea', quantity: 3n, unitPriceMinor: 5n, lineTotalMinor: 15n });
  const lines = Array.from({ length: count }, (_, i) => line(`TEA-${randomUUID().slice(0, 8)}-${i}`));
  const [userId, paymentToken] = [randomUUID(), `tok_${randomUUID()}`];
  const placed = { userId, lines, totalMinor: BigInt(count) * 15n, currency: 'EUR', paymentToken };
  const first = evolveOrder(noOrder, stored(OrderPlacedSchema, { ...placed, paymentDueAt: at }));
  return evolveOrder(first, stored(CustomerValidatedSchema, {}));
}

function productOf(reservations: number): ProductState {
  const listed = { sku: 'TEA-1', name: `Tea ${randomUUID()}`, priceMinor: 5n, currency: 'EUR', listedAt: at };
  const received = { receiptId: randomUUID(), quantity: 10_000n, onHand: 10_000n };
  let state = evolveProduct(noProduct, stored(ProductListedSchema, listed));
  state = evolveProduct(state, stored(StockReceivedSchema, received));
  for (let i = 1; i <= reservations; i++) {
    const reserved = { orderId: randomUUID(), quantity: BigInt(i), reserved: BigInt(i) };
    state = evolveProduct(state, stored(StockReservedSchema, reserved));
  }
  return state;
}

/** As a handler has it in its cache: with its commands, and marked by what came by. */
function keptAs<S>(state: S, commands: number): Folded<S> {
  const folded = emptyFold(state);
  for (let i = 0; i < commands; i++)
    rememberCommand(folded.commands, create(DecisionSchema, { commandId: randomUUID() }), i + 1);
  return marked(folded);
}

function marked<S>(folded: Folded<S>): Folded<S> {
  folded.version = 7;
  folded.confirmedAt = Number(at);
  folded.cold = false;
  folded.waiting = false;
  folded.snapshotPause = 0;
  return folded;
}

/** As another process has it from a snapshot. */
function fromSnapshot<S>(folded: Folded<S>): Folded<S> {
  const opened = openSnapshot<S>('memory-1', sealSnapshot('memory-1', folded));
  if (opened === undefined) throw new Error('the snapshot cannot be opened');
  opened.cloned = true;
  return marked(opened);
}

/** How much memory a cache takes that was filled with more than fits, and how much it says, as shares of its bound. */
async function fill(make: (index: number) => Folded<unknown>) {
  // What was left of the test before goes first.
  await rest();
  let told = 0;
  const observer = {
    cached: (_entries: number, bytes: number) => {
      told = bytes;
    },
  };
  const before = bytesInUse();
  const settings = { cacheEntries: 1_000_000, cacheMegabytes: MEBIBYTES };
  const states = createStates({ log: createMemoryLog(), runtime: manualRuntime(), ...settings, observer });
  const put = (folded: Folded<unknown>) => states.keep(anything, { category: 'x', id: newId() }, folded);
  let count = 0;
  while (told < 0.95 * LIMIT) put(make(count++));
  for (const more = Math.ceil(count * 1.2); count < more; ) put(make(count++));
  const real = bytesInUse() - before;
  // Until here it must not go.
  expect(states.cached).toBeDefined();
  return { told: told / LIMIT, real: real / LIMIT };
}

/** What is kept is not decided on here. */
const anything: Decider<unknown, never, never, never> = {
  category: 'x',
  events: [],
  initial: undefined,
  evolve: (state) => state,
  decide: () => [],
};

const MEBIBYTES = 8;
const LIMIT = MEBIBYTES * 2 ** 20;

describe('the memory that a cache of states takes', () => {
  // What is compiled at the first use is no part of it.
  beforeAll(async () => {
    await fill(() => keptAs(orderOf(1), 5));
  });

  it.each<[string, (index: number) => Folded<unknown>]>([
    ['orders of one line', () => keptAs(orderOf(1), 5)],
    ['orders of 3 lines', () => keptAs(orderOf(3), 5)],
    ['orders of 30 lines', () => keptAs(orderOf(30), 5)],
    ['orders of 100 lines', () => keptAs(orderOf(100), 5)],
    ['orders of 1 to 100 lines', (i) => keptAs(orderOf([1, 3, 30, 100][i % 4] ?? 1), 5)],
    ['orders of 3 lines from snapshots', () => fromSnapshot(keptAs(orderOf(3), 5))],
    ['orders of 100 lines from snapshots', () => fromSnapshot(keptAs(orderOf(100), 5))],
    ['products with 20 reservations', () => keptAs(productOf(20), 22)],
    ['products with 900 reservations', () => keptAs(productOf(900), 902)],
  ])('is within a tenth of what it was given: %s', async (_what, make) => {
    const { told, real } = await fill(make);
    expect(told).toBeGreaterThan(0.94);
    expect(told).toBeLessThanOrEqual(1);
    expect(real).toBeGreaterThan(0.9);
    expect(real).toBeLessThan(1.1);
  });

  it('is reckoned without going through all of what is large', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => ({ at: i, name: 'as long as all the others' }));
    let reads = 0;
    const counted = new Proxy(many, {
      get: (of, key) => {
        reads++;
        return Reflect.get(of, key);
      },
    });
    const bytes = heapBytesOf(counted);
    expect(reads).toBeLessThan(100);
    expect(bytes / heapBytesOf(many)).toBeCloseTo(1, 2);
  });

  it('is reckoned for what goes around in a circle, too', () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(heapBytesOf(circle)).toBeLessThan(10_000);
  });

  it('is known for rows by how long they are when stored', () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => ({
      id: randomUUID(),
      total: i,
      lines: ['a', 'b'],
    }));
    const of = createHeapEstimate();
    const reckoned = rows.reduce((sum, row) => sum + of(row, JSON.stringify(row).length), 0);
    const measured = rows.reduce((sum, row) => sum + heapBytesOf(row), 0);
    expect(reckoned / measured).toBeCloseTo(1, 1);
  });
});
