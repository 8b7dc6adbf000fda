import type { OrderEffect } from './effects.ts';
import type { Occasion } from './occasion.ts';

type Authorisation = Extract<OrderEffect, { type: 'authorise-payment' }>;

/** Somebody ended the payment at the provider itself; the order must not wait for it. */
const GIVEN_UP = ['payment', 'payment/cancelled', 'The payment was cancelled at the provider.'] as const;

/** Makes the intent known and authorises it. The order's id is the payment's key, for ever. */
export async function authorisePayment(effect: Authorisation, occasion: Occasion): Promise<void> {
  const { orderId: key, report, reject } = occasion;
  const { payments } = occasion.deps;
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
export async function capturePayment(occasion: Occasion): Promise<void> {
  const { orderId: key, report, reject } = occasion;
  const result = await occasion.deps.payments.capture(key);
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
export async function returnPayment(occasion: Occasion): Promise<void> {
  const { orderId: key, report } = occasion;
  const { payments } = occasion.deps;
  const cancelled = await payments.cancel(key);
  if (cancelled.outcome === 'cancelled') {
    const { paymentId } = cancelled;
    return report('return-payment', { type: 'recordPaymentCancelled', paymentId });
  }
  const { paymentId, amountMinor, currency } = await payments.refund(key);
  return report('return-payment', { type: 'recordPaymentRefunded', paymentId, amountMinor, currency });
}
