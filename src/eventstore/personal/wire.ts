import { type BytesAt, type Cursor, plainBytes, readVarint, wholeBuffer } from '../codec/event-decoder.ts';

const [VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32] = [0, 1, 2, 5];

/** A text, or a message within another, as the bytes of a message hold it. */
function fieldBytes(field: number, content: Uint8Array): Uint8Array {
  return Buffer.concat([varint((field << 3) | LENGTH_DELIMITED), varint(content.length), content]);
}

/** A text of ASCII for a field of a message. */
export interface FieldText {
  readonly field: number;
  readonly text: string;
}

/** Most that stands in front of a text: its field's number and its length. */
const LONGEST_HEAD = 10;

/** The bytes of a message with texts added, in one go: every decoded event with personal texts comes along here. */
export function withTexts(message: BytesAt, texts: readonly FieldText[]): Uint8Array {
  const longest = texts.reduce((sum, { text }) => sum + LONGEST_HEAD + text.length, message.length);
  const bytes = Buffer.allocUnsafe(longest);
  bytes.set(plainBytes(message), 0);
  let at = message.length;
  for (const { field, text } of texts) {
    at = putVarint(bytes, at, (field << 3) | LENGTH_DELIMITED);
    at = putVarint(bytes, at, text.length);
    at += bytes.write(text, at, 'latin1');
  }
  return bytes.subarray(0, at);
}

function putVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value >>> 0;
  for (; rest > 0x7f; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at++] = rest;
  return at;
}

/**
 * The bytes of a message with a text added to one of the messages within it.
 * @param path field, place in its list, and so on down to the field of the text; the place of what is no list is 0
 * @throws RangeError where there is no such message
 */
export function withTextWithin(message: Uint8Array, path: readonly number[], text: Uint8Array): Uint8Array {
  const [field = 0, place, ...rest] = path;
  if (place === undefined) return Buffer.concat([message, fieldBytes(field, text)]);
  const { start, content, end } = partAt(message, field, place);
  const part = withTextWithin(message.subarray(content, end), rest, text);
  return Buffer.concat([message.subarray(0, start), fieldBytes(field, part), message.subarray(end)]);
}

/** Where a message within a message begins, where its content does, and where it ends. */
function partAt(message: Uint8Array, field: number, place: number) {
  const base = message.byteOffset;
  const cursor: Cursor = { bytes: wholeBuffer(message), at: base };
  const to = base + message.length;
  let left = place;
  while (cursor.at < to) {
    const start = cursor.at - base;
    const tag = readVarint(cursor, to);
    const length = lengthAt(cursor, to, tag & 7);
    const content = cursor.at - base;
    cursor.at += length;
    if (tag < 0 || length < 0 || cursor.at > to) break;
    if (tag === ((field << 3) | LENGTH_DELIMITED) && left-- === 0)
      return { start, content, end: cursor.at - base };
  }
  throw new RangeError(`there is no message ${place} in field ${field}`);
}

/** How many bytes of a field are left; -1 when it cannot be read. */
function lengthAt(cursor: Cursor, to: number, wireType: number): number {
  switch (wireType) {
    case VARINT:
      return varintBytes(cursor, to);
    case FIXED_64:
      return 8;
    case LENGTH_DELIMITED:
      return readVarint(cursor, to);
    case FIXED_32:
      return 4;
    default:
      return -1;
  }
}

/** Of an integer of any size. */
function varintBytes({ bytes, at }: Cursor, to: number): number {
  for (let end = at; end < to; end++) if ((bytes[end] ?? 0) < 0x80) return end + 1 - at;
  return -1;
}

function varint(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(LONGEST_HEAD);
  return bytes.subarray(0, putVarint(bytes, 0, value));
}
