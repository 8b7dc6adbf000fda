import {
  type Attributes,
  type Context,
  context,
  type Meter,
  type Span,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';
import { type OrderEvent, order } from '../../domain/order.ts';
import { activeTrace, codecOf, endFailed, isSampled, labelSets, within } from '../../eventstore/index.ts';
import {
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderDeliveredSchema,
  OrderPlacedSchema,
  OrderRefundGrantedSchema,
  OrderRejectedSchema,
  OrderShippedSchema,
} from '../../gen/jetledger/order/v1/order_pb.ts';
import { boundedLabel, type EngineObserver } from '../engine/index.ts';

import type { AroundStep, EffectContext } from './effect-context.ts';
import type { OrderEffect } from './react.ts';

const [STEP, ORDER_ID, REASON] = ['jetledger.step', 'jetledger.order.id', 'jetledger.reason'] as const;

type Step = 'customer_validation' | 'inventory' | 'payment';
type StepEffect = Exclude<OrderEffect['type'], 'notify'>;

/** The span of each effect that is a step, and the part of the order that it belongs to. */
const STEPS: Readonly<Record<StepEffect, { readonly span: string; readonly step: Step }>> = {
  'validate-customer': { span: 'customer_validation', step: 'customer_validation' },
  'reserve-stock': { span: 'reserve_stock', step: 'inventory' },
  'release-stock': { span: 'release_stock', step: 'inventory' },
  'ship-stock': { span: 'ship_stock', step: 'inventory' },
  'return-stock': { span: 'return_stock', step: 'inventory' },
  'write-off-stock': { span: 'write_off_stock', step: 'inventory' },
  'authorise-payment': { span: 'authorize_payment', step: 'payment' },
  'capture-payment': { span: 'capture_payment', step: 'payment' },
  'return-payment': { span: 'void_payment', step: 'payment' },
  'refund-payment': { span: 'refund_payment', step: 'payment' },
};

/**
 * An INTERNAL span for each step of the order process. A step that fails for a reason of the business, which is no
 * error of the program, is shown as failed with its code and its sentence: a reader of the trace looks for it.
 */
export function traceSteps(tracer: Tracer): AroundStep {
  return async (effect, effectContext, run) => {
    const above = activeTrace();
    const named = (STEPS as Readonly<Record<string, (typeof STEPS)[StepEffect]>>)[effect.type];
    if (named === undefined || above === undefined || !isSampled(above)) return run(effectContext);
    const parent = context.active();
    const attributes: Attributes = {
      [STEP]: named.step,
      [ORDER_ID]: effectContext.id,
    };
    const span = tracer.startSpan(named.span, { attributes }, parent);
    try {
      await within(parent, span, () => run(watched(effectContext, { span, parent, tracer })));
      span.end();
    } catch (error) {
      endFailed(span, error);
      throw error;
    }
  };
}

/** The effect context, with its step's span told what is reported to the order, which may be after the step. */
function watched(
  effectContext: EffectContext,
  { span, parent, tracer }: { readonly span: Span; readonly parent: Context; readonly tracer: Tracer },
): EffectContext {
  const { report, reject } = effectContext;
  return {
    ...effectContext,
    report: async (purpose, command, options) => {
      if (command.type === 'recordPaymentRefunded') span.updateName('refund_payment');
      const tell = () => report(purpose, command, options);
      // With the money taken the order is confirmed, in one commit.
      if (command.type === 'recordCaptured') return confirming(tracer, effectContext, tell);
      return within(parent, span, tell);
    },
    reject: (purpose, step, code, reason) => {
      span.setAttribute(REASON, code);
      span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
      return reject(purpose, step, code, reason);
    },
  };
}

async function confirming(tracer: Tracer, { id }: EffectContext, run: () => Promise<void>): Promise<void> {
  const parent = context.active();
  const span = tracer.startSpan('confirm', { attributes: { [ORDER_ID]: id } }, parent);
  try {
    await within(parent, span, run);
    span.end();
  } catch (error) {
    endFailed(span, error);
    throw error;
  }
}

/** The provider's own codes are among them, and nobody knows how many it has. */
const MAX_CODES = 40;

const STATUSES = [
  ...(['placed', 'confirmed', 'rejected', 'expired', 'cancelled'] as const),
  ...(['shipped', 'delivered', 'refunded'] as const),
];

/** What an order became by an event of a type. */
const STATUS_OF = new Map<string, string>([
  [OrderPlacedSchema.name, 'placed'],
  [OrderConfirmedSchema.name, 'confirmed'],
  [OrderRejectedSchema.name, 'rejected'],
  [OrderCancelledSchema.name, 'cancelled'],
  [OrderShippedSchema.name, 'shipped'],
  [OrderDeliveredSchema.name, 'delivered'],
  [OrderRefundGrantedSchema.name, 'refunded'],
]);

/**
 * Counts orders by what they became, at the process that handled the event: once for each event, and again for one
 * whose handling was repeated after a crash or on a redrive.
 */
export function meterOrders(meter: Meter): EngineObserver {
  const orders = meter.createCounter('jetledger.orders', { description: 'Orders by what they became' });
  const labels = labelSets('status', 'step', 'code');
  for (const status of STATUSES) orders.add(0, labels(status, '', ''));
  const bounded = boundedLabel(MAX_CODES);
  const { decode } = codecOf<OrderEvent>(order);
  const rejected = (event: OrderEvent): Attributes | undefined => {
    if (event.$typeName !== 'jetledger.order.v1.OrderRejected') return undefined;
    const { step, code } = event;
    return labels(code === 'payment/expired' ? 'expired' : 'rejected', step, bounded(code));
  };
  return {
    outcome: ({ consumer, commit }, outcome) => {
      if (outcome !== 'handled' || consumer !== 'order-process') return;
      const { stream, decisions } = commit;
      if (stream.category !== order.category) return;
      for (const stored of decisions.flatMap(({ events }) => events)) {
        const status = STATUS_OF.get(stored.type);
        if (status === undefined) continue;
        // Only of a rejection more is counted than its type says.
        const isRejected = status === 'rejected';
        orders.add(1, (isRejected && rejected(decode(stored, stream.id))) || labels(status, '', ''));
      }
    },
  };
}
