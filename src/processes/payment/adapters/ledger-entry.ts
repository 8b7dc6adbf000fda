import type { PaymentIntent } from '../port.ts';

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
  const json = JSON.stringify(entry, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  return new TextEncoder().encode(json);
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
