import { RetryLater } from '../engine/index.ts';

/** What is to be paid. `key` names the intent for ever: the same key is the same intent, whoever repeats it. */
export interface PaymentIntent {
  readonly key: string;
  readonly amountMinor: bigint;
  /** ISO 4217. */
  readonly currency: string;
  /** The way to pay, as the customer's client got it from the provider. */
  readonly token: string;
}

export type AuthoriseResult =
  | { readonly outcome: 'authorised'; readonly paymentId: string }
  /** For good; another way to pay needs another order. */
  | {
      readonly outcome: 'declined';
      readonly paymentId: string;
      readonly code: string;
      readonly message: string;
    }
  /** Cancelled before, possibly before it was created. */
  | { readonly outcome: 'cancelled' };

export type CaptureResult =
  | {
      readonly outcome: 'captured';
      readonly paymentId: string;
      readonly amountMinor: bigint;
      readonly currency: string;
    }
  | { readonly outcome: 'declined'; readonly code: string; readonly message: string }
  | { readonly outcome: 'cancelled' };

export type CancelResult =
  /** Final: nothing under this key can be authorised or captured any more. `paymentId` is empty when there was none. */
  | { readonly outcome: 'cancelled'; readonly paymentId: string }
  /** Too late: it was captured; refund it. */
  | { readonly outcome: 'captured' };

export interface RefundResult {
  readonly paymentId: string;
  readonly amountMinor: bigint;
  readonly currency: string;
}

/**
 * A payment provider. Every call is safe to repeat with the same key, at once or years later, and answers the same.
 * @throws PaymentUnavailable when nothing is known (slow, down, no answer): try again. PaymentRefused when the
 *   provider says that the call itself is wrong: trying again cannot help.
 */
export interface PaymentProvider {
  /** Makes the intent known; needed once before `authorise`. */
  createIntent(intent: PaymentIntent): Promise<{ readonly paymentId: string }>;
  authorise(key: string): Promise<AuthoriseResult>;
  /** Takes all of what was authorised. */
  capture(key: string): Promise<CaptureResult>;
  /** Final at the provider even when the intent or its authorisation arrives later. */
  cancel(key: string): Promise<CancelResult>;
  /** Gives back all of what was captured. */
  refund(key: string): Promise<RefundResult>;
}

/** Nothing is known of the call; it may have worked. */
export class PaymentUnavailable extends RetryLater {
  constructor(what: string, cause?: unknown) {
    super(`The payment provider does not answer (${what}).`, cause === undefined ? undefined : { cause });
  }
}

/** The provider says that the call is wrong. */
export class PaymentRefused extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'PaymentRefused';
    this.code = code;
  }
}
