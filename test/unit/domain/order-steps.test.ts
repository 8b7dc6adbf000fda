import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import {
  CustomerValidatedSchema,
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderDeliveredSchema,
  OrderPlacedSchema,
  OrderRefundGrantedSchema,
  OrderRejectedSchema,
  OrderShippedSchema,
  OrderStockReleasedSchema,
  OrderStockReservedSchema,
  PaymentAuthorisedSchema,
  PaymentCancelledSchema,
  PaymentCapturedSchema,
  PaymentRefundedSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { AT, AT_EVENT, given } from './spec.ts';

const DUE = AT + 1_000;
const money = { paymentId: 'p1', amountMinor: 900n, currency: 'EUR' };

const placed = create(OrderPlacedSchema, {
  orderId: 'o1',
  userId: 'u1',
  lines: [{ sku: 'TEA-1', name: 'Tea', quantity: 2n, unitPriceMinor: 450n, lineTotalMinor: 900n }],
  currency: 'EUR',
  totalMinor: 900n,
  placedAt: AT_EVENT,
  paymentToken: 'tok_1',
  paymentDueAt: BigInt(DUE),
});
const validated = create(CustomerValidatedSchema, { validatedAt: AT_EVENT, directoryPosition: 7n });
const reserved = create(OrderStockReservedSchema, { reservedAt: AT_EVENT });
const authorised = create(PaymentAuthorisedSchema, { ...money, authorisedAt: AT_EVENT });
const captured = create(PaymentCapturedSchema, { ...money, capturedAt: AT_EVENT });
const confirmed = create(OrderConfirmedSchema, { confirmedAt: AT_EVENT });
const shipped = create(OrderShippedSchema, { tracking: 'T-1', shippedAt: AT_EVENT });
const delivered = create(OrderDeliveredSchema, { deliveredAt: AT_EVENT });
const cancelled = create(OrderCancelledSchema, {
  cancelledAt: AT_EVENT,
  by: 'customer',
  userId: 'u1',
});
const rejection = (step: string) =>
  create(OrderRejectedSchema, { step, code: 'a/b', reason: 'Because.', rejectedAt: AT_EVENT });
const released = create(OrderStockReleasedSchema, { releasedAt: AT_EVENT });
const returned = create(PaymentCancelledSchema, { paymentId: 'p1', cancelledAt: AT_EVENT });
const refunded = create(PaymentRefundedSchema, { ...money, refundedAt: AT_EVENT });

const paid = [placed, validated, reserved, authorised, captured, confirmed] as const;
const recordValidated = { type: 'recordCustomerValidated', directoryPosition: 7, at: AT } as const;
const recordReserved = { type: 'recordStockReserved', at: AT } as const;
const recordAuthorised = { type: 'recordAuthorised', ...money, at: AT } as const;
const recordCaptured = { type: 'recordCaptured', ...money, at: AT } as const;
const recordReleased = { type: 'recordStockReleased', at: AT } as const;
const recordReturned = { type: 'recordPaymentCancelled', paymentId: 'p1', at: AT } as const;
const recordRefunded = { type: 'recordPaymentRefunded', ...money, at: AT } as const;
const reject = (step: 'customer_validation' | 'inventory' | 'payment') =>
  ({ type: 'reject', step, code: 'a/b', reason: 'Because.', at: AT }) as const;
const expire = (at: number) => ({ type: 'expire', at }) as const;
const cancel = { type: 'cancel', reason: '', by: 'customer', at: AT } as const;
const ship = { type: 'ship', tracking: 'T-1', at: AT } as const;
const deliver = { type: 'deliver', at: AT } as const;

describe('the steps of an order', () => {
  test('are recorded one after the other', () => {
    given(order, placed).when(recordValidated).thenEvents(validated);
    given(order, placed, validated).when(recordReserved).thenEvents(reserved);
    given(order, placed, validated, reserved).when(recordAuthorised).thenEvents(authorised);
  });

  test('say what the order waits for, and from when on money may be touched', () => {
    expect(given(order, placed).state).toMatchObject({
      step: 'customer_validation',
      paymentTouched: false,
    });
    expect(given(order, placed, validated).state).toMatchObject({
      step: 'inventory',
      paymentTouched: false,
    });
    expect(given(order, placed, validated, reserved).state).toMatchObject({
      step: 'payment',
      paymentTouched: true,
      paymentId: undefined,
    });
  });

  test('end with the capture and the confirmation in one decision', () => {
    given(order, placed, validated, reserved, authorised)
      .when(recordCaptured)
      .thenEvents(captured, confirmed);
    const { state } = given(order, ...paid);
    expect(state).toMatchObject({ status: 'confirmed', paymentId: 'p1' });
    expect(state).not.toHaveProperty('step');
  });

  test('of another order, step or time change nothing', () => {
    given(order, placed).when(recordReserved).thenNothing();
    given(order, placed).when(recordCaptured).thenNothing();
    given(order, placed, validated).when(recordValidated).thenNothing();
    given(order, placed, validated, reserved, authorised).when(recordAuthorised).thenNothing();
  });

  test.each([
    ['cancelled', [placed, cancelled]],
    ['rejected', [placed, rejection('payment')]],
    ['confirmed', paid],
    ['shipped', [...paid, shipped]],
  ] as const)('that are reported late to an order that is %s change nothing', (_status, history) => {
    for (const late of [recordValidated, recordReserved, recordAuthorised, recordCaptured]) {
      given(order, ...history)
        .when(late)
        .thenNothing();
    }
    given(order, ...history)
      .when(expire(DUE))
      .thenNothing();
    given(order, ...history)
      .when(reject('payment'))
      .thenNothing();
  });

  test('refuse a payment of another amount or currency than the total', () => {
    const history = [placed, validated, reserved] as const;
    const wrong = [{ amountMinor: 901n }, { currency: 'USD' }];
    for (const other of wrong) {
      given(order, ...history)
        .when({ ...recordAuthorised, ...other })
        .thenRejected('order/amount-mismatch');
      given(order, ...history, authorised)
        .when({ ...recordCaptured, ...other })
        .thenRejected('order/amount-mismatch');
    }
  });

  test('of an order that does not exist are refused', () => {
    given(order).when(recordValidated).thenRejected('order/not-found');
    given(order).when(expire(DUE)).thenRejected('order/not-found');
  });
});

describe('rejecting an order', () => {
  test('records step, code and reason', () => {
    given(order, placed, validated).when(reject('inventory')).thenEvents(rejection('inventory'));
    expect(given(order, placed, validated, rejection('inventory')).state).toMatchObject({
      status: 'rejected',
      step: 'inventory',
      code: 'a/b',
      reason: 'Because.',
    });
  });

  test('for a step that was done meanwhile changes nothing', () => {
    given(order, placed, validated, reserved).when(reject('inventory')).thenNothing();
    given(order, placed, validated).when(reject('payment')).thenNothing();
  });
});

describe('the deadline of the payment', () => {
  const expired = create(OrderRejectedSchema, {
    step: 'payment',
    code: 'payment/expired',
    reason: 'The payment was not completed in time.',
    rejectedAt: BigInt(DUE),
  });

  test('rejects an order at any step from that moment on', () => {
    given(order, placed).when(expire(DUE)).thenEvents(expired);
    given(order, placed, validated, reserved, authorised).when(expire(DUE)).thenEvents(expired);
  });

  test('does nothing before it is due', () => {
    given(order, placed)
      .when(expire(DUE - 1))
      .thenNothing();
  });
});

describe('compensation', () => {
  test('is recorded once on an order that failed or was cancelled', () => {
    given(order, placed, validated, cancelled).when(recordReleased).thenEvents(released);
    given(order, placed, validated, cancelled, released).when(recordReleased).thenNothing();
    given(order, ...paid, cancelled)
      .when(recordRefunded)
      .thenEvents(refunded);
    given(order, ...paid, cancelled, refunded)
      .when(recordRefunded)
      .thenNothing();
    given(order, placed, rejection('payment')).when(recordReturned).thenEvents(returned);
    given(order, placed, rejection('payment'), returned).when(recordReturned).thenNothing();
    given(order, placed, rejection('payment'), returned).when(recordRefunded).thenNothing();
  });

  test('of an order that goes on changes nothing', () => {
    for (const early of [recordReleased, recordReturned, recordRefunded]) {
      given(order, ...paid)
        .when(early)
        .thenNothing();
    }
  });

  test('refuses a refund of another amount', () => {
    given(order, ...paid, cancelled)
      .when({ ...recordRefunded, amountMinor: 1n })
      .thenRejected('order/amount-mismatch');
  });
});

describe('the later life of an order', () => {
  test('a confirmed one is shipped, then delivered; each again changes nothing', () => {
    given(order, ...paid)
      .when(ship)
      .thenEvents(shipped);
    given(order, ...paid, shipped)
      .when(ship)
      .thenNothing();
    given(order, ...paid, shipped)
      .when(deliver)
      .thenEvents(delivered);
    given(order, ...paid, shipped, delivered)
      .when(deliver)
      .thenNothing();
  });

  test('only a confirmed one can be shipped and only a shipped one delivered', () => {
    given(order, placed, validated, reserved).when(ship).thenRejected('order/not-confirmed');
    given(order, ...paid, cancelled)
      .when(ship)
      .thenRejected('order/not-confirmed');
    given(order, ...paid)
      .when(deliver)
      .thenRejected('order/not-shipped');
  });

  test.each(['ü', 'a\nb', 'x'.repeat(101)])('refuses the tracking number %j', (tracking) => {
    given(order, ...paid)
      .when({ ...ship, tracking })
      .thenRejected('order/invalid-tracking');
  });

  test('a confirmed one can be cancelled, a shipped or rejected one not', () => {
    given(order, ...paid)
      .when(cancel)
      .thenEvents(cancelled);
    given(order, ...paid, shipped)
      .when(cancel)
      .thenRejected('order/already-shipped');
    given(order, ...paid, shipped, delivered)
      .when(cancel)
      .thenRejected('order/already-shipped');
    given(order, placed, rejection('customer_validation'))
      .when(cancel)
      .thenRejected('order/already-rejected');
  });

  test('a cancelled one says on whose behalf', () => {
    const byShop = { ...cancel, by: 'customer-deactivated' } as const;
    given(order, placed)
      .when(byShop)
      .thenEvents({ ...cancelled, by: 'customer-deactivated' });
  });
});

describe('a refund', () => {
  const refund = (restock = true, reason = 'Lost') => ({ type: 'refund', reason, restock, at: AT }) as const;
  const granted = (restock = true) =>
    create(OrderRefundGrantedSchema, { reason: 'Lost', restock, grantedAt: AT_EVENT, userId: 'u1' });

  test.each([
    ['confirmed', paid, false],
    ['shipped', [...paid, shipped], true],
    ['delivered', [...paid, shipped, delivered], true],
  ] as const)('is granted to an order that is %s', (_status, history, wasShipped) => {
    given(order, ...history)
      .when(refund())
      .thenEvents(granted());
    expect(given(order, ...history, granted(false)).state).toMatchObject({
      status: 'refunded',
      restock: false,
      shipped: wasShipped,
      paymentReturned: false,
      stockReleased: false,
    });
  });

  test.each([
    ['placed', [placed]],
    ['rejected', [placed, rejection('customer_validation')]],
    ['cancelled', [...paid, cancelled]],
  ] as const)('is refused to an order that is %s', (_status, history) => {
    given(order, ...history)
      .when(refund())
      .thenRejected('order/not-refundable');
  });

  test('happens once: the same again changes nothing, with another fate of the goods it is refused', () => {
    given(order, ...paid, granted())
      .when(refund())
      .thenNothing();
    given(order, ...paid, granted())
      .when(refund(false))
      .thenRejected('order/already-refunded');
  });

  test('ends the order: nothing is cancelled, shipped or delivered any more', () => {
    for (const command of [cancel, ship, deliver]) {
      given(order, ...paid, granted())
        .when(command)
        .thenRejected('order/already-refunded');
    }
  });

  test('needs a reason that can be seen', () => {
    for (const reason of ['', ' ', 'a\nb', 'x'.repeat(501)]) {
      given(order, ...paid)
        .when(refund(true, reason))
        .thenRejected('order/invalid-reason');
    }
  });

  test('is settled by the money that the provider gave back, and by the stock, each once', () => {
    const ended = [...paid, granted()] as const;
    given(order, ...ended)
      .when(recordRefunded)
      .thenEvents(refunded);
    given(order, ...ended)
      .when(recordReleased)
      .thenEvents(released);
    given(order, ...ended, refunded, released)
      .when(recordRefunded)
      .thenNothing();
    given(order, ...ended, refunded, released)
      .when(recordReleased)
      .thenNothing();
  });

  test('of another amount is for an operator, and a payment that was cancelled repays nothing', () => {
    const ended = [...paid, granted()] as const;
    given(order, ...ended)
      .when({ ...recordRefunded, amountMinor: 899n })
      .thenRejected('order/amount-mismatch');
    given(order, ...ended)
      .when(recordReturned)
      .thenNothing();
  });
});
