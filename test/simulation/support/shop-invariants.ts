import type { Message } from '@bufbuild/protobuf';
import { type KnownOrder, type OrderEvent, order } from '../../../src/domain/order.ts';
import { type ProductEvent, product } from '../../../src/domain/product.ts';
import { reservedFor } from '../../../src/domain/reservations.ts';
import { user } from '../../../src/domain/user.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import type { Decider, RecordedCommit, Rejection } from '../../../src/eventstore/index.ts';
import { BEGINNING, numberOf } from '../../../src/eventstore/position.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import type { ModelProvider } from './model-provider.ts';
import { type ShopScenario, SKUS } from './shop-scenario.ts';

/** An aggregate as the log says, up to a position. */
export function foldOf<S, C, E extends Message, R extends Rejection>(
  store: MemoryStore,
  decider: Decider<S, C, E, R>,
  id: string,
  upTo = store.head(),
): S {
  const codec = codecOf<E>(decider);
  const commits = store.ofStream({ category: decider.category, id }, 0, upTo, 10_000);
  const events = commits.flatMap(({ decisions }) => decisions.flatMap((decision) => decision.events));
  return events.map((stored) => codec.decode(stored, id)).reduce(decider.evolve, decider.initial);
}

/** Everything that must not be when all has come to rest, as sentences. */
export function violationsIn(store: MemoryStore, provider: ModelProvider, scenario: ShopScenario): string[] {
  const ids = scenario.orders.map((_, i) => `o${i}`);
  const orders = knownOrders(store, ids);
  return [
    ...wrongBooks(store, provider, ids, scenario.stock),
    ...orders.flatMap(({ id, state }) => [
      ...wrongRefusal(store, id, state),
      ...lateExpiry(store, id, state),
    ]),
    ...orders
      .filter(({ state }) => isOpen(state) && foldOf(store, user, state.userId).status === 'deactivated')
      .map(({ id }) => `${id} is open though its customer was deactivated`),
    ...orders.flatMap(({ id, state }) => groundless(store, id, state)),
    ...orders
      .filter(({ id }) => provider.wasCaptured(id) && firstOf(store, id, '.PaymentAuthorised') === 0)
      .map(({ id }) => `${id} was captured and its authorisation never stored`),
    ...starvation(
      scenario.stock,
      orders.filter(({ id }) => firstOf(store, id, '.CustomerValidated') > 0 || hasReserved(store, id)),
    ),
  ];
}

/**
 * Orders that have not come to an end with everything given back, money to the cent, and stock to the piece, as sentences.
 * @param received pieces by SKU
 */
export function wrongBooks(
  store: MemoryStore,
  provider: ModelProvider,
  ids: readonly string[],
  received: Readonly<Record<string, number>>,
): string[] {
  const orders = knownOrders(store, ids);
  return [
    ...orders.flatMap(({ id, state }) => [...wrongEnd(id, state), ...wrongMoney(id, state, provider)]),
    ...Object.entries(received).flatMap(([sku, pieces]) => wrongStock(store, sku, pieces, orders)),
  ];
}

function knownOrders(store: MemoryStore, ids: readonly string[]) {
  return ids.flatMap((id) => {
    const state = foldOf(store, order, id);
    return state.status === 'absent' ? [] : [{ id, state }];
  });
}

const isOpen = ({ status }: KnownOrder) => status === 'placed' || status === 'confirmed';

const hasFailed = ({ status }: KnownOrder) =>
  status === 'rejected' || status === 'cancelled' || status === 'refunded';

function wrongEnd(id: string, state: KnownOrder): string[] {
  if (state.status === 'placed') return [`${id} is stuck at ${state.step}`];
  if (!hasFailed(state)) return [];
  const wrong: string[] = [];
  if (!state.stockReleased) wrong.push(`${id} failed and its stock was not released`);
  if (state.paymentTouched && !state.paymentReturned)
    wrong.push(`${id} failed and its payment was not returned`);
  return wrong;
}

function wrongMoney(id: string, state: KnownOrder, provider: ModelProvider): string[] {
  const kept = provider.kept(id);
  const wrong: string[] = [];
  if (kept !== (hasFailed(state) ? 0n : state.totalMinor))
    wrong.push(`${id} is ${state.status} and the provider kept ${kept} of ${state.totalMinor}`);
  if (provider.holds(id)) wrong.push(`${id} is ${state.status} and the provider still holds its money`);
  return wrong;
}

function wrongStock(
  store: MemoryStore,
  sku: string,
  received: number,
  orders: readonly { readonly id: string; readonly state: KnownOrder }[],
): string[] {
  const state = foldOf(store, product, sku);
  if (state.status === 'absent') return [`${sku} is not listed`];
  const quantityIn = (order: KnownOrder) => order.items.find((item) => item.sku === sku)?.quantity ?? 0;
  const sum = (counts: (order: KnownOrder) => boolean) =>
    orders.reduce((total, { state: o }) => total + (counts(o) ? quantityIn(o) : 0), 0);
  const wrong: string[] = [];
  const promised = sum(({ status }) => status === 'confirmed');
  if (Number(state.reserved) !== promised)
    wrong.push(`${state.reserved} of ${sku} are reserved and ${promised} are promised to open orders`);
  const left = received - sum(hasLeft);
  if (Number(state.onHand) !== left)
    wrong.push(`${state.onHand} of ${sku} are on hand and ${left} should be`);
  for (const { id, state: o } of orders) {
    const expected = o.status === 'confirmed' ? quantityIn(o) : 0;
    const reserved = Number(reservedFor(state.reservations, id) ?? 0n);
    if (reserved !== expected)
      wrong.push(`${id} is ${o.status} and ${reserved} of ${sku} are reserved for it`);
  }
  return wrong;
}

/** Whether the goods of an order are gone for good. */
function hasLeft(order: KnownOrder): boolean {
  if (order.status === 'refunded') return !order.restock;
  return order.status === 'shipped' || order.status === 'delivered';
}

const lackedStock = (state: KnownOrder) =>
  state.status === 'rejected' && state.code === 'inventory/insufficient-stock';

/** The position of an order's first event of a type; 0 when there is none. */
function firstOf(store: MemoryStore, id: string, type: string): number {
  const { decode } = codecOf<OrderEvent>(order);
  const commits = store.ofStream({ category: order.category, id }, 0, store.head(), 10_000);
  const has = ({ decisions }: RecordedCommit) =>
    decisions.some(({ events }) => events.some((event) => decode(event).$typeName.endsWith(type)));
  return numberOf(commits.find(has)?.position ?? BEGINNING);
}

/** Whether a product was ever held for an order, which may have been before the order heard of its validation. */
function hasReserved(store: MemoryStore, orderId: string): boolean {
  const { decode } = codecOf<ProductEvent>(product);
  return SKUS.some((sku) =>
    store
      .ofStream({ category: product.category, id: sku }, 0, store.head(), 10_000)
      .some(({ decisions }) =>
        decisions.some(({ events }) =>
          events
            .map((event) => decode(event))
            .some(
              (event) =>
                event.$typeName.endsWith('.StockReserved') && 'orderId' in event && event.orderId === orderId,
            ),
        ),
      ),
  );
}

/** Who is rejected for stock lacked a product at some moment while the order waited for it (protocol 10). */
function groundless(store: MemoryStore, id: string, state: KnownOrder): string[] {
  if (!lackedStock(state)) return [];
  // Its customer is validated before, and both may be told together.
  const [from, to] = [firstOf(store, id, '.OrderPlaced'), firstOf(store, id, '.OrderRejected')];
  for (let position = from; position <= to; position++) {
    const lacks = state.items.some(({ sku, quantity }) => {
      const found = foldOf(store, product, sku, position);
      return found.status !== 'absent' && found.onHand - found.reserved < BigInt(quantity);
    });
    if (lacks) return [];
  }
  return [`${id} was rejected for stock though there was enough of every product`];
}

/** Orders that each would have had enough must not all be rejected for each other's sake (protocol 10). */
function starvation(
  stock: ShopScenario['stock'],
  rivals: readonly { readonly id: string; readonly state: KnownOrder }[],
): string[] {
  const received: Readonly<Record<string, number>> = stock;
  const fits = ({ items }: KnownOrder) =>
    items.every(({ sku, quantity }) => quantity <= (received[sku] ?? 0));
  const fitting = rivals.filter(({ state }) => fits(state));
  if (fitting.length === 0 || !rivals.every(({ state }) => lackedStock(state))) return [];
  return [`nobody got the stock that ${fitting.map(({ id }) => id).join(' or ')} asked for`];
}

/** Longer than a sweep, a sleeping worker and some that die take together, in milliseconds. */
const LATE_MS = 90_000;

/** A customer who had registered before placing the order is known (protocol 12). */
function wrongRefusal(store: MemoryStore, id: string, state: KnownOrder): string[] {
  if (state.status !== 'rejected' || state.code !== 'customer/unknown') return [];
  const [placed] = store.ofStream({ category: order.category, id }, 0, store.head(), 1);
  const known =
    placed !== undefined && foldOf(store, user, state.userId, numberOf(placed.position)).status !== 'absent';
  return known ? [`${id} was rejected as unknown though its customer had registered before`] : [];
}

/** A deadline is kept, however often the order's events are delivered (protocol 13). */
function lateExpiry(store: MemoryStore, id: string, state: KnownOrder): string[] {
  if (state.status !== 'rejected' || state.code !== 'payment/expired') return [];
  const { decode } = codecOf<OrderEvent>(order);
  const commits = store.ofStream({ category: order.category, id }, 0, store.head(), 10_000);
  const events = commits.flatMap(({ decisions }) => decisions.flatMap((decision) => decision.events));
  return events
    .map((stored) => decode(stored, id))
    .flatMap((event) => {
      if (event.$typeName !== 'jetledger.order.v1.OrderRejected') return [];
      const lateMs = Number(event.rejectedAt) - state.paymentDueAt;
      return lateMs > LATE_MS ? [`${id} expired ${lateMs} ms after its payment was due`] : [];
    });
}
