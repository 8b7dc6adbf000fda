import type { OrderResult, UserResult } from '../app/use-cases.ts';
import type { ProductRejection } from '../domain/product.ts';
import { type ProblemKind, TECHNICAL } from './technical-problems.ts';

type RejectionCode<Result> = Result extends { outcome: 'rejected'; rejection: { code: infer Code } }
  ? Code
  : never;

/** Every business refusal that a client can meet. */
export type BusinessCode = RejectionCode<UserResult> | RejectionCode<OrderResult> | ProductRejection['code'];

const notFound = (title: string): ProblemKind => ({
  status: 404,
  title,
  detail: 'Check the id. What was just written may need a moment: send its Position as Min-Position.',
});
const conflict = (title: string, details?: readonly string[]): ProblemKind => ({
  status: 409,
  title,
  detail: 'Read the current state and decide again.',
  ...(details && { details }),
});
const invalid = (title: string, details?: readonly string[]): ProblemKind => ({
  status: 422,
  title,
  detail: 'Correct the request and send it again.',
  ...(details && { details }),
});
const BUSINESS: Readonly<Record<BusinessCode, ProblemKind>> = {
  'user/not-found': notFound('User not found'),
  'user/exists': conflict('User exists'),
  'user/registration-abandoned': conflict('Registration was given up'),
  'user/deactivated': conflict('User is deactivated'),
  'user/email-taken': conflict('E-mail address is in use'),
  'user/email-change-pending': conflict('Another change of e-mail address is under way'),
  'user/email-change-not-pending': conflict('Change of e-mail address is not pending'),
  'user/email-change-ended': conflict('Change of e-mail address has ended'),
  'user/invalid-name': invalid('Invalid name'),
  'user/invalid-email': invalid('Invalid e-mail address'),
  'user/invalid-reason': invalid('Invalid reason'),
  'product/not-found': notFound('Product not found'),
  'product/exists': conflict('Product exists'),
  'product/discontinued': conflict('Product is discontinued'),
  'product/receipt-conflict': conflict('Receipt was booked with another quantity', ['quantity']),
  'product/stock-overflow': conflict('Stock would be too large'),
  'product/invalid-sku': invalid('Invalid SKU'),
  'product/invalid-name': invalid('Invalid name'),
  'product/invalid-price': invalid('Invalid price'),
  'product/invalid-receipt': invalid('Invalid receipt id'),
  'product/invalid-quantity': invalid('Invalid quantity'),
  'product/insufficient-stock': conflict('Not enough stock'),
  'product/reservation-conflict': conflict('Another quantity is reserved'),
  'product/reservation-released': conflict('Reservation has ended'),
  'product/unknown-currency': invalid('Unknown currency'),
  'order/not-found': notFound('Order not found'),
  'order/exists': conflict('Order exists'),
  'order/unknown-product': invalid('Unknown product', ['sku']),
  'order/product-discontinued': conflict('Product is discontinued', ['sku']),
  'order/invalid-user': invalid('Invalid user id'),
  'order/invalid-line-count': invalid('Invalid number of lines', ['lines']),
  'order/invalid-quantity': invalid('Invalid quantity', ['sku']),
  'order/duplicate-sku': invalid('Product on two lines', ['sku']),
  'order/mixed-currencies': invalid('Several currencies', ['sku']),
  'order/invalid-line': invalid('Invalid line', ['line']),
  'order/total-too-large': invalid('Total is too large'),
  'order/invalid-reason': invalid('Invalid reason'),
  'order/payment-required': invalid('Payment is missing'),
  'order/invalid-payment': invalid('Invalid payment token'),
  'order/invalid-tracking': invalid('Invalid tracking number'),
  'order/already-rejected': conflict('Order was rejected'),
  'order/already-shipped': conflict('Order was shipped'),
  'order/not-confirmed': conflict('Order is not confirmed'),
  'order/not-shipped': conflict('Order was not shipped'),
  'order/amount-mismatch': conflict('Payment has another amount'),
};

export type TechnicalCode = keyof typeof TECHNICAL;
export type ProblemCode = BusinessCode | TechnicalCode;

/** Every problem there is: its code, status, title and what to do about it. */
export const PROBLEMS: Readonly<Record<ProblemCode, ProblemKind>> = { ...BUSINESS, ...TECHNICAL };

/** Whether a string is the code of a problem. */
export function isProblemCode(code: unknown): code is ProblemCode {
  return typeof code === 'string' && Object.hasOwn(PROBLEMS, code);
}
