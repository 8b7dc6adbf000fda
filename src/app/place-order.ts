import { order } from '../domain/order.ts';
import { MAX_ORDER_LINES, type NewOrderLine } from '../domain/order-lines.ts';
import { type ProductState, product } from '../domain/product.ts';
import { isSku } from '../domain/values.ts';
import type { CommandMeta } from '../eventstore/index.ts';

import {
  isKeyed,
  type OrderRequest,
  type OrderResult,
  type UseCaseDeps,
  type UseCaseRejection,
} from './use-cases.ts';

type LookupRejection = UseCaseRejection<'order/unknown-product' | 'order/product-discontinued'>;
type PaymentRejection = UseCaseRejection<'order/payment-required'>;
type LineOf = OrderRequest['lines'][number];

const PAYMENT_DEADLINE_MS = 15 * 60_000;

/** Places orders at the names and prices that the service looks up. */
export function createPlaceOrder({ handler, runtime, settings }: UseCaseDeps) {
  return async function placeOrder(input: OrderRequest, meta: CommandMeta): Promise<OrderResult> {
    const quick = await tryPlacing(input, meta, settings.priceMaxAgeMs);
    // Old knowledge of a product may place an order but never refuse one.
    const confirmed = quick.outcome !== 'rejected' || settings.priceMaxAgeMs === 0;
    const result = confirmed ? quick : await tryPlacing(input, meta, 0);
    if (result.outcome !== 'rejected' || !isKeyed(meta)) return result;
    // The order may stand since an earlier call with this key, and a product have been discontinued after it.
    return (await handler.find(order, input.orderId, meta)) ?? result;
  };

  async function tryPlacing(input: OrderRequest, meta: CommandMeta, maxAgeMs: number): Promise<OrderResult> {
    const { orderId, userId, details = {} } = input;
    const paymentToken = input.paymentToken ?? settings.defaultPaymentToken;
    if (paymentToken === undefined) return { outcome: 'rejected', rejection: PAYMENT_REQUIRED, version: 0 };
    const lines = await lookUp(input.lines, maxAgeMs);
    if ('code' in lines) return { outcome: 'rejected', rejection: lines, version: 0 };
    const at = runtime.now();
    const paymentDueAt = at + (settings.paymentDeadlineMs ?? PAYMENT_DEADLINE_MS);
    const payment = { paymentToken, paymentDueAt };
    const command = { type: 'place' as const, orderId, userId, lines, ...payment, details, at };
    return handler.execute(order, orderId, command, meta, { assumeNew: true });
  }

  /** The lines with names and prices, or the refusal for the first that cannot be sold. */
  async function lookUp(
    lines: OrderRequest['lines'],
    maxAgeMs: number,
  ): Promise<readonly NewOrderLine[] | LookupRejection> {
    // The order refuses too many lines; a product per line is not read for that.
    if (lines.length > MAX_ORDER_LINES) return lines.map((line) => ({ ...line, ...NOT_LOOKED_UP }));
    const options = { maxAgeMs };
    // All at once; what is no SKU is not looked for.
    const found = await Promise.all(
      lines.map(({ sku }) => (isSku(sku) ? handler.load(product, sku, options) : undefined)),
    );
    const priced: NewOrderLine[] = [];
    for (const [index, line] of lines.entries()) {
      const one = priceLine(line, found[index]?.state);
      if ('code' in one) return one;
      priced.push(one);
    }
    return priced;
  }
}

const PAYMENT_REQUIRED: PaymentRejection = {
  code: 'order/payment-required',
  message: "Say how the order is paid: give the payment provider's token.",
};
const NOT_LOOKED_UP = { name: '', unitPriceMinor: 0n, currency: '' };

function priceLine(
  { sku, quantity }: LineOf,
  state: ProductState | undefined,
): NewOrderLine | LookupRejection {
  if (state === undefined || state.status === 'absent') return unknownProduct(sku);
  if (state.status === 'discontinued') {
    const message = 'A product on this order is no longer sold; leave it out.';
    return { code: 'order/product-discontinued', message, details: { sku } };
  }
  return { sku, quantity, name: state.name, unitPriceMinor: state.priceMinor, currency: state.currency };
}

function unknownProduct(sku: string): LookupRejection {
  const message = 'There is no such product; check its SKU.';
  return { code: 'order/unknown-product', message, details: { sku } };
}
