import type { Log, Runtime } from '../../eventstore/index.ts';
import {
  type Buckets,
  createAliases,
  createBucketResolver,
  createIndexPages,
  createViewAccess,
  defaultProjectionSettings,
  type Page,
  type PageRequest,
  type Projection,
  type ProjectionSettings,
  type Projections,
  type ReadOptions,
  type ReadRow,
  readLowest,
  type ViewStatus,
} from '../engine/index.ts';
import { customers } from './customers.ts';
import { type OrderRow, orderPlaces, orders, statusList } from './orders.ts';
import { ordersByUser, ordersOfUser } from './orders-by-user.ts';
import { nameList, type ProductPageRequest, productPlaces, products, SKU_LIST } from './products.ts';
import { readDays, type Statistics, type StatisticsRequest, statistics } from './statistics.ts';
import { users } from './users.ts';

/** The product's read models, in the order in which they are listed. */
export const allProjections = [users, customers, products, orders, ordersByUser, statistics];

/** A checkpoint that did not move for this long, while the log did, belongs to a view that nobody runs. */
const STALLED_MS = 10_000;

/** The queries, and what the order process knows of customers. */
export interface ReadSide extends ReadModels {
  /** @throws ViewBehind, LogUnavailable */
  customer(userId: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  stop(): void;
}

/**
 * The queries of the product. `stop` ends the watches that keep the indexes.
 * `local` is what the views of this process say of themselves; without it, `status` judges by their checkpoints.
 * `hurry` lets a query that waits for a view of this process have its checkpoint at once.
 */
export function createReadModels(deps: {
  log: Log;
  buckets: Buckets;
  runtime: Runtime;
  settings?: Partial<ProjectionSettings>;
  local?: () => readonly ViewStatus[];
  hurry?: Projections['hurry'];
}): ReadSide {
  const { log, buckets, runtime, hurry } = deps;
  const { prefix, resolveMs } = { ...defaultProjectionSettings, ...deps.settings };
  const aliases = createAliases(buckets, prefix);
  const resolver = createBucketResolver({
    buckets,
    aliases,
    runtime,
    resolveMs,
    incarnation: log.incarnation,
  });
  const access = (projection: Projection) => createViewAccess({ projection, log, resolver, runtime, hurry });
  const scope = (list: string) => ({ list, incarnation: log.incarnation });
  const userRows = access(users);
  const customerRows = access(customers);
  const productRows = access(products);
  const orderRows = access(orders);
  const orderLists = access(ordersByUser);
  const days = access(statistics);
  const productPages = createIndexPages({
    view: products.name,
    access: productRows,
    placesOf: productPlaces,
    runtime,
  });
  const orderPages = createIndexPages({
    view: orders.name,
    access: orderRows,
    placesOf: orderPlaces,
    runtime,
  });

  const statusOf = async (view: string, head: number): Promise<ViewStatus> => {
    const live = await resolver.current(view);
    const stored = live === undefined ? undefined : await readLowest(live.bucket, live.groups);
    const position = stored?.position ?? 0;
    const lag = Math.max(0, head - position);
    const local = deps.local?.().find((status) => status.view === view);
    const moving = stored !== undefined && (lag === 0 || runtime.now() - stored.value.at < STALLED_MS);
    // Groups that run elsewhere show only in their checkpoints.
    const alone = local?.groups === undefined || local.groups.owned === local.groups.of;
    const running = local === undefined ? moving : local.running && (alone || moving);
    const { groups, deadLetters: parked = [] } = local ?? {};
    return {
      view,
      position,
      lag,
      running,
      lastError: local?.lastError,
      deadLetters: parked,
      ...(groups && { groups }),
    };
  };

  return {
    user: (id, options) => userRows.row(id, options),
    customer: (id, options) => customerRows.row(id, options),
    product: (sku, options) => productRows.row(sku, options),
    order: (id, options) => orderRows.row(id, options),
    products: (page) => {
      const prefix = page.namePrefix === undefined ? SKU_LIST : nameList(page.namePrefix);
      return productPages.page({ scope: scope(`products/${prefix}`), prefix }, page);
    },
    ordersOfUser: (userId, page) => ordersOfUser({ log, list: orderLists, orders: orderRows }, userId, page),
    ordersByStatus: (status, page) => {
      const list = { scope: scope(`orders/status/${status}`), prefix: statusList(status), descending: true };
      return orderPages.page(list, page);
    },
    statistics: (request) => readDays(days, request),
    status: async () => {
      const head = await log.head();
      return Promise.all(allProjections.map(({ name }) => statusOf(name, head)));
    },
    stop: () => {
      productPages.stop();
      orderPages.stop();
    },
  };
}

/**
 * What queries may ask of the read models.
 * @throws LogUnavailable when the buckets cannot be reached, ViewBehind, InvalidCursor
 */
export interface ReadModels {
  user(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  product(sku: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  order(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** By SKU, or by name, ascending. */
  products(page: ProductPageRequest): Promise<Page>;
  /** Newest first. */
  ordersOfUser(userId: string, page: PageRequest): Promise<Page>;
  /** By when they were placed, newest first. A page may hold fewer than `limit` when orders left the status just now. */
  ordersByStatus(status: OrderRow['status'], page: PageRequest): Promise<Page>;
  /** @throws InvalidPeriod */
  statistics(request: StatisticsRequest & ReadOptions): Promise<Statistics>;
  status(): Promise<readonly ViewStatus[]>;
}
