import {
  type AuthoriseResult,
  type CancelResult,
  type CaptureResult,
  type PaymentProvider,
  PaymentRefused,
  PaymentUnavailable,
  type RefundResult,
} from '../port.ts';
import {
  type BreakerState,
  createHttpExchange,
  type HttpExchangeOptions,
  type ProviderAnswer,
} from './http-exchange.ts';

/** A payment provider behind the REST API that docs/payment.md describes. */
export interface HttpProvider extends PaymentProvider {
  /** Whether calls are sent at the moment. */
  breaker(): BreakerState;
}

type Fields = Readonly<Record<string, unknown>>;

const DECLINED = 402;
const DECLINABLE: ReadonlySet<string> = new Set(['authorise', 'capture']);
/** What a path and a header hold as it is. */
const KEY = /^(?!\.+$)[-_.:=a-zA-Z0-9]{1,256}$/;

/** @throws RangeError when the URL or the API key cannot be used */
export function createHttpProvider(options: HttpExchangeOptions): HttpProvider {
  const exchange = createHttpExchange(options);

  type Read<Answer> = (what: string, answer: Fields) => Answer;
  async function ask<Answer>(key: string, verb: string, read: Read<Answer>): Promise<Answer> {
    checkKey(key);
    const what = `${verb} ${key}`;
    const answer = await exchange.post(`/intents/${encodeURIComponent(key)}/${verb}`, `${key}/${verb}`, {});
    return read(what, fieldsOf(what, answer, DECLINABLE.has(verb)));
  }

  return {
    createIntent: async ({ key, amountMinor, currency, token }) => {
      checkKey(key);
      const what = `create ${key}`;
      const body = { key, amount_minor: amountMinor.toString(), currency, token };
      const answer = await exchange.post('/intents', `${key}/create`, body);
      return { paymentId: text(what, fieldsOf(what, answer, false), 'payment_id') };
    },
    authorise: (key) => ask(key, 'authorise', authorised),
    capture: (key) => ask(key, 'capture', captured),
    cancel: (key) => ask(key, 'cancel', cancelled),
    refund: (key) => ask(key, 'refund', refunded),
    breaker: exchange.breaker,
  };
}

function authorised(what: string, answer: Fields): AuthoriseResult {
  switch (answer.status) {
    case 'authorised':
      return { outcome: 'authorised', paymentId: text(what, answer, 'payment_id') };
    case 'declined':
      return { outcome: 'declined', paymentId: text(what, answer, 'payment_id'), ...errorOf(answer) };
    case 'cancelled':
      return { outcome: 'cancelled' };
    default:
      throw unusable(what, 'status');
  }
}

function captured(what: string, answer: Fields): CaptureResult {
  switch (answer.status) {
    case 'captured':
      return { outcome: 'captured', ...moneyOf(what, answer) };
    case 'declined':
      return { outcome: 'declined', ...errorOf(answer) };
    case 'cancelled':
      return { outcome: 'cancelled' };
    default:
      throw unusable(what, 'status');
  }
}

function cancelled(what: string, answer: Fields): CancelResult {
  switch (answer.status) {
    case 'cancelled':
      return { outcome: 'cancelled', paymentId: text(what, answer, 'payment_id') };
    case 'captured':
      return { outcome: 'captured' };
    default:
      throw unusable(what, 'status');
  }
}

function refunded(what: string, answer: Fields): RefundResult {
  if (answer.status !== 'refunded') throw unusable(what, 'status');
  return moneyOf(what, answer);
}

/** The fields of an answer that means something; 402 reads as the status `declined` where that can be. */
function fieldsOf(what: string, answer: ProviderAnswer, declinable: boolean): Fields {
  const { status, body } = answer;
  if (declinable && status === DECLINED && isRecord(body)) return { ...body, status: 'declined' };
  if (status >= 300) throw refusal(what, answer);
  if (!isRecord(body)) throw unusable(what, 'object');
  return body;
}

function refusal(what: string, { status, body }: ProviderAnswer): PaymentRefused {
  const error = isRecord(body) && isRecord(body.error) ? body.error : {};
  const code = typeof error.code === 'string' ? error.code : `http_${status}`;
  const message = typeof error.message === 'string' ? error.message : `The provider answers ${status}.`;
  return new PaymentRefused(code, `${what}: ${message}`);
}

function errorOf(answer: Fields): { code: string; message: string } {
  const error = isRecord(answer.error) ? answer.error : {};
  return {
    code: typeof error.code === 'string' ? error.code : 'declined',
    message: typeof error.message === 'string' ? error.message : 'The payment was declined.',
  };
}

function moneyOf(what: string, answer: Fields): { paymentId: string; amountMinor: bigint; currency: string } {
  const amount = text(what, answer, 'amount_minor');
  if (!/^\d{1,19}$/.test(amount)) throw unusable(what, 'amount_minor');
  return {
    paymentId: text(what, answer, 'payment_id'),
    amountMinor: BigInt(amount),
    currency: text(what, answer, 'currency'),
  };
}

function text(what: string, answer: Fields, field: string): string {
  const value = answer[field];
  if (typeof value !== 'string') throw unusable(what, field);
  return value;
}

/** What the provider did is not known from such an answer; the next try may get a better one. */
const unusable = (what: string, field: string): PaymentUnavailable =>
  new PaymentUnavailable(`${what}: an answer without a usable ${field}`);

function checkKey(key: string): void {
  if (KEY.test(key)) return;
  throw new PaymentRefused('invalid_key', `${JSON.stringify(key.slice(0, 140))} cannot name a payment.`);
}

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
