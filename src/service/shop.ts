import type { ApiModule } from '../api/deps.ts';
import { email } from '../domain/email.ts';
import { order } from '../domain/order.ts';
import { product } from '../domain/product.ts';
import { user } from '../domain/user.ts';
import { webhook } from '../domain/webhook.ts';
import { type AnyDecider, hiddenNames } from '../eventstore/index.ts';
import { catalogue } from '../processes/contracts/catalogue.ts';
import { orders as publicOrders } from '../processes/contracts/orders.ts';
import { users as publicUsers } from '../processes/contracts/users.ts';
import { type AnyContract, publisherName } from '../processes/engine/index.ts';
import { NOTIFICATIONS } from '../processes/notification/adapters/receiver.ts';
import { accountNotices } from '../processes/order/account-notices.ts';
import { customerWatch } from '../processes/order/customer-watch.ts';
import { paymentDeadline } from '../processes/order/deadline.ts';
import { emailBackstop, emailClaimTimeout } from '../processes/order/email-backstop.ts';
import { forgetting, forgettingTimer } from '../processes/order/forgetting.ts';
import { orderProcess } from '../processes/order/order-process.ts';
import type { ReactionDefinition, TimerDefinition } from '../processes/order/reactions.ts';
import { stockWatch } from '../processes/order/stock-watch.ts';
import { WEBHOOKS } from '../processes/webhook/directory.ts';
import type { Projection, ViewIndex } from '../projections/engine/index.ts';
import { customers } from '../projections/views/customers.ts';
import { orderIndex, orders } from '../projections/views/orders.ts';
import { ordersByUser } from '../projections/views/orders-by-user.ts';
import { productIndex, products } from '../projections/views/products.ts';
import { statistics } from '../projections/views/statistics.ts';
import { userIndex, users } from '../projections/views/users.ts';
import { webhookIndex, webhooks } from '../projections/views/webhooks.ts';

// What the service is made of, said once. Whatever else has to know the names reads them here, is generated from this
// file, or is compared with it by `make check`. docs/add-an-aggregate.md says what belongs to a new entry.

/** The kinds of aggregates. */
export const aggregates: readonly AnyDecider[] = [user, email, product, order, webhook];

/** The read models, in the order in which they are listed. */
export const views: readonly Projection[] = [
  users,
  customers,
  products,
  orders,
  ordersByUser,
  statistics,
  webhooks,
];

/** What the lists of the API are made of: kept by the processes that answer requests. */
export const indexes: readonly ViewIndex[] = [userIndex, productIndex, orderIndex, webhookIndex];

/** What handles events, in the order in which it is listed. */
export const reactions: readonly ReactionDefinition[] = [
  orderProcess,
  stockWatch,
  customerWatch,
  emailBackstop,
  accountNotices,
  forgetting,
];

/** The kinds of timers, and what each does when it fires. */
export const timers: readonly TimerDefinition[] = [paymentDeadline, emailClaimTimeout, forgettingTimer];

/** What other services may know, in the order in which it is documented. An aggregate without one stays private. */
export const contracts: readonly AnyContract[] = [publicOrders, catalogue, publicUsers];

/** Whatever runs as a consumer: the reactions, the publisher of each contract, and what reads none of the log's events. */
export const consumers: readonly Pick<ReactionDefinition, 'name' | 'sources'>[] = [
  ...reactions,
  ...contracts.map((contract) => ({ name: publisherName(contract), sources: [contract.source] })),
  { name: NOTIFICATIONS, sources: [] },
  { name: WEBHOOKS, sources: [] },
];

/** The HTTP API, in the order in which it is documented. Loaded only by processes that answer requests. */
export async function apiModules(): Promise<readonly ApiModule[]> {
  return [
    (await import('../api/routes/users.ts')).userApi,
    (await import('../api/routes/forgetting.ts')).forgettingApi,
    (await import('../api/export/module.ts')).exportApi,
    (await import('../api/routes/products.ts')).productApi,
    (await import('../api/routes/batches.ts')).batchApi,
    (await import('../api/routes/orders.ts')).orderApi,
    (await import('../api/events/orders-of-user.ts')).ordersOfUserApi,
    (await import('../api/routes/statistics.ts')).statisticsApi,
    (await import('../api/routes/webhooks.ts')).webhookApi,
    (await import('../api/routes/admin.ts')).adminApi,
    (await import('../api/operators/module.ts')).operatorsApi,
  ];
}

/** Fields of events and states that are shown to nobody. */
export const hiddenFields = hiddenNames(aggregates.flatMap(({ events }) => events));

/** The categories of the aggregates, for messages and labels. */
export const categories: readonly string[] = aggregates.map(({ category }) => category);
