import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
  retry,
  wrap,
} from 'cockatiel';
import { HIDDEN } from '../../../eventstore/index.ts';
import { type ExchangeObserver, exchange } from '../../exchange.ts';
import {
  type AuthoriseResult,
  type CancelResult,
  type CaptureResult,
  type PaymentProvider,
  PaymentRefused,
  PaymentUnavailable,
  type RefundResult,
} from '../port.ts';

export interface HttpExchangeOptions {
  /** Where the provider's API is, for example `https://payments.example/v1`. */
  readonly baseUrl: string;
  /** Secret; sent as a bearer token and never part of an error. */
  readonly apiKey: string;
  /** How long one request may take, its body included, in milliseconds. */
  readonly timeoutMs?: number;
  /** How often a call is repeated that the provider certainly refused or never got. */
  readonly retries?: number;
  readonly retryBaseMs?: number;
  readonly retryCapMs?: number;
  readonly breaker?: {
    /** Failures in a row after which nothing is sent for a while. */
    readonly failures: number;
    /** For how long, in milliseconds; then one call tries. */
    readonly openMs: number;
  };
  /** Told about each change of the circuit breaker. */
  readonly onBreaker?: (state: BreakerState) => void;
  readonly observer?: ExchangeObserver | undefined;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** What the provider answered, whatever it means. */
export interface ProviderAnswer {
  readonly status: number;
  /** The JSON of the body; undefined when it is none. */
  readonly body: unknown;
}

export interface HttpExchange {
  /** @throws PaymentUnavailable when there is no answer, or one that says "try again" */
  post(path: string, idempotencyKey: string, body: object): Promise<ProviderAnswer>;
  breaker(): BreakerState;
}

/** No usable answer. `repeatable` where another try at once may help and cannot make a slow provider slower. */
class NoAnswer extends Error {
  readonly repeatable: boolean;
  /** Of an answer that could not be used. */
  readonly status: number | undefined;

  constructor(what: string, repeatable: boolean, cause?: unknown, status?: number) {
    super(what, { cause });
    this.repeatable = repeatable;
    this.status = status;
  }
}

const MAX_ANSWER_BYTES = 65_536;
const PRINTABLE = /^[\x21-\x7e]+$/;

/**
 * Requests to a provider over HTTP with a timeout each, a few repetitions with jitter, and a circuit breaker.
 * @throws RangeError when the URL or the API key cannot be used
 */
export function createHttpExchange(options: HttpExchangeOptions): HttpExchange {
  const { timeoutMs = 5_000, retries = 2, retryBaseMs = 100, retryCapMs = 2_000, onBreaker } = options;
  const { failures, openMs } = options.breaker ?? { failures: 5, openMs: 10_000 };
  const base = checkedBase(options.baseUrl);
  // A header that cannot be sent would be quoted in the error of `fetch`, and so logged.
  if (!PRINTABLE.test(options.apiKey))
    throw new RangeError('The API key has characters that no header holds.');
  const breaker = circuitBreaker(
    handleWhen((error) => error instanceof NoAnswer),
    { halfOpenAfter: openMs, breaker: new ConsecutiveBreaker(failures) },
  );
  breaker.onStateChange((state) => onBreaker?.(nameOf(state)));
  const repeating = retry(
    handleWhen((error) => error instanceof NoAnswer && error.repeatable),
    {
      maxAttempts: retries,
      backoff: new ExponentialBackoff({ initialDelay: retryBaseMs, maxDelay: retryCapMs }),
    },
  );
  const policy = wrap(repeating, breaker);

  async function send(path: string, idempotencyKey: string, body: string): Promise<ProviderAnswer> {
    const headers: Record<string, string> = {
      authorization: `Bearer ${options.apiKey}`,
      'content-type': 'application/json',
      'idempotency-key': idempotencyKey,
    };
    const signal = AbortSignal.timeout(timeoutMs);
    const method = 'POST';
    const request = {
      method,
      url: base,
      template: new URL(base).pathname.replace(/\/$/, '') + templateOf(path),
    };
    try {
      return await exchange(options.observer, request, headers, async () =>
        // A redirect would carry the API key to somewhere else.
        answerOf(await fetch(base + path, { method, headers, body, signal, redirect: 'manual' })),
      );
    } catch (error) {
      if (error instanceof NoAnswer) throw error;
      if (signal.aborted) throw new NoAnswer(`no answer in ${timeoutMs} ms`, false, error);
      throw new NoAnswer('the connection failed', true, error);
    }
  }

  return {
    post: async (path, idempotencyKey, body) => {
      const text = JSON.stringify(body);
      try {
        return await policy.execute(() => send(path, idempotencyKey, text));
      } catch (error) {
        if (error instanceof NoAnswer) throw new PaymentUnavailable(`${path}: ${error.message}`, error.cause);
        if (error instanceof BrokenCircuitError) {
          throw new PaymentUnavailable(`${path}: not sent, it failed ${failures} times in a row`, error);
        }
        throw error;
      }
    },
    breaker: () => nameOf(breaker.state),
  };
}

/** The path without the payment's key. */
function templateOf(path: string): string {
  return path.replace(/^\/intents\/[^/]+/, '/intents/{key}');
}

async function answerOf(response: Response): Promise<ProviderAnswer> {
  const { status } = response;
  const text = await bodyOf(response);
  if (status >= 500 || status === 429) throw new NoAnswer(`status ${status}`, true, undefined, status);
  if (status === 408 || status === 425) throw new NoAnswer(`status ${status}`, false, undefined, status);
  try {
    return { status, body: JSON.parse(text) };
  } catch (error) {
    // An error without JSON still says that the call is wrong; a success without JSON says nothing.
    if (status >= 300) return { status, body: undefined };
    throw new NoAnswer(`status ${status} with a body that is not JSON`, false, error);
  }
}

async function bodyOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES)
      throw new NoAnswer(`an answer of more than ${MAX_ANSWER_BYTES} bytes`, false);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function checkedBase(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  // `fetch` refuses user and password in a URL, and quotes them in its error.
  const extras = url === undefined ? '' : url.username + url.password + url.search + url.hash;
  if (url === undefined || !/^https?:$/.test(url.protocol) || extras !== '') {
    throw new RangeError('The URL of the payment provider must be http(s)://host[:port][/path].');
  }
  return baseUrl.replace(/\/+$/, '');
}

function nameOf(state: CircuitState): BreakerState {
  if (state === CircuitState.Closed) return 'closed';
  return state === CircuitState.HalfOpen ? 'half-open' : 'open';
}

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
  const requests = createHttpExchange(options);

  type Read<Answer> = (what: string, answer: Fields) => Answer;
  async function ask<Answer>(key: string, verb: string, read: Read<Answer>): Promise<Answer> {
    checkKey(key);
    const what = `${verb} ${key}`;
    const answer = await requests.post(`/intents/${encodeURIComponent(key)}/${verb}`, `${key}/${verb}`, {});
    return read(what, fieldsOf(what, answer, DECLINABLE.has(verb)));
  }

  return {
    createIntent: async ({ key, amountMinor, currency, token }) => {
      checkKey(key);
      const what = `create ${key}`;
      const body = { key, amount_minor: amountMinor.toString(), currency, token };
      const answer = await requests.post('/intents', `${key}/create`, body);
      return { paymentId: text(what, fieldsOf(what, answer, false, token), 'payment_id') };
    },
    authorise: (key) => ask(key, 'authorise', authorised),
    capture: (key) => ask(key, 'capture', captured),
    cancel: (key) => ask(key, 'cancel', cancelled),
    refund: (key) => ask(key, 'refund', refunded),
    breaker: requests.breaker,
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
function fieldsOf(what: string, answer: ProviderAnswer, declinable: boolean, token?: string): Fields {
  const { status, body } = answer;
  if (declinable && status === DECLINED && isRecord(body)) return { ...body, status: 'declined' };
  if (status >= 300) throw refusal(what, answer, token);
  if (!isRecord(body)) throw unusable(what, 'object');
  return body;
}

/** @param token hidden where the provider repeats it: a refusal ends in a dead letter and in the log of the service */
function refusal(what: string, { status, body }: ProviderAnswer, token?: string): PaymentRefused {
  const error = isRecord(body) && isRecord(body.error) ? body.error : {};
  const said = typeof error.message === 'string' ? error.message : '';
  const message =
    lineOf(token ? said.replaceAll(token, HIDDEN) : said, MAX_MESSAGE) || `The provider answers ${status}.`;
  return new PaymentRefused(codeFrom(error.code) || `http_${status}`, `${what}: ${message}`);
}

function errorOf(answer: Fields): { code: string; message: string } {
  const error = isRecord(answer.error) ? answer.error : {};
  return {
    code: codeFrom(error.code) || 'declined',
    message: lineOf(error.message, MAX_MESSAGE) || 'The payment was declined.',
  };
}

const MAX_MESSAGE = 500;
const MAX_ID = 200;
const MAX_CODE = 64;
/** What ends a line, moves the cursor of a terminal, or shows nothing or the rest of the line in another order. */
const UNSHOWN = /[\s\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu;

/** What the provider says, as it may be stored for ever and shown anywhere: one line, bounded; empty when it is none. */
function lineOf(value: unknown, longest: number): string {
  if (typeof value !== 'string') return '';
  const line = value.replace(UNSHOWN, ' ').trim();
  const characters = Array.from(line);
  return characters.length <= longest ? line : `${characters.slice(0, longest - 1).join('')}…`;
}

/** A code becomes a part of problem codes and labels; what is not in their alphabet becomes `_`. */
const codeFrom = (value: unknown): string =>
  typeof value === 'string' ? value.slice(0, MAX_CODE).replace(/[^A-Za-z0-9_.-]/g, '_') : '';

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
  return lineOf(value, MAX_ID);
}

/** What the provider did is not known from such an answer; the next try may get a better one. */
const unusable = (what: string, field: string): PaymentUnavailable =>
  new PaymentUnavailable(`${what}: an answer without a usable ${field}`);

function checkKey(key: string): void {
  if (KEY.test(key)) return;
  throw new PaymentRefused('invalid_key', `${JSON.stringify(key.slice(0, 140))} cannot name a payment.`);
}

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
