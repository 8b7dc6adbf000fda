import { createHash } from 'node:crypto';
import {
  type AuthoriseResult,
  type CancelResult,
  type CaptureResult,
  type PaymentIntent,
  PaymentRefused,
  type RefundResult,
} from '../port.ts';

/** What a test token makes the simulated provider do; the tokens stand in docs/payment.md. */
export type TokenBehaviour =
  | { readonly kind: 'success' }
  | { readonly kind: 'declined'; readonly code: string; readonly message: string }
  /** Takes effect, but the first answer never comes. */
  | { readonly kind: 'timeout' }
  /** Has no effect and no answer, however often it is tried. */
  | { readonly kind: 'never' }
  /** The first `times` tries are refused as "not available" and have no effect. */
  | { readonly kind: 'fail'; readonly times: number }
  /** Takes effect after `ms`; the answer waits for it. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Answers "not available" at once and takes effect later, by itself. */
  | { readonly kind: 'late' }
  | { readonly kind: 'capture-declined'; readonly code: string; readonly message: string };

const FIXED: Readonly<Record<string, TokenBehaviour>> = {
  tok_success: { kind: 'success' },
  tok_declined: { kind: 'declined', code: 'card_declined', message: 'The card was declined.' },
  tok_insufficient_funds: {
    kind: 'declined',
    code: 'insufficient_funds',
    message: 'The account does not hold the amount.',
  },
  tok_timeout: { kind: 'timeout' },
  tok_never: { kind: 'never' },
  tok_late: { kind: 'late' },
  tok_capture_declined: {
    kind: 'capture-declined',
    code: 'capture_declined',
    message: 'The amount could not be taken.',
  },
};

const UNKNOWN: TokenBehaviour = {
  kind: 'declined',
  code: 'invalid_token',
  message: 'The provider does not know this way to pay.',
};

const NUMBERED = /^tok_(fail|slow)_(\d{1,6})$/;

/** What a token stands for; one that the provider does not know is declined, since it came from the customer's client. */
export function behaviourOf(token: string): TokenBehaviour {
  if (Object.hasOwn(FIXED, token)) return FIXED[token] ?? UNKNOWN;
  const numbered = NUMBERED.exec(token);
  if (numbered === null) return UNKNOWN;
  const value = Number(numbered[2]);
  return numbered[1] === 'fail' ? { kind: 'fail', times: value } : { kind: 'slow', ms: value };
}

/**
 * All that ever happened under one key. Times are milliseconds since the Unix epoch; one that is absent did not happen.
 * Never both cancelled and captured.
 */
export interface LedgerEntry {
  readonly key: string;
  /** Empty as long as the intent has not arrived. */
  readonly paymentId: string;
  /** Absent where a cancellation came first. */
  readonly intent?: Omit<PaymentIntent, 'key'>;
  readonly createdAt?: number;
  /** How often authorisation was asked for. */
  readonly attempts: number;
  /** When a slow or late authorisation takes effect by itself, unless it is cancelled before. */
  readonly authorisesAt?: number;
  readonly authorisedAt?: number;
  readonly declined?: Decline;
  readonly capturedAt?: number;
  readonly captureDeclined?: Decline;
  readonly cancelledAt?: number;
  readonly refundedAt?: number;
}

export interface Decline {
  readonly code: string;
  readonly message: string;
  readonly at: number;
}

/** The entry as of a time: an authorisation that was under way has taken effect once its time has come. */
export function settled(entry: LedgerEntry, now: number): LedgerEntry {
  const { authorisesAt, ...rest } = entry;
  if (authorisesAt === undefined || authorisesAt > now || entry.cancelledAt !== undefined) return entry;
  return { ...rest, authorisedAt: authorisesAt };
}

/** What the provider holds of the customer's money for good: captured and not given back, in minor units. */
export function keptMinor(entry: LedgerEntry): bigint {
  const captured = entry.capturedAt !== undefined && entry.refundedAt === undefined;
  return captured ? (entry.intent?.amountMinor ?? 0n) : 0n;
}

/** What is set aside and neither taken nor released, in minor units. */
export function heldMinor(entry: LedgerEntry): bigint {
  const held =
    entry.authorisedAt !== undefined && entry.capturedAt === undefined && entry.cancelledAt === undefined;
  return held ? (entry.intent?.amountMinor ?? 0n) : 0n;
}

/** As JSON; amounts are decimal strings. */
export function encodeEntry(entry: LedgerEntry): Uint8Array {
  const { intent } = entry;
  const stored = intent && { ...entry, intent: { ...intent, amountMinor: String(intent.amountMinor) } };
  return Buffer.from(JSON.stringify(stored ?? entry));
}

/** @throws SyntaxError when the bytes are not an entry */
export function decodeEntry(bytes: Uint8Array): LedgerEntry {
  type Stored = Omit<LedgerEntry, 'intent'> & {
    readonly intent?: { readonly amountMinor: string; readonly currency: string; readonly token: string };
  };
  const { intent, ...rest } = JSON.parse(new TextDecoder().decode(bytes)) as Stored;
  return intent === undefined
    ? rest
    : { ...rest, intent: { ...intent, amountMinor: BigInt(intent.amountMinor) } };
}

/** What one call makes of an entry; the same object again when it changes nothing. */
export interface Ruling<Answer> {
  readonly entry: LedgerEntry;
  readonly answer: Answer;
}

/** Why there is no answer: none ever comes; one comes when the authorisation takes effect; "try again". */
export type NoAnswer =
  | { readonly outcome: 'silence' }
  | { readonly outcome: 'pending'; readonly until: number }
  | { readonly outcome: 'unavailable' };

/** The call of a rule: what is in the ledger, if anything, and the time. @throws PaymentRefused when the call is wrong */
export type Rule<Answer> = (entry: LedgerEntry | undefined, now: number) => Ruling<Answer>;

const CURRENCY = /^[A-Z]{3}$/;

/** Makes an intent known; after a cancellation it is recorded and stays cancelled. */
export function creating(intent: PaymentIntent): Rule<{ paymentId: string }> {
  const { key, ...terms } = intent;
  if (terms.amountMinor < 0n || !CURRENCY.test(terms.currency)) {
    throw new PaymentRefused('invalid_amount', `The amount or currency of the intent ${key} is not valid.`);
  }
  return (entry, now) => {
    const paymentId = paymentIdOf(key);
    if (entry?.intent === undefined) {
      const made = { ...(entry ?? { key, attempts: 0 }), paymentId, intent: terms, createdAt: now };
      return { entry: made, answer: { paymentId } };
    }
    const { amountMinor, currency, token } = entry.intent;
    if (amountMinor !== terms.amountMinor || currency !== terms.currency || token !== terms.token) {
      throw new PaymentRefused('intent_mismatch', `The intent ${key} was made for something else.`);
    }
    return { entry, answer: { paymentId } };
  };
}

/** @param lateMs after how many milliseconds `tok_late` takes effect */
export function authorising(key: string, lateMs: number): Rule<AuthoriseResult | NoAnswer> {
  return (found, now) => {
    if (found?.cancelledAt !== undefined && found.declined === undefined) {
      return { entry: found, answer: { outcome: 'cancelled' } };
    }
    const { entry, intent } = known(key, found, now);
    const { paymentId } = entry;
    if (entry.declined !== undefined) return { entry, answer: declinedAnswer(paymentId, entry.declined) };
    if (entry.authorisedAt !== undefined) return { entry, answer: { outcome: 'authorised', paymentId } };
    const tried = { ...entry, attempts: entry.attempts + 1 };
    return firstAnswer(tried, behaviourOf(intent.token), now, lateMs);
  };
}

function firstAnswer(
  entry: LedgerEntry,
  behaviour: TokenBehaviour,
  now: number,
  lateMs: number,
): Ruling<AuthoriseResult | NoAnswer> {
  const { paymentId } = entry;
  const authorised = { ...entry, authorisedAt: now };
  switch (behaviour.kind) {
    case 'success':
    case 'capture-declined':
      return { entry: authorised, answer: { outcome: 'authorised', paymentId } };
    case 'declined': {
      const declined = { code: behaviour.code, message: behaviour.message, at: now };
      return { entry: { ...entry, declined }, answer: declinedAnswer(paymentId, declined) };
    }
    case 'timeout':
      return { entry: authorised, answer: { outcome: 'silence' } };
    case 'never':
      return { entry, answer: { outcome: 'silence' } };
    case 'fail':
      if (entry.attempts <= behaviour.times) return { entry, answer: { outcome: 'unavailable' } };
      return { entry: authorised, answer: { outcome: 'authorised', paymentId } };
    case 'slow': {
      const until = entry.authorisesAt ?? now + behaviour.ms;
      return { entry: { ...entry, authorisesAt: until }, answer: { outcome: 'pending', until } };
    }
    case 'late':
      return {
        entry: { ...entry, authorisesAt: entry.authorisesAt ?? now + lateMs },
        answer: { outcome: 'unavailable' },
      };
    default:
      return behaviour satisfies never;
  }
}

export function capturing(key: string): Rule<CaptureResult> {
  return (found, now) => {
    if (found?.cancelledAt !== undefined) return { entry: found, answer: { outcome: 'cancelled' } };
    const { entry, intent } = known(key, found, now);
    const { amountMinor, currency, token } = intent;
    const { paymentId } = entry;
    if (entry.authorisedAt === undefined) {
      throw new PaymentRefused('not_authorised', `The payment ${key} is not authorised.`);
    }
    if (entry.captureDeclined !== undefined) {
      const { code, message } = entry.captureDeclined;
      return { entry, answer: { outcome: 'declined', code, message } };
    }
    const behaviour = behaviourOf(token);
    if (behaviour.kind === 'capture-declined') {
      const { code, message } = behaviour;
      const captureDeclined = { code, message, at: now };
      return { entry: { ...entry, captureDeclined }, answer: { outcome: 'declined', code, message } };
    }
    const captured = entry.capturedAt === undefined ? { ...entry, capturedAt: now } : entry;
    return { entry: captured, answer: { outcome: 'captured', paymentId, amountMinor, currency } };
  };
}

/** Leaves a mark also where there is no intent yet, so that a late one stays without effect. */
export function cancelling(key: string): Rule<CancelResult> {
  return (found, now) => {
    if (found?.capturedAt !== undefined) return { entry: found, answer: { outcome: 'captured' } };
    if (found?.cancelledAt !== undefined) {
      return { entry: found, answer: { outcome: 'cancelled', paymentId: found.paymentId } };
    }
    const entry = found === undefined ? { key, paymentId: '', attempts: 0 } : settled(found, now);
    const answer = { outcome: 'cancelled', paymentId: entry.paymentId } as const;
    return { entry: { ...entry, cancelledAt: now }, answer };
  };
}

export function refunding(key: string): Rule<RefundResult> {
  return (found, now) => {
    if (found?.intent === undefined || found.capturedAt === undefined) {
      throw new PaymentRefused('not_captured', `Nothing of the payment ${key} was captured.`);
    }
    const { amountMinor, currency } = found.intent;
    const entry = found.refundedAt === undefined ? { ...found, refundedAt: now } : found;
    return { entry, answer: { paymentId: found.paymentId, amountMinor, currency } };
  };
}

function known(
  key: string,
  found: LedgerEntry | undefined,
  now: number,
): { entry: LedgerEntry; intent: Omit<PaymentIntent, 'key'> } {
  if (found?.intent === undefined) {
    throw new PaymentRefused('intent_not_found', `There is no payment intent ${key}.`);
  }
  return { entry: settled(found, now), intent: found.intent };
}

const declinedAnswer = (
  paymentId: string,
  { code, message }: { code: string; message: string },
): AuthoriseResult => ({ outcome: 'declined', paymentId, code, message });

/** The same for the same key, whoever makes the intent. */
const paymentIdOf = (key: string): string =>
  `sim_${createHash('sha256').update(key).digest('hex').slice(0, 24)}`;
