import type { Message } from '@bufbuild/protobuf';
import { type OrderCommand, order } from '../../../../src/domain/order.ts';
import { type ProductCommand, product } from '../../../../src/domain/product.ts';
import type { CommandHandler } from '../../../../src/eventstore/command.ts';
import type { Decider, Rejection } from '../../../../src/eventstore/decider.ts';
import { createHandler } from '../../../../src/eventstore/handler.ts';
import { numberOf } from '../../../../src/eventstore/position.ts';
import type { Runtime } from '../../../../src/eventstore/runtime.ts';
import { reactionContext } from '../../../../src/processes/engine/cause.ts';
import { createDecode } from '../../../../src/processes/engine/delivery.ts';
import type { Delivery, Reaction } from '../../../../src/processes/engine/reaction.ts';
import type { Timer } from '../../../../src/processes/engine/timers/timers.ts';
import type { Notification } from '../../../../src/processes/notification/port.ts';
import type { OrderProcessDeps } from '../../../../src/processes/order/effect-context.ts';
import type { CustomerStatus } from '../../../../src/processes/order/ports.ts';
import type { PaymentProvider } from '../../../../src/processes/payment/port.ts';
import { createMemoryStore, openMemoryLog } from '../../../../src/testing/memory-log.ts';

export const NOW = Date.UTC(2030, 0, 1);
export const DUE = NOW + 900_000;

/** A log in memory, ports that note what they are asked, and a clock that only the test moves. */
export function createProcessWorld(store = createMemoryStore()) {
  let now = NOW;
  let ids = 0;
  const runtime: Runtime = {
    now: () => now,
    random: () => 0.5,
    id: () => `${store.incarnation}-${++ids}`,
    sleep: async () => undefined,
  };
  const handler = createHandler({ log: openMemoryLog(store), runtime });
  const calls: string[] = [];
  const armed: Timer[] = [];
  const disarmed: string[] = [];
  const notifications: Notification[] = [];
  const directory = { status: 'active' as CustomerStatus };
  const money = { paymentId: 'p1', amountMinor: 900n, currency: 'EUR' };
  const payments: PaymentProvider = {
    createIntent: async ({ key }) => note(`createIntent ${key}`, { paymentId: 'p1' }),
    authorise: async (key) => note(`authorise ${key}`, { outcome: 'authorised', paymentId: 'p1' }),
    capture: async (key) => note(`capture ${key}`, { outcome: 'captured', ...money }),
    cancel: async (key) => note(`cancel ${key}`, { outcome: 'cancelled', paymentId: 'p1' }),
    refund: async (key) => note(`refund ${key}`, money),
  };
  function note<T>(call: string, answer: T): T {
    calls.push(call);
    return answer;
  }
  const deps: OrderProcessDeps & { readonly handler: CommandHandler } = {
    handler,
    runtime,
    directory: {
      customer: async (userId, position) =>
        note(`customer ${userId} as of ${numberOf(position)}`, directory.status),
    },
    payments,
    timers: {
      arm: async (timer) => {
        armed.push(timer);
      },
      disarm: async (kind, id) => {
        disarmed.push(`${kind} ${id}`);
      },
    },
    notifications: {
      publish: async (notification) => {
        notifications.push(notification);
      },
    },
  };

  const execute = <S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    id: string,
    command: C,
  ) => handler.execute(decider, id, command, { commandId: `test-${++ids}`, actor: 'tester' });

  const world = {
    deps,
    store,
    calls,
    armed,
    disarmed,
    notifications,
    directory,
    advance: (ms: number) => {
      now += ms;
    },
    execute,
    order: (command: OrderCommand) => execute(order, 'o1', command),
    /** The same by another process, of which this one hears nothing. */
    elsewhere: (command: OrderCommand) =>
      createHandler({ log: openMemoryLog(store), runtime }).execute(order, 'o1', command, {
        commandId: `test-${++ids}`,
        actor: 'tester',
      }),
    product: (sku: string, command: ProductCommand) => execute(product, sku, command),
    place: (...skus: string[]) =>
      execute(order, 'o1', {
        type: 'place',
        orderId: 'o1',
        userId: 'u1',
        lines: skus.map((sku) => ({ sku, name: sku, quantity: 2, unitPriceMinor: 450n, currency: 'EUR' })),
        paymentToken: 'tok_1',
        paymentDueAt: DUE,
        at: NOW,
      }),
    stock: async (sku: string, quantity: number) => {
      const listing = { sku, name: sku, priceMinor: 450n, currency: 'EUR', at: NOW };
      await execute(product, sku, { type: 'list', ...listing });
      if (quantity > 0)
        await execute(product, sku, { type: 'receiveStock', receiptId: 'r', quantity, at: NOW });
    },
    /** The log's events from a position on, as `id Type`. */
    eventsAfter: (position: number): string[] => {
      const events: string[] = [];
      for (let p = position + 1; p <= store.head(); p++) {
        const commit = store.at(p);
        for (const { events: stored } of commit?.decisions ?? []) {
          events.push(...stored.map(({ type }) => `${commit?.stream.id} ${type}`));
        }
      }
      return events;
    },
    orderState: async () => (await handler.load(order, 'o1')).state,
    productState: async (sku: string) => (await handler.load(product, sku)).state,
  };
  return world;
}

/** The commit at a position as a consumer is given it. */
export function deliveryAt<E extends Message>(
  store: ReturnType<typeof createMemoryStore>,
  position: number,
  { sources }: Reaction<E>,
): Delivery<E> {
  const commit = store.at(position);
  if (commit === undefined) throw new Error(`nothing to deliver at ${position}`);
  const how = { attempt: 1, redriven: false, maybeHandled: false };
  const delivery = createDecode(sources)(commit, how) as Delivery<E>;
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  return { ...delivery, events: delivery.events.map((event) => ({ ...event, traceparent })) };
}

/** Hands a consumer every commit of its categories after a position, until there are no new ones. */
export async function settle(
  world: ReturnType<typeof createProcessWorld>,
  consumer: Reaction<never>,
  after = 0,
  handler = world.deps.handler,
): Promise<void> {
  for (let position = after + 1; position <= world.store.head(); position++) {
    const category = world.store.at(position)?.stream.category;
    if (!consumer.sources.some((source) => source.category === category)) continue;
    const delivery = deliveryAt<Message>(world.store, position, consumer as Reaction);
    await consumer.handle(delivery as never, reactionContext(handler, consumer.name, delivery.position));
  }
}
