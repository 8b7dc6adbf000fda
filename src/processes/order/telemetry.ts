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
import { activeTrace, codecOf, endFailed, isSampled, within } from '../../eventstore/index.ts';
import { boundedLabel, type DeliveryAttempt, type EngineObserver } from '../engine/index.ts';

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

/** What an order became by an event. */
interface StatusChange {
  readonly status: string;
  readonly step: string;
  readonly code: string;
}

/**
 * Counts orders by what they became, at the process that handled the event: once for each event, and again for one
 * whose handling was repeated after a crash or on a redrive.
 */
export function meterOrders(meter: Meter): EngineObserver {
  const orders = meter.createCounter('jetledger.orders', { description: 'Orders by what they became' });
  for (const status of STATUSES) {
    orders.add(0, { status, step: '', code: '' });
  }
  const bounded = boundedLabel(MAX_CODES);
  return {
    outcome: ({ consumer, commit }, outcome) => {
      if (outcome !== 'handled' || consumer !== 'order-process') return;
      for (const { status, step, code } of statusChangesOf(commit)) {
        orders.add(1, { status, step, code: bounded(code) });
      }
    },
  };
}

function statusChangesOf(commit: DeliveryAttempt['commit']): StatusChange[] {
  if (commit.stream.category !== order.category) return [];
  const { decode } = codecOf<OrderEvent>(order);
  return commit.decisions.flatMap(({ events }) =>
    events.flatMap((stored) => statusChangeOf(decode(stored, commit.stream.id)) ?? []),
  );
}

function statusChangeOf(event: OrderEvent): StatusChange | undefined {
  const plain = (status: string): StatusChange => ({ status, step: '', code: '' });
  switch (event.$typeName) {
    case 'jetledger.order.v1.OrderPlaced':
      return plain('placed');
    case 'jetledger.order.v1.OrderConfirmed':
      return plain('confirmed');
    case 'jetledger.order.v1.OrderCancelled':
      return plain('cancelled');
    case 'jetledger.order.v1.OrderShipped':
      return plain('shipped');
    case 'jetledger.order.v1.OrderDelivered':
      return plain('delivered');
    case 'jetledger.order.v1.OrderRefundGranted':
      return plain('refunded');
    case 'jetledger.order.v1.OrderRejected': {
      const { step, code } = event;
      return { status: code === 'payment/expired' ? 'expired' : 'rejected', step, code };
    }
    default:
      return undefined;
  }
}
