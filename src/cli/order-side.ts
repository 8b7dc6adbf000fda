import { type CustomerDirectory, NotSeenYet, type OpenOrders } from '../processes/order-process/ports.ts';
import { type Page, type PageRequest, ViewBehind } from '../projections/read-models.ts';
import type { ReadSide } from '../projections/read-side.ts';

const PAGE = 200;

/** The order side's directory of customers: a view of user events, waited for where a decision needs it. */
export function createCustomerDirectory(readSide: Pick<ReadSide, 'customer'>): CustomerDirectory {
  return {
    customer: async (userId, asOfPosition) => {
      const row = await seen(() => readSide.customer(userId, { minPosition: asOfPosition }));
      if (row === undefined) return 'unknown';
      const { status } = JSON.parse(Buffer.from(row.json).toString('utf8')) as {
        status: 'active' | 'deactivated';
      };
      return status;
    },
  };
}

/** Which orders are open, from the lists of the read models. */
export function createOpenOrders(readSide: Pick<ReadSide, 'ordersOfUser' | 'ordersByStatus'>): OpenOrders {
  return {
    ofUser: async function* (userId, asOfPosition) {
      const pages = allPages((page) => readSide.ordersOfUser(userId, { ...page, minPosition: asOfPosition }));
      for await (const { id, status } of pages) if (status === 'placed' || status === 'confirmed') yield id;
    },
    awaitingPayment: async function* () {
      for await (const { id } of allPages((page) => readSide.ordersByStatus('placed', page))) yield id;
    },
  };
}

async function* allPages(
  ask: (page: PageRequest) => Promise<Page>,
): AsyncGenerator<{ readonly id: string; readonly status: string }> {
  let cursor: string | undefined;
  do {
    const page = await seen(() => ask({ limit: PAGE, cursor }));
    for (const item of page.items) {
      yield JSON.parse(Buffer.from(item).toString('utf8')) as { id: string; status: string };
    }
    cursor = page.next;
  } while (cursor !== undefined);
}

async function seen<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ViewBehind) throw new NotSeenYet(error.view, error.wanted);
    throw error;
  }
}
