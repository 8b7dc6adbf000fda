import type { Log } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { createAliases, createBucketResolver } from './aliases.ts';
import type { Buckets } from './buckets.ts';
import { readCheckpoint } from './checkpoint.ts';
import { createKeyPages } from './key-pages.ts';
import { ordersOfUser } from './orders-of-user.ts';
import type { ReadModels, ViewStatus } from './read-models.ts';
import { defaultProjectionSettings, type ProjectionSettings } from './settings.ts';
import { createViewAccess } from './view-access.ts';
import { orders } from './views/orders.ts';
import { ordersByUser } from './views/orders-by-user.ts';
import { products } from './views/products.ts';
import { users } from './views/users.ts';

/** The product's read models, in the order in which they are listed. */
export const allProjections = [users, products, orders, ordersByUser];

/** A checkpoint that did not move for this long, while the log did, belongs to a view that nobody runs. */
const STALLED_MS = 10_000;

/**
 * The queries of the product. `stop` ends the watch that keeps the product index.
 * `local` is what the views of this process say of themselves; without it, `status` judges by their checkpoints.
 */
export function createReadModels(deps: {
  log: Log;
  buckets: Buckets;
  runtime: Runtime;
  settings?: Partial<ProjectionSettings>;
  local?: () => readonly ViewStatus[];
}): ReadModels & { stop(): void } {
  const { log, buckets, runtime } = deps;
  const { prefix, resolveMs } = { ...defaultProjectionSettings, ...deps.settings };
  const aliases = createAliases(buckets, prefix);
  const resolver = createBucketResolver({ buckets, aliases, runtime, resolveMs });
  const access = (view: string) => createViewAccess({ view, resolver, runtime });
  const userRows = access(users.name);
  const productRows = access(products.name);
  const orderRows = access(orders.name);
  const orderLists = access(ordersByUser.name);
  const productPages = createKeyPages({
    view: products.name,
    access: productRows,
    scope: { list: products.name, incarnation: log.incarnation },
    runtime,
  });

  const statusOf = async (view: string, head: number): Promise<ViewStatus> => {
    const bucket = await resolver.current(view);
    const stored = bucket === undefined ? undefined : await readCheckpoint(bucket);
    const position = stored?.position ?? 0;
    const lag = Math.max(0, head - position);
    const local = deps.local?.().find((status) => status.view === view);
    const moving = stored !== undefined && (lag === 0 || runtime.now() - stored.value.at < STALLED_MS);
    return { view, position, lag, running: local?.running ?? moving, lastError: local?.lastError };
  };

  return {
    user: (id, options) => userRows.row(id, options),
    product: (sku, options) => productRows.row(sku, options),
    order: (id, options) => orderRows.row(id, options),
    products: (page) => productPages.page(page),
    ordersOfUser: (userId, page) => ordersOfUser({ log, list: orderLists, orders: orderRows }, userId, page),
    status: async () => {
      const head = await log.head();
      return Promise.all(allProjections.map(({ name }) => statusOf(name, head)));
    },
    stop: () => productPages.stop(),
  };
}
