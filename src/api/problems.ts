import type { OrderResult, UserResult } from '../app/use-cases.ts';
import type { ProductRejection } from '../domain/product.ts';

export interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** What to do, when the occurrence has nothing more exact to say. */
  readonly detail: string;
  /** Seconds, for `Retry-After`. */
  readonly retryAfter?: number;
  /** Which details of a rejection are for clients. */
  readonly details?: readonly string[];
}

const unavailable = (title: string, detail: string): ProblemKind => ({
  status: 503,
  title,
  detail,
  retryAfter: 1,
});

/** Every problem that is not a refusal by the business. */
export const TECHNICAL = {
  'request/invalid': {
    status: 400,
    title: 'Invalid request',
    detail: 'Correct what `errors` names and send the request again.',
  },
  'request/malformed-json': {
    status: 400,
    title: 'Malformed JSON',
    detail: 'Send a body that is one JSON value in UTF-8.',
  },
  'request/malformed': {
    status: 400,
    title: 'Malformed request',
    detail: 'The request is not valid HTTP; correct its path, headers or body.',
  },
  'request/invalid-cursor': {
    status: 400,
    title: 'Invalid cursor',
    detail: 'Start the list again without a cursor.',
  },
  'request/invalid-period': {
    status: 400,
    title: 'Invalid period',
    detail: 'Ask for 1 to 366 days, the last one not before the first.',
  },
  'request/too-large': {
    status: 413,
    title: 'Body too large',
    detail: 'Send a smaller body, for example fewer lines.',
  },
  'request/unsupported-media-type': {
    status: 415,
    title: 'Unsupported media type',
    detail: 'Send the body as application/json.',
  },
  'request/timeout': {
    status: 408,
    title: 'Request timeout',
    detail: 'The request did not arrive in time; send it again.',
  },
  'request/headers-too-large': {
    status: 431,
    title: 'Header fields too large',
    detail: 'Send fewer or shorter header fields or a shorter address.',
  },
  'request/rate-limited': {
    status: 429,
    title: 'Too many requests',
    detail: 'Wait for as long as Retry-After says, then go on at a slower pace.',
    retryAfter: 1,
  },
  'auth/token-missing': {
    status: 401,
    title: 'Token is missing',
    detail: 'Send a token of your issuer in the header: Authorization: Bearer <token>.',
  },
  'auth/token-invalid': {
    status: 401,
    title: 'Token is not valid',
    detail: 'Get a new token and send the request again.',
  },
  'auth/scope-missing': {
    status: 403,
    title: 'Scope is missing',
    detail: 'Your token does not allow this; ask its issuer for one with the scope.',
  },
  'auth/keys-unavailable': unavailable(
    'Token cannot be checked',
    "The keys of the token's issuer cannot be fetched at the moment; try again.",
  ),
  'service/overloaded': unavailable(
    'Service is overloaded',
    'Nothing was done; wait a moment and send the request again.',
  ),
  'route/not-found': {
    status: 404,
    title: 'Unknown route',
    detail: 'There is nothing at this address; /docs lists what there is.',
  },
  'route/other-role': {
    status: 404,
    title: 'Answered by another process',
    detail: 'This process does not have the role api; ask one that has it.',
  },
  'route/method-not-allowed': {
    status: 405,
    title: 'Method not allowed',
    detail: 'Use a method that the Allow header lists.',
  },
  'command/version-mismatch': {
    status: 412,
    title: 'Version mismatch',
    detail: 'It changed since the version in If-Match: read it again, then repeat with the current version.',
  },
  'command/precondition-required': {
    status: 428,
    title: 'If-Match is missing',
    detail: 'Read the current version and send its ETag in If-Match.',
  },
  'command/conflict': {
    status: 409,
    title: 'Too many concurrent changes',
    detail: 'Others changed it at the same time; send the request again.',
    retryAfter: 1,
  },
  'idempotency/key-required': {
    status: 400,
    title: 'Idempotency-Key is missing',
    detail:
      'Send a new key of your own in the header Idempotency-Key, and the same one when you repeat the request.',
  },
  'idempotency/key-reused': {
    status: 422,
    title: 'Idempotency key was used for another request',
    detail: 'Use a new Idempotency-Key for a new request, or send the first request unchanged.',
  },
  'view/behind': {
    status: 504,
    title: 'Read model is behind',
    detail: 'The position asked for is not visible yet: try again, or ask without Min-Position.',
    retryAfter: 1,
  },
  'log/unavailable': unavailable('Event log is unavailable', 'Nothing was stored; try again in a moment.'),
  'log/outcome-unknown': unavailable(
    'Outcome unknown',
    'It may or may not be stored. Repeat the request with the same Idempotency-Key; it takes effect only once.',
  ),
  'command/deadline': unavailable('Deadline exceeded', 'Nothing was stored; try again in a moment.'),
  'command/queue-full': unavailable(
    'Too many waiting commands',
    'Nothing was stored; try again in a moment.',
  ),
  'commit/too-large': {
    status: 413,
    title: 'Change too large',
    detail: 'The change is larger than the event log takes; split it.',
  },
  'position/not-in-log': {
    status: 412,
    title: 'Position is not in this log',
    detail: 'It is from before the event log was restored, or beyond its end: read again without it.',
  },
  'stream/too-old': {
    status: 410,
    title: 'Too long away to resume',
    detail: "List the user's orders, and open the stream again without Last-Event-ID.",
  },
  'stream/too-many': unavailable('Too many streams', 'This process serves no more; try again in a moment.'),
  'parked/not-found': {
    status: 404,
    title: 'Not parked',
    detail: 'No such commit is parked; it may have been handled or discarded meanwhile.',
  },
  'consumer/not-found': {
    status: 404,
    title: 'Unknown consumer',
    detail: 'Check the name; /v1/admin/consumers lists all that have ever run.',
  },
  internal: {
    status: 500,
    title: 'Internal error',
    detail:
      'This is our fault. Report it with the requestId; repeating a POST with the same Idempotency-Key is safe.',
  },
} as const satisfies Readonly<Record<string, ProblemKind>>;

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
