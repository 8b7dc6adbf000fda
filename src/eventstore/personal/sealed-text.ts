import { type SealedText, SealedTextSchema } from '../../gen/jetledger/eventstore/v1/sealed_text_pb.ts';
import { decoderOf } from '../codec/event-decoder.ts';
import { encoderOf } from '../codec/event-encoder.ts';
import { EventStoreError } from '../errors.ts';
import type { Place } from './cipher.ts';

/** What a sealed text begins with; no text that is stored may. */
const MARK = '\u0001';
const MARK_CODE = 1;

/** A personal text in ciphertext, with its place. */
export interface Sealed extends Place {
  /** Nonce, ciphertext and tag. */
  readonly sealed: Uint8Array;
}

/** Whether a text is sealed: what states, rows and events hold in place of a personal text, until it is opened. */
export function isSealed(text: string): boolean {
  return text.charCodeAt(0) === MARK_CODE;
}

const encode = encoderOf(SealedTextSchema);
const decode = decoderOf(SealedTextSchema);

/** A sealed text as an ordinary string, which may be copied wherever a text may be. */
export function writeSealed(place: Place, sealed: Uint8Array): string {
  const { category, id, type, field, within, person, key } = place;
  const end = putShort(place, sealed);
  if (end > 0) return MARK + scratch.toString('base64url', 0, end);
  const message: SealedText = {
    $typeName: 'jetledger.eventstore.v1.SealedText',
    category,
    id,
    type,
    field,
    within,
    key,
    person: person === id ? '' : person,
    sealed: sealed as Uint8Array<ArrayBuffer>,
  };
  return MARK + Buffer.from(encode(message).buffer).toString('base64url');
}

/** What is shorter has a length of one byte, and all of it fits. */
const SHORT = 0x80;
const scratch = Buffer.allocUnsafeSlow(8 * SHORT);
const LENGTH_DELIMITED = 2;

/**
 * Puts the bytes of `encode` for what nearly every sealed text is, in a quarter of its time: a rebuild makes one for each.
 * @returns where they end; 0 when this is another one
 */
function putShort({ category, id, type, field, within, person, key }: Place, sealed: Uint8Array): number {
  if (within !== '' || sealed.length >= SHORT || field < 1 || field >= SHORT || key < 1) return 0;
  let at = putText(1, category, 0);
  at = at && putText(2, id, at);
  at = at && putText(3, type, at);
  if (at === 0) return 0;
  scratch[at++] = 4 << 3;
  scratch[at++] = field;
  if (person !== id) at = putText(5, person, at);
  if (at === 0) return 0;
  scratch[at++] = 6 << 3;
  let rest = key;
  for (; rest >= SHORT; rest >>>= 7) scratch[at++] = (rest & 0x7f) | SHORT;
  scratch[at++] = rest;
  scratch[at++] = (7 << 3) | LENGTH_DELIMITED;
  scratch[at++] = sealed.length;
  scratch.set(sealed, at);
  return at + sealed.length;
}

/** @returns where it ends; 0 for one that is empty or not short */
function putText(field: number, text: string, at: number): number {
  const length = scratch.write(text, at + 2);
  if (length === 0 || length >= SHORT) return 0;
  scratch[at] = (field << 3) | LENGTH_DELIMITED;
  scratch[at + 1] = length;
  return at + 2 + length;
}

/** What a sealed text holds. @throws EventStoreError `personal/damaged` for one that was cut or changed */
export function readSealed(text: string): Sealed {
  try {
    const { category, id, type, field, within, person, key, sealed } = decode(
      Buffer.from(text.slice(1), 'base64url'),
    );
    if (id !== '' && type !== '')
      return { category, id, type, field, within, person: person || id, key, sealed };
  } catch {
    // Told below, without the text.
  }
  throw new EventStoreError(
    'personal/damaged',
    'A sealed text was cut or changed on its way: whatever keeps it must copy it whole.',
  );
}

/** Plain data with every sealed text in it replaced; the same value where there is none. */
export function mapSealed<T>(value: T, replace: (text: string) => string): T {
  // Whatever is replaced is a text by a text.
  return mapped(value, replace) as T;
}

function mapped(value: unknown, replace: (text: string) => string): unknown {
  if (typeof value === 'string') return isSealed(value) ? replace(value) : value;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return mappedArray(value, replace);
  if (value instanceof Map) return mappedMap(value, replace);
  if (value instanceof Set) return mappedSet(value, replace);
  return mappedObject(value, replace);
}

function mappedArray(values: readonly unknown[], replace: (text: string) => string): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (const [index, value] of values.entries()) {
    const next = mapped(value, replace);
    if (next === value) continue;
    copy ??= [...values];
    copy[index] = next;
  }
  return copy ?? values;
}

function mappedMap(values: ReadonlyMap<unknown, unknown>, replace: (text: string) => string): unknown {
  const entries = [...values];
  const next = mappedArray(entries, replace);
  return next === entries ? values : new Map(next as typeof entries);
}

function mappedSet(values: ReadonlySet<unknown>, replace: (text: string) => string): unknown {
  const members = [...values];
  const next = mappedArray(members, replace);
  return next === members ? values : new Set(next);
}

function mappedObject(value: object, replace: (text: string) => string): object {
  const fields = value as Readonly<Record<string, unknown>>;
  let copy: Record<string, unknown> | undefined;
  for (const name in fields) {
    const field = fields[name];
    const next = mapped(field, replace);
    if (next === field) continue;
    copy ??= Object.assign(Object.create(Object.getPrototypeOf(value)), value) as Record<string, unknown>;
    copy[name] = next;
  }
  return copy ?? value;
}

/** Whether a sealed text is anywhere in plain data. @internal */
export function holdsSealed(value: unknown): boolean {
  let found = false;
  mapSealed(value, (text) => {
    found = true;
    return text;
  });
  return found;
}
