import { describe, expect, it } from 'vitest';
import { EventStoreError, LogUnavailable, UnknownEventType } from '../../../../src/eventstore/errors.ts';
import { positionOf } from '../../../../src/eventstore/position.ts';
import { CommandConflict, GiveUp, reactionContext } from '../../../../src/processes/engine/cause.ts';
import { retryPolicy } from '../../../../src/processes/engine/reaction.ts';
import { createDeadline, sweepDeadlines } from '../../../../src/processes/order/deadline.ts';
import { createOrderProcess } from '../../../../src/processes/order/order-process.ts';
import { NotSeenYet } from '../../../../src/processes/order/ports.ts';
import { PaymentRefused, PaymentUnavailable } from '../../../../src/processes/payment/port.ts';
import { createProcessWorld, DUE, deliveryAt, NOW, settle } from './process-world.ts';

const types = (events: readonly string[], id = 'o1') =>
  events.filter((event) => event.startsWith(`${id} `)).map((event) => event.slice(id.length + 1));

describe('an order', () => {
  it('is validated, reserved, authorised, captured and confirmed', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    const before = world.store.head();
    await world.place('TEA');
    await settle(world, createOrderProcess(world.deps));
    expect(world.eventsAfter(before)).toEqual([
      'o1 OrderPlaced',
      'TEA StockReserved',
      'o1 CustomerValidated',
      'o1 OrderStockReserved',
      'o1 PaymentAuthorised',
      'o1 PaymentCaptured',
      'o1 OrderConfirmed',
    ]);
    expect(world.calls).toEqual([
      `customer u1 as of ${before + 1}`,
      'createIntent o1',
      'authorise o1',
      'capture o1',
    ]);
    expect(world.armed).toEqual([{ kind: 'payment-deadline', id: 'o1', at: DUE }]);
    expect(world.disarmed).toEqual(['payment-deadline o1']);
    const last = deliveryAt(world.store, world.store.head(), createOrderProcess(world.deps));
    expect(world.notifications).toMatchObject([
      { kind: 'order-confirmed', userId: 'u1', orderId: 'o1', id: `${last.events[1]?.id}/order-confirmed` },
    ]);
  });

  it('carries correlation, cause and trace from each event to what it leads to', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    const placed = await world.place('TEA');
    if (placed.outcome !== 'accepted') throw new Error(placed.outcome);
    await settle(world, createOrderProcess(world.deps));
    const [first] = world.store.at(placed.version)?.decisions ?? [];
    const cause = deliveryAt(world.store, placed.version, createOrderProcess(world.deps));
    const [second, third] = world.store.at(placed.version + 2)?.decisions ?? [];
    const [fourth] = world.store.at(placed.version + 3)?.decisions ?? [];
    expect(second).toMatchObject({
      commandId: `${cause.events[0]?.id}/validate-customer`,
      correlationId: first?.correlationId,
      causationId: first?.commandId,
      actor: 'order-process',
    });
    expect(second?.traceparent).toContain('4bf92f3577b34da6a3ce929d0e0e4736');
    expect(third).toMatchObject({
      commandId: `${cause.events[0]?.id}/reserve-stock`,
      correlationId: first?.correlationId,
      causationId: first?.commandId,
    });
    expect(fourth).toMatchObject({
      correlationId: first?.correlationId,
      causationId: third?.commandId,
    });
  });

  it('comes to the same when every event is handled five times', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    const consumer = createOrderProcess(world.deps);
    await settle(world, consumer);
    const head = world.store.head();
    for (let i = 0; i < 4; i++) await settle(world, consumer);
    expect(world.store.head()).toBe(head);
    expect(new Set(world.notifications.map(({ id }) => id)).size).toBe(1);
  });

  it.each([
    ['unknown', 'customer/unknown'],
    ['deactivated', 'customer/deactivated'],
  ] as const)('of a customer who is %s is rejected and takes nothing', async (status, code) => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    world.directory.status = status;
    await world.place('TEA');
    await settle(world, createOrderProcess(world.deps));
    expect(await world.orderState()).toMatchObject({ status: 'rejected', step: 'customer_validation', code });
    expect(world.calls).toHaveLength(1);
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n });
    expect(world.notifications).toMatchObject([{ kind: 'order-rejected' }]);
  });

  it('for which a later line is missing gives back the lines before it, and says which', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.stock('CUP', 1);
    await world.place('TEA', 'CUP');
    await settle(world, createOrderProcess(world.deps));
    expect(await world.orderState()).toMatchObject({
      status: 'rejected',
      step: 'inventory',
      code: 'inventory/insufficient-stock',
      reason: 'There is not enough stock of CUP.',
      stockReleased: true,
    });
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n, onHand: 5n });
    expect(world.calls.filter((call) => call.includes('o1'))).toEqual([]);
  });

  it('for a product that was discontinued meanwhile is rejected as unavailable', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    await world.product('TEA', { type: 'change', discontinue: true, at: NOW });
    await settle(world, createOrderProcess(world.deps));
    expect(await world.orderState()).toMatchObject({ status: 'rejected', code: 'inventory/unavailable' });
  });

  it.each([
    ['authorise', 'payment/no-money'],
    ['capture', 'payment/no-money'],
  ] as const)(
    'whose payment is declined at %s is rejected, its stock released, the payment ended',
    async (call, code) => {
      const world = createProcessWorld();
      await world.stock('TEA', 5);
      const declined = {
        outcome: 'declined',
        paymentId: 'p1',
        code: 'no-money',
        message: 'No money.',
      } as const;
      const payments = { ...world.deps.payments, [call]: async () => declined };
      await world.place('TEA');
      await settle(world, createOrderProcess({ ...world.deps, payments }));
      expect(await world.orderState()).toMatchObject({
        status: 'rejected',
        step: 'payment',
        code,
        reason: 'No money.',
        stockReleased: true,
        paymentReturned: true,
      });
      expect(world.calls).toContain('cancel o1');
      expect(await world.productState('TEA')).toMatchObject({ reserved: 0n });
    },
  );

  it('whose payment somebody cancelled at the provider is rejected and not left waiting', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    const payments = { ...world.deps.payments, authorise: async () => ({ outcome: 'cancelled' }) as const };
    await world.place('TEA');
    await settle(world, createOrderProcess({ ...world.deps, payments }));
    expect(await world.orderState()).toMatchObject({ status: 'rejected', code: 'payment/cancelled' });
  });

  it('that is cancelled after its confirmation gets its money back', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    const payments = { ...world.deps.payments, cancel: async () => ({ outcome: 'captured' }) as const };
    const consumer = createOrderProcess({ ...world.deps, payments });
    await settle(world, consumer);
    const head = world.store.head();
    await world.order({ type: 'cancel', reason: '', by: 'customer', at: NOW });
    await settle(world, consumer, head);
    expect(types(world.eventsAfter(head))).toEqual([
      'OrderCancelled',
      'PaymentRefunded',
      'OrderStockReleased',
    ]);
    expect(world.calls.at(-1)).toBe('refund o1');
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n, onHand: 5n });
  });

  it('that is shipped leaves the warehouse once', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    const consumer = createOrderProcess(world.deps);
    await settle(world, consumer);
    await world.order({ type: 'ship', tracking: 'T-1', at: NOW });
    await settle(world, consumer);
    await settle(world, consumer);
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n, onHand: 3n });
    expect(world.notifications.at(-1)).toMatchObject({
      kind: 'order-shipped',
      text: expect.stringContaining('T-1'),
    });
  });

  it.each([
    [true, { reserved: 0n, onHand: 5n }],
    [false, { reserved: 0n, onHand: 3n }],
  ])(
    'that is refunded when confirmed, restock %s, is repaid once and its stock settled',
    async (restock, stock) => {
      const world = createProcessWorld();
      await world.stock('TEA', 5);
      await world.place('TEA');
      const consumer = createOrderProcess(world.deps);
      await settle(world, consumer);
      const head = world.store.head();
      await world.order({ type: 'refund', reason: 'Lost', restock, at: NOW });
      await settle(world, consumer);
      await settle(world, consumer);
      expect(types(world.eventsAfter(head))).toEqual([
        'OrderRefundGranted',
        'PaymentRefunded',
        'OrderStockReleased',
      ]);
      expect(world.calls.filter((call) => !call.startsWith('customer')).at(-1)).toBe('refund o1');
      expect(world.calls).not.toContain('cancel o1');
      expect(await world.productState('TEA')).toMatchObject(stock);
      expect(world.notifications.at(-1)).toMatchObject({
        kind: 'order-refunded',
        userId: 'u1',
        orderId: 'o1',
      });
    },
  );

  it('that is refunded after it was shipped has its goods back on hand once, if they come back', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    const consumer = createOrderProcess(world.deps);
    await settle(world, consumer);
    await world.order({ type: 'ship', tracking: '', at: NOW });
    await settle(world, consumer);
    await world.order({ type: 'refund', reason: 'Sent back', restock: true, at: NOW });
    await settle(world, consumer);
    await settle(world, consumer);
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n, onHand: 5n });
    expect(await world.orderState()).toMatchObject({ status: 'refunded', stockReleased: true });
  });

  it('whose stock cannot be released still gets its payment back, and the event is tried again', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    await settle(world, createOrderProcess(world.deps));
    await world.order({ type: 'cancel', reason: '', by: 'customer', at: NOW });
    const { handler } = world.deps;
    const broken: typeof handler = {
      ...handler,
      execute: async (decider, id, command, meta) => {
        if (id === 'TEA') throw new LogUnavailable('test');
        return handler.execute(decider, id, command, meta);
      },
    };
    const consumer = createOrderProcess(world.deps);
    const delivery = deliveryAt(world.store, world.store.head(), consumer);
    const context = reactionContext(broken, consumer.name, delivery.position);
    await expect(consumer.handle(delivery, context)).rejects.toThrow(LogUnavailable);
    expect(await world.orderState()).toMatchObject({ paymentReturned: true, stockReleased: false });
  });

  it('whose payment has another amount than its total needs a person', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    const other = { outcome: 'captured', paymentId: 'p1', amountMinor: 1n, currency: 'EUR' } as const;
    const payments = { ...world.deps.payments, capture: async () => other };
    await expect(settle(world, createOrderProcess({ ...world.deps, payments }))).rejects.toThrow(GiveUp);
  });
});

describe('the deadline', () => {
  it('expires an order that is not paid, though the clock here is behind', async () => {
    const world = createProcessWorld();
    await world.place('TEA');
    await createDeadline(world.deps)({ kind: 'payment-deadline', id: 'o1', at: DUE });
    expect(await world.orderState()).toMatchObject({ status: 'rejected', code: 'payment/expired' });
  });

  it('that fires for a paid order changes nothing', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    await settle(world, createOrderProcess(world.deps));
    await createDeadline(world.deps)({ kind: 'payment-deadline', id: 'o1', at: DUE });
    expect(await world.orderState()).toMatchObject({ status: 'confirmed' });
  });

  it('is armed again by the sweep, as it was and only for orders that wait', async () => {
    const world = createProcessWorld();
    await world.place('TEA');
    async function* awaitingPayment() {
      yield 'o1';
      yield 'gone';
    }
    const sweep = { ...world.deps, openOrders: { awaitingPayment } };
    expect(await sweepDeadlines(sweep)).toBe(1);
    expect(world.armed).toEqual([{ kind: 'payment-deadline', id: 'o1', at: DUE }]);
    await world.order({ type: 'cancel', reason: '', by: 'customer', at: NOW });
    expect(await sweepDeadlines(sweep)).toBe(0);
  });
});

describe('the policy', () => {
  const { deps } = createProcessWorld();
  const settings = { backoffBaseMs: 100, backoffCapMs: 1_000, attempts: 5, retryUnknown: false };
  const policy = retryPolicy(deps.runtime, settings);

  it.each([
    new LogUnavailable('test'),
    new PaymentUnavailable('capture'),
    new NotSeenYet('directory', positionOf(7)),
    new CommandConflict('order', 'o1'),
  ])('retries $name later each time, then parks', (error) => {
    const pauses = [1, 2, 3, 4].map((attempt) => policy(error, attempt));
    expect(pauses).toEqual([75, 150, 300, 600].map((afterMs) => ({ action: 'retry', afterMs })));
    expect(policy(error, 5)).toEqual({ action: 'dead-letter' });
  });

  it.each([
    new UnknownEventType('order', 'X', 1),
    new PaymentRefused('bad', 'Bad.'),
    new GiveUp('Bad.'),
    new EventStoreError('x/y', 'Bad.'),
    new TypeError('Bad.'),
    'a string',
  ])('parks %s at once', (error) => {
    expect(policy(error, 1)).toEqual({ action: 'dead-letter' });
  });
});
