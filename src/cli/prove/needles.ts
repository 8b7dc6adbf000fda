/**
 * `gone`: must not be there; `keyed`: a digest that nobody can make without a secret key, which may stay; `witness`: must
 * be there, or what was searched is something else.
 */
export type NeedleKind = 'gone' | 'keyed' | 'witness';

/** What is looked for: bytes, and what they would be. */
export interface Needle {
  /** Which value it is of, for example `value 2`; never the value. */
  readonly what: string;
  /** How it is written there, for example `base64`. */
  readonly how: string;
  readonly kind: NeedleKind;
  readonly bytes: Uint8Array;
  /** Whether A to Z and a to z are the same in it. */
  readonly foldCase: boolean;
}

/** Fewer bytes are found by chance. */
export const LEAST_BYTES = 5;
const SHORT_NUMBER = /^\d{1,8}$/;

/** Why a value cannot be looked for; undefined when it can. */
export function objectionTo(value: string): string | undefined {
  if (Buffer.byteLength(value) < LEAST_BYTES) return `it has less than ${LEAST_BYTES} bytes`;
  return SHORT_NUMBER.test(value) ? 'a number as short as this is found everywhere' : undefined;
}

/** A text as it may lie somewhere: as it is, escaped, in hexadecimal and in base64, in upper and lower case. */
export function needlesOfText(what: string, text: string): readonly Needle[] {
  const composed = [text.normalize('NFC'), text.normalize('NFD')];
  const cased = composed.flatMap((one) => [one, one.toLowerCase(), one.toUpperCase()]);
  const written = [...new Set([text, ...cased])];
  const needles: Needle[] = [];
  const add = (how: string, bytes: string, foldCase = true): void => {
    needles.push({ what, how, kind: 'gone', bytes: Buffer.from(bytes), foldCase });
  };
  for (const one of written) {
    add('as it is', one);
    const json = JSON.stringify(one).slice(1, -1);
    add('escaped for JSON', json);
    add('escaped for JSON', asciiOnly(json));
    add('escaped for a URL', encodeURIComponent(one.toWellFormed()));
    needles.push(...encoded(what, Buffer.from(one)));
  }
  return distinct(needles);
}

/** Bytes that are no text, such as a key or a digest: as they are, in hexadecimal and in base64. */
export function needlesOfBytes(
  what: string,
  bytes: Uint8Array,
  kind: NeedleKind = 'gone',
): readonly Needle[] {
  const plain = { what, how: 'as it is', kind, bytes, foldCase: false };
  return distinct([plain, ...encoded(what, bytes).map((needle) => ({ ...needle, kind }))]);
}

function encoded(what: string, bytes: Uint8Array): readonly Needle[] {
  const hex = {
    bytes: Buffer.from(Buffer.from(bytes).toString('hex')),
    how: 'in hexadecimal',
    foldCase: true,
  };
  const base64 = [0, 1, 2].flatMap((before) => {
    const inner = base64At(bytes, before);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const others = base64.map((text) => ({ bytes: Buffer.from(text), how: 'in base64', foldCase: false }));
  return [hex, ...others].map((needle) => ({ what, kind: 'gone' as const, ...needle }));
}

const BITS_OF_BYTE = 8;
const BITS_OF_CHAR = 6;

/** What base64 of anything holds that has these bytes behind so many others: the characters that depend on nothing else. */
function base64At(bytes: Uint8Array, before: number): string {
  const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
  const start = Math.ceil((before * BITS_OF_BYTE) / BITS_OF_CHAR);
  return whole.slice(start, Math.floor(((before + bytes.length) * BITS_OF_BYTE) / BITS_OF_CHAR));
}

function asciiOnly(text: string): string {
  return text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function distinct(needles: readonly Needle[]): readonly Needle[] {
  const key = ({ bytes, foldCase }: Needle): string => {
    const text = Buffer.from(bytes).toString('latin1');
    return foldCase ? `i${text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())}` : `x${text}`;
  };
  const known = new Map<string, Needle>();
  for (const needle of needles) if (!known.has(key(needle))) known.set(key(needle), needle);
  return [...known.values()];
}
