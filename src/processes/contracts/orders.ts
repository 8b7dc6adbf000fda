import { create, type MessageShape } from '@bufbuild/protobuf';
import { type OrderEvent, order } from '../../domain/order.ts';
import {
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderDeliveredSchema,
  OrderPaidSchema,
  OrderPaymentReturnedSchema,
  OrderPlacedSchema,
  OrderRefundGrantedSchema,
  OrderRejectedSchema,
  OrderShippedSchema,
} from '../../gen/jetledger/public/orders/v1/orders_pb.ts';
import type { PublicContract } from '../engine/index.ts';

const events = [
  OrderPlacedSchema,
  OrderPaidSchema,
  OrderConfirmedSchema,
  OrderRejectedSchema,
  OrderCancelledSchema,
  OrderShippedSchema,
  OrderDeliveredSchema,
  OrderRefundGrantedSchema,
  OrderPaymentReturnedSchema,
] as const;

/**
 * The orders. Where they go to, what the client noted, the reasons of people, tracking numbers and the provider's ids stay
 * with us.
 */
export const orders: PublicContract<OrderEvent, MessageShape<(typeof events)[number]>> = {
  context: 'orders',
  version: 1,
  tells: 'what is ordered, and how far it has got',
  source: order,
  events,
  toPublic: {
    'jetledger.order.v1.OrderPlaced': (event, { id: orderId }) => {
      const { userId, currency, totalMinor, placedAt } = event;
      const lines = event.lines.map(({ sku, name, quantity, unitPriceMinor, lineTotalMinor }) => ({
        sku,
        name,
        quantity,
        unitPriceMinor,
        lineTotalMinor,
      }));
      return create(OrderPlacedSchema, { orderId, userId, lines, currency, totalMinor, placedAt });
    },
    'jetledger.order.v1.PaymentCaptured': ({ amountMinor, currency, capturedAt }, { id: orderId }) =>
      create(OrderPaidSchema, { orderId, amountMinor, currency, paidAt: capturedAt }),
    'jetledger.order.v1.OrderConfirmed': ({ confirmedAt }, { id: orderId }) =>
      create(OrderConfirmedSchema, { orderId, confirmedAt }),
    'jetledger.order.v1.OrderRejected': ({ step, code, rejectedAt }, { id: orderId }) =>
      create(OrderRejectedSchema, { orderId, step, code, rejectedAt }),
    'jetledger.order.v1.OrderCancelled': ({ by, cancelledAt }, { id: orderId }) =>
      create(OrderCancelledSchema, { orderId, by, cancelledAt }),
    'jetledger.order.v1.OrderShipped': ({ shippedAt }, { id: orderId }) =>
      create(OrderShippedSchema, { orderId, shippedAt }),
    'jetledger.order.v1.OrderDelivered': ({ deliveredAt }, { id: orderId }) =>
      create(OrderDeliveredSchema, { orderId, deliveredAt }),
    'jetledger.order.v1.OrderRefundGranted': ({ restock, grantedAt }, { id: orderId }) =>
      create(OrderRefundGrantedSchema, { orderId, restock, grantedAt }),
    'jetledger.order.v1.PaymentRefunded': ({ amountMinor, currency, refundedAt }, { id: orderId }) =>
      create(OrderPaymentReturnedSchema, { orderId, amountMinor, currency, returnedAt: refundedAt }),
    'jetledger.order.v1.CustomerValidated': 'private',
    'jetledger.order.v1.OrderStockReserved': 'private',
    'jetledger.order.v1.OrderStockReleased': 'private',
    'jetledger.order.v1.PaymentAuthorised': 'private',
    'jetledger.order.v1.PaymentCancelled': 'private',
  },
};
