import { type OrderEvent, order } from '../../domain/order.ts';
import { product } from '../../domain/product.ts';
import type { Rejection } from '../../eventstore/index.ts';
import { GiveUp } from '../engine/index.ts';
import type { Notification } from '../notification/port.ts';
import type { EffectContext } from './effect-context.ts';
import type { Item, OrderEffect } from './react.ts';

/**
 * Reserves product after product; the first refusal rejects the order. What was reserved before it is released because
 * of that rejection, by whoever handles it, and not here: this worker may die, or be late, between any two of them.
 */
export async function reserveStock(items: readonly Item[], context: EffectContext): Promise<void> {
  const { id: orderId, deps, cause, report } = context;
  // Who cannot get everything must not hold some of it, be it for a moment, while somebody else is refused it.
  for (const item of items.length > 1 ? items : []) {
    const refusal = await foreseenRefusal(item, context);
    if (refusal !== undefined) return refuse(item.sku, refusal, context);
  }
  for (const { sku, quantity } of items) {
    const command = { type: 'reserveStock' as const, orderId, quantity, at: deps.runtime.now() };
    const reply = await cause.attempt(product, sku, command, 'reserve-stock');
    if (reply.outcome === 'rejected') return refuse(sku, reply.rejection, context);
  }
  return report('reserve-stock', { type: 'recordStockReserved' });
}

/** Why a product would refuse the reservation. Knowledge of any age will do to go on; a refusal needs the newest. */
async function foreseenRefusal(
  { sku, quantity }: Item,
  { id: orderId, handler, deps }: EffectContext,
): Promise<Rejection | undefined> {
  const command = { type: 'reserveStock' as const, orderId, quantity, at: deps.runtime.now() };
  const refusal = async (maxAgeMs: number): Promise<Rejection | undefined> => {
    const { state } = await handler.load(product, sku, { maxAgeMs, toDecide: command });
    const outcome = product.decide(command, state);
    return 'code' in outcome ? outcome : undefined;
  };
  return (await refusal(Number.POSITIVE_INFINITY)) && refusal(0);
}

function refuse(sku: string, { code }: Rejection, { reject }: EffectContext): Promise<void> {
  const [why, reason] =
    code === 'product/insufficient-stock'
      ? ['inventory/insufficient-stock', `There is not enough stock of ${sku}.`]
      : ['inventory/unavailable', `${sku} cannot be delivered any more.`];
  return reject('reserve-stock', 'inventory', why, reason);
}

/** Releases what is reserved on every line and bars the order from each, then records that on the order. */
export async function releaseStock(items: readonly Item[], context: EffectContext): Promise<void> {
  await forEachProduct(items, context, 'releaseStock', 'release-stock');
  return context.report('release-stock', { type: 'recordStockReleased' });
}

/** Takes what is reserved out of the warehouse. */
export function shipStock(items: readonly Item[], context: EffectContext): Promise<void> {
  return forEachProduct(items, context, 'shipStock', 'ship-stock');
}

/** Takes what is still reserved out of the warehouse and bars the order from each product, then records that. */
export async function writeOffStock(items: readonly Item[], context: EffectContext): Promise<void> {
  await forEachProduct(items, context, 'shipStock', 'write-off-stock');
  return context.report('write-off-stock', { type: 'recordStockReleased' });
}

/** Brings what was shipped back into the warehouse, then records that no product waits for it any more. */
export async function returnStock(items: readonly Item[], context: EffectContext): Promise<void> {
  const { id: orderId, deps, cause, report } = context;
  for (const { sku, quantity } of items) {
    const command = { type: 'returnStock' as const, orderId, quantity, at: deps.runtime.now() };
    await cause.execute(product, sku, command, 'return-stock');
  }
  return report('return-stock', { type: 'recordStockReleased' });
}

async function forEachProduct(
  items: readonly Item[],
  { id: orderId, deps, cause }: EffectContext,
  type: 'releaseStock' | 'shipStock',
  purpose: string,
): Promise<void> {
  for (const { sku } of items) {
    await cause.execute(product, sku, { type, orderId, at: deps.runtime.now() }, purpose);
  }
}

type Authorisation = Extract<OrderEffect, { type: 'authorise-payment' }>;

/** Somebody ended the payment at the provider itself; the order must not wait for it. */
const GIVEN_UP = ['payment', 'payment/cancelled', 'The payment was cancelled at the provider.'] as const;

/** Makes the intent known and authorises it. The order's id is the payment's key, for ever. */
export async function authorisePayment(effect: Authorisation, context: EffectContext): Promise<void> {
  const { id: key, report, reject } = context;
  const { payments } = context.deps;
  const { amountMinor, currency, token } = effect;
  await payments.createIntent({ key, amountMinor, currency, token });
  const result = await payments.authorise(key);
  switch (result.outcome) {
    case 'authorised': {
      const { paymentId } = result;
      return report('authorise-payment', { type: 'recordAuthorised', paymentId, amountMinor, currency });
    }
    case 'declined':
      return reject('authorise-payment', 'payment', `payment/${result.code}`, result.message);
    case 'cancelled':
      return reject('authorise-payment', ...GIVEN_UP);
  }
}

/** Takes the money; only the provider's own word confirms the order. */
export async function capturePayment(context: EffectContext): Promise<void> {
  const { id: key, report, reject } = context;
  const result = await context.deps.payments.capture(key);
  switch (result.outcome) {
    case 'captured': {
      const { paymentId, amountMinor, currency } = result;
      return report('capture-payment', { type: 'recordCaptured', paymentId, amountMinor, currency });
    }
    case 'declined':
      return reject('capture-payment', 'payment', `payment/${result.code}`, result.message);
    case 'cancelled':
      return reject('capture-payment', ...GIVEN_UP);
  }
}

/**
 * Ends the payment at the provider for ever, before anything else is asked: whatever a late worker still sends under
 * this key is refused there. Money that was taken already, perhaps unknown to the order, is given back (protocol 11).
 */
export async function returnPayment(context: EffectContext): Promise<void> {
  const { id: key, report } = context;
  const cancelled = await context.deps.payments.cancel(key);
  if (cancelled.outcome === 'cancelled') {
    const { paymentId } = cancelled;
    return report('return-payment', { type: 'recordPaymentCancelled', paymentId });
  }
  return refundPayment(context);
}

/** Has the provider give back all that it captured. */
export async function refundPayment({ id: key, deps, report }: EffectContext): Promise<void> {
  const { paymentId, amountMinor, currency } = await deps.payments.refund(key);
  // Named as it always was, since the command's id derives from it.
  return report('return-payment', { type: 'recordPaymentRefunded', paymentId, amountMinor, currency });
}

type Kind = Extract<OrderEffect, { type: 'notify' }>['kind'];

/** Puts the notification of an event on its stream; its id derives from the event. */
export async function notify(kind: Kind, context: EffectContext): Promise<void> {
  const { id: orderId, consumed, handler, deps, delivery } = context;
  // Whose order it is never changes, so any knowledge of it will do.
  const { state } = await handler.load(order, orderId, { maxAgeMs: Number.POSITIVE_INFINITY });
  if (state.status === 'absent') throw new GiveUp(`There is no order ${orderId} to tell of.`);
  const notification: Notification = {
    id: `${consumed.id}/${kind}`,
    kind,
    userId: state.userId,
    orderId,
    text: textOf(kind, consumed.event),
    time: consumed.time,
    traceparent: consumed.traceparent,
  };
  return deps.notifications.publish(notification, delivery);
}

function textOf(kind: Kind, event: OrderEvent): string {
  switch (kind) {
    case 'order-confirmed':
      return 'Your order is confirmed.';
    case 'order-rejected': {
      const reason = event.$typeName === 'jetledger.order.v1.OrderRejected' ? ` ${event.reason}` : '';
      return `Your order could not be accepted.${reason}`;
    }
    case 'order-refunded':
      return 'Your order was refunded; all that you paid was given back.';
    case 'order-shipped': {
      const tracking = event.$typeName === 'jetledger.order.v1.OrderShipped' ? event.tracking : '';
      return tracking === '' ? 'Your order is on its way.' : `Your order is on its way: ${tracking}.`;
    }
  }
}
