import type { Message } from '@bufbuild/protobuf';
import { type OrderEvent, order } from '../../src/domain/order.ts';
import { type ProductEvent, product } from '../../src/domain/product.ts';
import { type UserEvent, user } from '../../src/domain/user.ts';
import type { AnyDecider } from '../../src/eventstore/decider.ts';
import { codecOf } from '../../src/eventstore/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import {
  InvalidCursor,
  type Page,
  type PageRequest,
  type ReadModels,
  type ReadOptions,
  type ReadRow,
  ViewBehind,
} from '../../src/projections/read-models.ts';

type Row = Readonly<Record<string, unknown>>;
type Change<Event> = (event: Event) => Row | undefined;
type Source = Pick<AnyDecider, 'category' | 'events'>;

/**
 * The port of the read models in its plainest form, for tests of what reads them: folded from the whole log at each
 * question, so that every answer is up to date.
 */
export function foldedReadModels(log: Log): ReadModels {
  const users = rowsOf<UserEvent>(log, user, userChange);
  const products = rowsOf<ProductEvent>(log, product, productChange);
  const orders = rowsOf<OrderEvent>(log, order, orderChange);
  return {
    user: async (id, options) => served((await users(options)).get(id)),
    product: async (sku, options) => served((await products(options)).get(sku)),
    order: async (id, options) => served((await orders(options)).get(id)),
    products: async (page) => {
      const bySku = [...(await products(page))].sort(([a], [b]) => (a < b ? -1 : 1));
      return pageOf(bySku.map(([, { row }]) => row), page);
    },
    ordersOfUser: async (userId, page) => {
      const newestFirst = [...(await orders(page)).values()].reverse();
      return pageOf(newestFirst.map(({ row }) => row).filter((row) => row['userId'] === userId), page);
    },
    status: async () => [],
  };
}

function rowsOf<Event extends Message>(log: Log, source: Source, change: Change<Event>) {
  return async (options: ReadOptions = {}): Promise<Map<string, { row: Row; position: number }>> => {
    const wanted = options.minPosition ?? 0;
    const head = await log.head();
    if (wanted > head) throw new ViewBehind(source.category, wanted, head);
    const codec = codecOf<Event>(source);
    const rows = new Map<string, { row: Row; position: number }>();
    for await (const { commits } of log.scan({ after: 0, filter: { category: source.category } })) {
      for (const { stream, position, decisions } of commits) {
        for (const { time, events } of decisions) {
          for (const stored of events) {
            const changed = change(codec.decode(stored));
            if (changed === undefined) continue;
            const row = { ...rows.get(stream.id)?.row, ...changed, updatedAt: iso(time) };
            rows.set(stream.id, { row, position });
          }
        }
      }
    }
    return rows;
  };
}

function userChange(event: UserEvent): Row | undefined {
  switch (event.$typeName) {
    case 'jetledger.user.v1.UserCreated': {
      const { userId, email, name, createdAt } = event;
      return { userId, email, name, status: 'active', createdAt: iso(createdAt) };
    }
    case 'jetledger.user.v1.UserRenamed':
      return { name: event.name };
    case 'jetledger.user.v1.EmailChanged':
      return { email: event.email };
    case 'jetledger.user.v1.UserDeactivated':
      return { status: 'deactivated' };
    case 'jetledger.user.v1.UserReactivated':
      return { status: 'active' };
    case 'jetledger.user.v1.UserRegistrationAbandoned':
      return undefined;
    default:
      return {};
  }
}

function productChange(event: ProductEvent): Row {
  switch (event.$typeName) {
    case 'jetledger.product.v1.ProductListed': {
      const { sku, name, priceMinor, currency, listedAt } = event;
      const price = { amountMinor: Number(priceMinor), currency };
      return { sku, name, price, status: 'listed', onHand: 0, listedAt: iso(listedAt) };
    }
    case 'jetledger.product.v1.ProductRenamed':
      return { name: event.name };
    case 'jetledger.product.v1.ProductPriceChanged':
      return { price: { amountMinor: Number(event.priceMinor), currency: event.currency } };
    case 'jetledger.product.v1.StockReceived':
      return { onHand: Number(event.onHand) };
    default:
      return { status: 'discontinued' };
  }
}

function orderChange(event: OrderEvent): Row {
  if (event.$typeName === 'jetledger.order.v1.OrderCancelled') {
    return { status: 'cancelled', cancelReason: event.reason, cancelledAt: iso(event.cancelledAt) };
  }
  const { orderId, userId, currency, totalMinor, placedAt } = event;
  const lines = event.lines.map(({ sku, name, quantity, unitPriceMinor, lineTotalMinor }) => ({
    sku,
    name,
    quantity: Number(quantity),
    unitPriceMinor: Number(unitPriceMinor),
    lineTotalMinor: Number(lineTotalMinor),
  }));
  const total = { amountMinor: Number(totalMinor), currency };
  return { orderId, userId, status: 'placed', lines, total, placedAt: iso(placedAt) };
}

function served(found: { row: Row; position: number } | undefined): ReadRow | undefined {
  return found && { json: Buffer.from(JSON.stringify(found.row)), position: found.position };
}

function pageOf(rows: readonly Row[], { limit, cursor }: PageRequest): Page {
  if (cursor !== undefined && !/^[0-9]{1,6}$/.test(cursor)) throw new InvalidCursor();
  const start = Number(cursor ?? 0);
  const end = start + limit;
  const items = rows.slice(start, end).map((row) => Buffer.from(JSON.stringify(row)));
  return { items, ...(end < rows.length && { next: String(end) }) };
}

function iso(ms: bigint): string {
  return new Date(Number(ms)).toISOString();
}
