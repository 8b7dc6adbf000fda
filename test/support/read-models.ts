import {
  createViewReader,
  type ViewReader,
  type ViewReaderDeps,
} from '../../src/projections/engine/index.ts';
import { customerQueries } from '../../src/projections/views/customers.ts';
import { orderQueries } from '../../src/projections/views/orders.ts';
import { ordersByUserQueries } from '../../src/projections/views/orders-by-user.ts';
import { productQueries } from '../../src/projections/views/products.ts';
import { statisticsQueries } from '../../src/projections/views/statistics.ts';
import { userQueries } from '../../src/projections/views/users.ts';
import { views } from '../../src/service/shop.ts';
import { createMemoryIndexes } from '../../src/testing/memory-indexes.ts';

/** Every query of the shop's views, over one reader. */
export type ReadModels = ReturnType<typeof queriesOf>;

export function queriesOf(reader: ViewReader) {
  return {
    ...userQueries(reader),
    ...customerQueries(reader),
    ...productQueries(reader),
    ...orderQueries(reader),
    ...ordersByUserQueries(reader),
    ...statisticsQueries(reader),
    status: () => reader.status(),
    stop: () => reader.stop(),
  };
}

/** A reader of the shop's views with every query; its lists are kept in memory unless said otherwise. */
export function createReadModels(
  deps: Omit<ViewReaderDeps, 'views' | 'indexStore'> & Partial<Pick<ViewReaderDeps, 'indexStore'>>,
): ReadModels {
  return queriesOf(createViewReader({ indexStore: createMemoryIndexes(), ...deps, views }));
}
