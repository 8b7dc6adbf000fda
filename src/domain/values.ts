import type { Rejection } from '../eventstore/index.ts';

/** Builds a rejection; its code's literal type is kept, so that a wrong code does not compile. */
export function rejected<Code extends string>(code: Code, message: string, details?: Rejection['details']) {
  return details === undefined ? { code, message } : { code, message, details };
}

/** A command, and when it was asked for: whole milliseconds since the Unix epoch, by the service's clock. */
export type Timed<Command> = Readonly<Command & { at: number }>;

const AGGREGATE_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** Whether `value` can be the id of an aggregate, and thus a token of a subject and a key of a read model. */
export function isAggregateId(value: string): boolean {
  return AGGREGATE_ID.test(value);
}

// The number of a paper is the warehouse's own and no token: any printable ASCII without blanks.
const PAPER_ID = /^[\x21-\x7e]{1,100}$/;

/** Whether `value` can name a delivery or a correction of stock: 1 to 100 printable ASCII characters without blanks. */
export function isPaperId(value: string): boolean {
  return PAPER_ID.test(value);
}

// Besides control characters, the two separators that end a line in some programs and not in others, and what turns
// the direction of writing: it would change how the text around it reads.
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

// Joiners and variation selectors are invisible too, and belong inside of names; alone they show nothing. So do the
// blank of Braille and the marks of annotations, which Unicode does not count among the ignorable ones.
const VISIBLE = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\u2800\ufff9-\ufffb]/u;

/** The longest name of a user or product, in characters (Unicode code points). */
export const MAX_NAME_LENGTH = 200;

/** The longest reason given for something, in characters. */
export const MAX_REASON_LENGTH = 500;

/**
 * A name as it is stored: in Unicode form NFC, without blanks at its ends.
 * Undefined when nothing of it is visible, when it is longer than 200 characters, or when it holds a control character,
 * of the direction of writing included.
 */
export function normaliseName(input: string): string | undefined {
  return normaliseText(input, MAX_NAME_LENGTH);
}

/** Any other text of one line, like a name. @param maxLength in characters */
export function normaliseText(input: string, maxLength: number): string | undefined {
  const text = normaliseLine(input, maxLength);
  return text !== undefined && VISIBLE.test(text) ? text : undefined;
}

/** A reason as it is stored: like a name, but up to 500 characters and possibly empty. */
export function normaliseReason(input: string): string | undefined {
  return normaliseLine(input, MAX_REASON_LENGTH);
}

/** A reason that has to be given, as it is stored: also undefined when nothing of it is visible. */
export function normaliseGivenReason(input: string): string | undefined {
  return normaliseText(input, MAX_REASON_LENGTH);
}

function normaliseLine(input: string, maxLength: number): string | undefined {
  // A lone surrogate has no UTF-8: the stored bytes would read back as another text than the one decided on.
  if (!input.isWellFormed() || UNPRINTABLE.test(input)) return undefined;
  const line = input.normalize('NFC').trim();
  return Array.from(line).length <= maxLength ? line : undefined;
}

const TIME =
  /^(\d{4}-\d{2}-\d{2})(?:T(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/;

/**
 * The milliseconds since the Unix epoch of an ISO 8601 time with its offset, or of the beginning of a day in UTC.
 * Undefined for anything else, and for a day that its month does not have: `Date` takes that for one of the next month.
 */
export function timeOf(text: string): number | undefined {
  const day = TIME.exec(text)?.[1];
  if (day === undefined) return undefined;
  const start = Date.parse(day);
  const exists = !Number.isNaN(start) && new Date(start).toISOString().startsWith(day);
  return exists ? Date.parse(text) : undefined;
}

const ATOM = "[a-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const ADDRESS = new RegExp(`^${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+${LABEL}$`);
const ASCII = /^[\x21-\x7e]*$/;
const MAX_LENGTH = 254;
const MAX_LOCAL_LENGTH = 64;

/**
 * The one spelling under which an address is stored and claimed: without blanks at its ends, in lower case.
 *
 * Undefined when it is no address of the usual form (RFC 5321 dot-string and a domain of two labels or more,
 * 254 characters in all). International domains are taken in their ASCII form (`xn--...`); quoted local parts and
 * address literals are refused. Dots and `+tags` are kept: what they mean is up to the provider.
 */
export function normaliseEmail(input: string): string | undefined {
  const trimmed = input.trim();
  // ASCII is checked before lower-casing: the Kelvin sign lower-cases to a plain k.
  if (trimmed.length > MAX_LENGTH || !ASCII.test(trimmed)) return undefined;
  const address = trimmed.toLowerCase();
  return address.indexOf('@') <= MAX_LOCAL_LENGTH && ADDRESS.test(address) ? address : undefined;
}

/** A stock keeping unit: the id of a product, safe as a token of a subject. 1 to 64 characters. */
export const SKU_PATTERN = /^[A-Z0-9][A-Z0-9-]{0,63}$/;

/** Whether `value` is a SKU. */
export function isSku(value: string): boolean {
  return SKU_PATTERN.test(value);
}

/** The largest amount, in minor units: the largest integer that every JSON reader keeps exactly. */
export const MAX_AMOUNT = BigInt(Number.MAX_SAFE_INTEGER);

// ISO 4217, list one, of 2026: tender only, without funds, metals and test codes. Taking a code out is safe:
// it is checked when a product is listed or an order is placed, never when events are read.
const CURRENCIES: ReadonlySet<string> = new Set(
  `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
  CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG
  HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
  MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR
  RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD
  TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG`.split(/\s+/),
);

/** Whether `code` is an active ISO 4217 currency code, in upper case. */
export function isCurrency(code: string): boolean {
  return CURRENCIES.has(code);
}

/** Whether `minor` can be a price: 1 to the largest amount, in minor units. */
export function isPrice(minor: bigint): boolean {
  return minor >= 1n && minor <= MAX_AMOUNT;
}

/** `left + right` in minor units, or undefined above the largest amount. Both are amounts already. */
export function addAmounts(left: bigint, right: bigint): bigint | undefined {
  return bounded(left + right);
}

/** `quantity * unitPrice` in minor units, or undefined above the largest amount. */
export function multiplyAmount(unitPrice: bigint, quantity: bigint): bigint | undefined {
  return bounded(unitPrice * quantity);
}

function bounded(amount: bigint): bigint | undefined {
  return amount <= MAX_AMOUNT ? amount : undefined;
}
