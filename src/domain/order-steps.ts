import { create } from '@bufbuild/protobuf';
import {
  CustomerValidatedSchema,
  OrderConfirmedSchema,
  OrderRejectedSchema,
  OrderStockReleasedSchema,
  OrderStockReservedSchema,
  PaymentAuthorisedSchema,
  PaymentCancelledSchema,
  PaymentCapturedSchema,
  PaymentRefundedSchema,
} from '../gen/jetledger/order/v1/order_pb.ts';
import { type Rejection, rejected, type Timed } from './decider.ts';
import type { KnownOrder, OrderEvent, OrderStep } from './order-state.ts';

interface Payment {
  /** The provider's. */
  readonly paymentId: string;
  readonly amountMinor: bigint;
  readonly currency: string;
}

/** What the order process reports to an order. A report that comes twice, or too late to matter, changes nothing. */
export type StepCommand =
  /** `directoryPosition`: up to where the customer directory had read the log. */
  | Timed<{ type: 'recordCustomerValidated'; directoryPosition: number }>
  | Timed<{ type: 'recordStockReserved' }>
  | Timed<{ type: 'recordAuthorised' } & Payment>
  /** Confirms the order in the same breath: there is no moment at which it is paid and may still fail. */
  | Timed<{ type: 'recordCaptured' } & Payment>
  /** Counts only while the order is at that step: a late report cannot undo a step that was done meanwhile. */
  | Timed<{ type: 'reject'; step: OrderStep; code: string; reason: string }>
  /** Nothing before the payment is due. */
  | Timed<{ type: 'expire' }>
  | Timed<{ type: 'recordStockReleased' }>
  /** `paymentId` is empty when the provider had never heard of it. */
  | Timed<{ type: 'recordPaymentCancelled'; paymentId: string }>
  | Timed<{ type: 'recordPaymentRefunded' } & Payment>;

export interface StepRejection extends Rejection {
  /** The provider moved another amount than the order's total: for an operator, since no retry can mend it. */
  readonly code: 'order/amount-mismatch';
}

type Outcome = readonly OrderEvent[] | StepRejection;

/** What a report comes to. */
export function decideStep(command: StepCommand, order: KnownOrder): Outcome {
  switch (command.type) {
    case 'recordStockReleased':
    case 'recordPaymentCancelled':
    case 'recordPaymentRefunded':
      return compensated(command, order);
    default:
      return advanced(command, order);
  }
}

type Compensation = 'recordStockReleased' | 'recordPaymentCancelled' | 'recordPaymentRefunded';

function advanced(command: Exclude<StepCommand, { type: Compensation }>, order: KnownOrder): Outcome {
  if (order.status !== 'placed') return [];
  const at = BigInt(command.at);
  switch (command.type) {
    case 'recordCustomerValidated': {
      if (order.step !== 'customer_validation') return [];
      const directoryPosition = BigInt(command.directoryPosition);
      return [create(CustomerValidatedSchema, { validatedAt: at, directoryPosition })];
    }
    case 'recordStockReserved':
      return order.step === 'inventory' ? [create(OrderStockReservedSchema, { reservedAt: at })] : [];
    case 'recordAuthorised': {
      if (order.step !== 'payment' || order.paymentId !== undefined) return [];
      if (!isTotal(command, order)) return AMOUNT_MISMATCH;
      return [create(PaymentAuthorisedSchema, { ...paymentOf(command), authorisedAt: at })];
    }
    case 'recordCaptured': {
      if (order.step !== 'payment') return [];
      if (!isTotal(command, order)) return AMOUNT_MISMATCH;
      const captured = create(PaymentCapturedSchema, { ...paymentOf(command), capturedAt: at });
      return [captured, create(OrderConfirmedSchema, { confirmedAt: at })];
    }
    case 'reject': {
      const { step, code, reason } = command;
      return order.step === step ? [create(OrderRejectedSchema, { step, code, reason, rejectedAt: at })] : [];
    }
    case 'expire':
      return command.at < order.paymentDueAt
        ? []
        : [create(OrderRejectedSchema, { ...EXPIRED, rejectedAt: at })];
  }
}

function compensated(command: Extract<StepCommand, { type: Compensation }>, order: KnownOrder): Outcome {
  if (order.status !== 'rejected' && order.status !== 'cancelled') return [];
  const at = BigInt(command.at);
  switch (command.type) {
    case 'recordStockReleased':
      return order.stockReleased ? [] : [create(OrderStockReleasedSchema, { releasedAt: at })];
    case 'recordPaymentCancelled': {
      const { paymentId } = command;
      return order.paymentReturned ? [] : [create(PaymentCancelledSchema, { paymentId, cancelledAt: at })];
    }
    case 'recordPaymentRefunded': {
      if (order.paymentReturned) return [];
      if (!isTotal(command, order)) return AMOUNT_MISMATCH;
      return [create(PaymentRefundedSchema, { ...paymentOf(command), refundedAt: at })];
    }
  }
}

function isTotal({ amountMinor, currency }: Payment, order: KnownOrder): boolean {
  return amountMinor === order.totalMinor && currency === order.currency;
}

function paymentOf({ paymentId, amountMinor, currency }: Payment): Payment {
  return { paymentId, amountMinor, currency };
}

const EXPIRED = {
  step: 'payment',
  code: 'payment/expired',
  reason: 'The payment was not completed in time.',
};
const AMOUNT_MISMATCH = rejected(
  'order/amount-mismatch',
  "The payment's amount is not the order's total; settle it with the provider.",
);
