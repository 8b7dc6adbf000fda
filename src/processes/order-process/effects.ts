/** A line's product and how many of it. */
export interface Item {
  readonly sku: string;
  readonly quantity: number;
}

/** What the order process does to the world because of an event. Each is safe to repeat: its keys come from the order. */
export type OrderEffect =
  /** Asks the order side's own customer directory, as of at least the event's position. */
  | { readonly type: 'validate-customer'; readonly userId: string }
  | { readonly type: 'reserve-stock'; readonly items: readonly Item[] }
  | {
      readonly type: 'authorise-payment';
      readonly amountMinor: bigint;
      readonly currency: string;
      readonly token: string;
    }
  | { readonly type: 'capture-payment' }
  /** Also where nothing is reserved yet: a late reservation must be refused. */
  | { readonly type: 'release-stock'; readonly items: readonly Item[] }
  /** Cancels the payment, or refunds it when it was captured; also when the provider knows of none yet. */
  | { readonly type: 'return-payment' }
  | { readonly type: 'ship-stock'; readonly items: readonly Item[] }
  /** `at`: milliseconds since the Unix epoch, from the event. */
  | { readonly type: 'arm-deadline'; readonly at: number }
  | { readonly type: 'disarm-deadline' }
  | { readonly type: 'notify'; readonly kind: 'order-confirmed' | 'order-rejected' | 'order-shipped' };
