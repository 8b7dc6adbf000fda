import type { Message } from '@bufbuild/protobuf';
import { type KnownOrder, type OrderEvent, order } from '../../src/domain/order.ts';
import { type ListedProduct, type ProductEvent, product } from '../../src/domain/product.ts';
import { reservedFor } from '../../src/domain/reservations.ts';
import { type UserEvent, type UserState, user } from '../../src/domain/user.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log, RecordedCommit } from '../../src/eventstore/log.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { heldMinor, keptMinor, type LedgerEntry } from '../../src/processes/payment/adapters/ledger.ts';

/** What the log and the provider's ledger say together. */
export interface Inspection {
  readonly orders: ReadonlyMap<string, KnownOrder>;
  /** What is still to be done, as sentences; at rest it is nothing. */
  readonly open: readonly string[];
  /** What must not be, as sentences. A parcel that is just leaving may show here until all is at rest. */
  readonly violations: readonly string[];
}

/** Folds the whole log and compares it with what the payment provider keeps and holds, to the minor unit. */
export async function inspectOrders(log: Log, ledger: AsyncIterable<LedgerEntry>): Promise<Inspection> {
  const violations: string[] = [];
  const shop = await foldShop(log, violations);
  const { orders } = shop;
  const entries = new Map<string, LedgerEntry>();
  for await (const entry of ledger) entries.set(entry.key, entry);
  for (const [id, state] of orders) violations.push(...moneyOf(id, state, entries.get(id)));
  for (const [key, entry] of entries) {
    if (!orders.has(key) && takenBy(entry) > 0n) violations.push(`${key} was paid and is no order`);
  }
  for (const [id, state] of orders) {
    const customer = shop.users.get(state.userId);
    if ((state.status === 'placed' || state.status === 'confirmed') && customer === 'deactivated')
      violations.push(`${id} is ${state.status} though its customer was deactivated`);
  }
  for (const [sku, state] of shop.products) violations.push(...stockOf(sku, state, shop));
  const open = [...orders].flatMap(([id, state]) => whatIsOpen(state).map((what) => `${id} ${what}`));
  return { orders, open, violations };
}

/** What is still to be done for an order; nothing when it has ended and everything is given back. */
export function whatIsOpen(state: KnownOrder): string[] {
  if (state.status === 'placed') return [`waits at ${state.step}`];
  if (!hasFailed(state)) return [];
  return [
    ...(!state.stockReleased ? [`is ${state.status}, its stock not released`] : []),
    ...(state.paymentTouched && !state.paymentReturned
      ? [`is ${state.status}, its payment not returned`]
      : []),
  ];
}

interface Shop {
  readonly orders: ReadonlyMap<string, KnownOrder>;
  readonly products: ReadonlyMap<string, ListedProduct>;
  /** Status by user id. */
  readonly users: ReadonlyMap<string, string>;
  /** Pieces that ever arrived, and what corrections added or took away, by SKU. */
  readonly brought: ReadonlyMap<string, bigint>;
}

const hasFailed = ({ status }: KnownOrder): boolean =>
  status === 'rejected' || status === 'cancelled' || status === 'refunded';

const AFTER_FAILURE: ReadonlySet<string> = new Set(
  ['OrderStockReleased', 'PaymentCancelled', 'PaymentRefunded'].map((name) => `jetledger.order.v1.${name}`),
);

async function foldShop(log: Log, violations: string[]): Promise<Shop> {
  const [orders, stock, customers] = [orderBook(violations), stockBook(violations), customerBook()];
  const books: Readonly<Record<string, (commit: RecordedCommit) => void>> = {
    order: (commit) =>
      eventsOf(order, commit).forEach((event) => {
        orders.take(commit.stream.id, event);
      }),
    product: (commit) =>
      eventsOf(product, commit).forEach((event) => {
        stock.take(commit.stream.id, event);
      }),
    user: (commit) =>
      eventsOf(user, commit).forEach((event) => {
        customers.take(commit.stream.id, event);
      }),
  };
  for await (const { commits } of log.scan({ after: BEGINNING })) {
    for (const commit of commits) books[commit.stream.category]?.(commit);
  }
  const users = new Map([...customers.users].map(([id, { status }]) => [id, status]));
  return { orders: orders.orders, products: stock.products, brought: stock.brought, users };
}

function orderBook(violations: string[]) {
  const orders = new Map<string, KnownOrder>();
  const happened = new Set<string>();
  const take = (id: string, event: OrderEvent): void => {
    const before = orders.get(id);
    const { $typeName: type } = event;
    if (happened.has(`${id} ${type}`)) violations.push(`${id}: ${type} happened twice`);
    happened.add(`${id} ${type}`);
    if (before !== undefined && hasFailed(before) && !AFTER_FAILURE.has(type))
      violations.push(`${id}: ${type} happened after it was ${before.status}`);
    const after = order.evolve(before ?? order.initial, event);
    if (after.status !== 'absent') orders.set(id, after);
  };
  return { orders, take };
}

function stockBook(violations: string[]) {
  const products = new Map<string, ListedProduct>();
  const brought = new Map<string, bigint>();
  const take = (sku: string, event: ProductEvent): void => {
    const received = event.$typeName === 'jetledger.product.v1.StockReceived' ? event.quantity : 0n;
    const corrected = event.$typeName === 'jetledger.product.v1.StockCorrected' ? event.change : 0n;
    brought.set(sku, (brought.get(sku) ?? 0n) + received + corrected);
    const after = product.evolve(products.get(sku) ?? product.initial, event);
    if (after.status === 'absent') return;
    products.set(sku, after);
    const { onHand, reserved } = after;
    if (reserved < 0n || onHand < reserved)
      violations.push(`${sku}: ${onHand} on hand and ${reserved} reserved after ${event.$typeName}`);
  };
  return { products, brought, take };
}

function customerBook() {
  const users = new Map<string, UserState>();
  const take = (id: string, event: UserEvent): void => {
    users.set(id, user.evolve(users.get(id) ?? user.initial, event));
  };
  return { users, take };
}

/** The events of a commit of a category. */
export function eventsOf<E extends Message>(
  decider: Parameters<typeof codecOf>[0] & { evolve: (state: never, event: E) => unknown },
  commit: RecordedCommit,
): E[] {
  const { decode } = codecOf<E>(decider);
  return commit.decisions.flatMap((decision) =>
    decision.events.map((stored) => decode(stored, commit.stream.id)),
  );
}

/** All of a customer's money that the provider has in its hands, or will have when nobody does anything. */
function takenBy(entry: LedgerEntry): bigint {
  const coming = entry.authorisesAt !== undefined && entry.cancelledAt === undefined;
  return keptMinor(entry) + heldMinor(entry) + (coming ? (entry.intent?.amountMinor ?? 0n) : 0n);
}

function moneyOf(id: string, state: KnownOrder, entry: LedgerEntry | undefined): string[] {
  const { status, totalMinor } = state;
  const kept = entry === undefined ? 0n : keptMinor(entry);
  const taken = entry === undefined ? 0n : takenBy(entry);
  if (status === 'placed')
    return kept === 0n || kept === totalMinor ? [] : [`${id} is placed and ${kept} of ${totalMinor} is kept`];
  const due = hasFailed(state) ? 0n : totalMinor;
  return [
    ...(kept === due ? [] : [`${id} is ${status} and the provider keeps ${kept} of ${totalMinor}`]),
    ...(taken === kept ? [] : [`${id} is ${status} and the provider holds ${taken - kept}`]),
  ];
}

/** Whether the goods of an order are gone for good. */
function hasLeft(order: KnownOrder): boolean {
  if (order.status === 'refunded') return !order.restock;
  return order.status === 'shipped' || order.status === 'delivered';
}

function stockOf(sku: string, state: ListedProduct, { orders, brought }: Shop): string[] {
  const wrong: string[] = [];
  let reservations = 0n;
  let left = brought.get(sku) ?? 0n;
  for (const [id, ordered] of orders) {
    const quantity = BigInt(ordered.items.find((item) => item.sku === sku)?.quantity ?? 0);
    const reserved = reservedFor(state.reservations, id) ?? 0n;
    reservations += reserved;
    if (hasLeft(ordered)) left -= quantity;
    const due = ordered.status === 'confirmed' ? quantity : 0n;
    const fits = ordered.status === 'placed' ? reserved === 0n || reserved === quantity : reserved === due;
    if (!fits) wrong.push(`${id} is ${ordered.status} and ${reserved} of ${sku} are reserved for it`);
  }
  if (state.reserved !== reservations)
    wrong.push(`${state.reserved} of ${sku} are reserved and orders hold ${reservations}`);
  if (state.onHand !== left) wrong.push(`${state.onHand} of ${sku} are on hand and ${left} should be`);
  return wrong;
}
