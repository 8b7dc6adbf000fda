import { create, type Message } from '@bufbuild/protobuf';
import { order } from '../../src/domain/order.ts';
import { product } from '../../src/domain/product.ts';
import { user } from '../../src/domain/user.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import {
  CustomerValidatedSchema,
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderPlacedSchema,
} from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { ProductListedSchema, StockReceivedSchema } from '../../src/gen/jetledger/product/v1/product_pb.ts';
import { UserCreatedSchema } from '../../src/gen/jetledger/user/v1/user_pb.ts';

/** When the first order was placed; one comes every 50 ms. */
export const FIRST_ORDER_MS = Date.UTC(2026, 0, 1);
export const BETWEEN_MS = 50;
export const SKUS = 5_000;
const TEAS = ['Assam', 'Darjeeling', 'Earl Grey', 'Sencha', 'Oolong'];
const FIRST_NAMES = ['Ada', 'Grace', 'Edsger', 'Barbara', 'Tony', 'Donald', 'Alan', 'Joan', 'Ken', 'Frances'];

const uuid = (kind: string, n: number): string => `0198c5a4-${kind}-7c7f-9d8e-${String(n).padStart(12, '0')}`;

/** The id of the n-th user. */
export const userId = (n: number): string => uuid('0001', n);
/** The id of the n-th order. */
export const orderId = (n: number): string => uuid('0002', n);
/** What the client of the n-th order calls it. */
export const referenceOf = (n: number): string => `PO-${n}`;
/** The SKU of the n-th product. */
export const skuOf = (n: number): string => `SKU-${n % SKUS}`;

const orderCodec = codecOf(order);
const userCodec = codecOf(user);
const productCodec = codecOf(product);

/** Whatever differs from one to the next, the same in each run. */
const mixed = (n: number): number => Math.imul(n + 1, 2_654_435_761) >>> 0;

/** The n-th user, in one commit. */
export async function appendUser(log: Log, n: number): Promise<void> {
  const name = `${FIRST_NAMES[mixed(n) % FIRST_NAMES.length]} ${mixed(n + 7).toString(36)}`;
  const created = {
    userId: userId(n),
    email: `user-${n}@example.com`,
    name,
    createdAt: BigInt(FIRST_ORDER_MS + n),
  };
  await append(log, 'user', userId(n), 0, [userCodec.encode(create(UserCreatedSchema, created))]);
}

/** The n-th product, in one commit; every third is out of stock. */
export async function appendProduct(log: Log, n: number): Promise<void> {
  const time = BigInt(FIRST_ORDER_MS + n);
  const name = `${TEAS[mixed(n) % TEAS.length]} ${mixed(n + 7).toString(36)}`;
  const events = [
    productCodec.encode(
      create(ProductListedSchema, { sku: skuOf(n), name, priceMinor: 475n, currency: 'EUR', listedAt: time }),
    ),
  ];
  if (n % 3 > 0) {
    const received = { receiptId: 'r1', quantity: 10n, onHand: 10n, receivedAt: time };
    events.push(productCodec.encode(create(StockReceivedSchema, received)));
  }
  await append(log, 'product', skuOf(n), 0, events);
}

/** The n-th order of two lines, in one commit with what has become of it; of the users below `users`. */
export async function appendOrder(log: Log, n: number, users: number): Promise<number> {
  const time = BigInt(FIRST_ORDER_MS + n * BETWEEN_MS);
  const price = BigInt(100 + (mixed(n) % 20_000));
  const line = { name: 'Tea', quantity: 1n, unitPriceMinor: price, lineTotalMinor: price };
  const lines = [
    { ...line, sku: skuOf(mixed(n)) },
    { ...line, sku: skuOf(mixed(n) + 1) },
  ];
  const placed = create(OrderPlacedSchema, {
    ...{ externalReference: referenceOf(n) },
    ...{ orderId: orderId(n), userId: userId(mixed(n + 3) % users), lines, currency: 'EUR' },
    ...{ totalMinor: 2n * price, placedAt: time, paymentDueAt: time },
  });
  const events: Message[] = [placed, create(CustomerValidatedSchema, { validatedAt: time })];
  if (n % 20 === 1)
    events.push(create(OrderCancelledSchema, { cancelledAt: time, reason: 'changed my mind' }));
  else if (n % 20 > 1) events.push(create(OrderConfirmedSchema, { confirmedAt: time }));
  return append(
    log,
    'order',
    orderId(n),
    0,
    events.map((event) => orderCodec.encode(event as never)),
  );
}

/** Confirms an order that is placed. */
export function confirmOrder(log: Log, n: number, version: number): Promise<number> {
  const confirmed = create(OrderConfirmedSchema, { confirmedAt: BigInt(Date.now()) });
  return append(log, 'order', orderId(n), version, [orderCodec.encode(confirmed)]);
}

async function append(
  log: Log,
  category: string,
  id: string,
  version: number,
  events: ReturnType<typeof orderCodec.encode>[],
): Promise<number> {
  const commitId = systemRuntime.id();
  const decision = { commandId: commitId, actor: 'bench', time: BigInt(Date.now()), events };
  const result = await log.append(
    { category, id },
    version,
    create(CommitSchema, { commitId, decisions: [decision] }),
  );
  if (!result.appended) throw new Error(`${id} conflicts`);
  return result.version;
}

/** Appends many at a time. */
export async function fill(count: number, one: (n: number) => Promise<unknown>, atOnce = 256): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}
