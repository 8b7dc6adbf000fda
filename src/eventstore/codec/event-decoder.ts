import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageShape,
  ScalarType,
} from '@bufbuild/protobuf';
import { getTextEncoding } from '@bufbuild/protobuf/wire';

let last: Buffer = Buffer.alloc(0);
let memory = last.buffer;

/**
 * All of an array's memory as one Buffer, which is what reads single bytes and short texts fastest. What arrives from a
 * socket one after another lies in the same memory, so the last answer nearly always serves again: a view for each
 * message, header and event costs a replay a tenth of its time.
 */
export function wholeBuffer({ buffer }: Pick<Uint8Array, 'buffer'>): Buffer {
  if (memory !== buffer) {
    memory = buffer;
    last = Buffer.from(buffer);
  }
  return last;
}

/**
 * Decodes one kind of message into exactly what `fromBinary` makes of the same bytes, about five times as fast: a
 * replay decodes four messages a commit, and reflection on each of their fields is most of what that costs.
 * It knows what this log's messages are made of (strings, bytes, bools, 32- and 64-bit integers, messages and lists of them) and
 * leaves everything else, and everything that looks odd, to `fromBinary`: fields it does not know, other wire types,
 * negative or huge integers, bytes that are no such message.
 * @returns a decoder that throws what `fromBinary` throws
 */
export function decoderOf<Desc extends DescMessage>(schema: Desc): (bytes: BytesAt) => MessageShape<Desc> {
  const plan = planOf(schema, []);
  return (bytes) => {
    const at = bytes.byteOffset;
    const fast = plan && readMessage(plan, { bytes: wholeBuffer(bytes), at }, at + bytes.length);
    // Made by the plan of this very schema.
    return (fast as MessageShape<Desc> | undefined) ?? fromBinary(schema, plainBytes(bytes));
  };
}

/** Bytes within an array's memory; every Uint8Array is that, and making one costs more than anything else here. */
export type BytesAt = Pick<Uint8Array, 'buffer' | 'byteOffset' | 'length'>;

type Kind = 'string' | 'bytes' | 'bool' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'messages' | 'message';

interface FieldPlan {
  readonly name: string;
  readonly kind: Kind;
  readonly wireType: number;
  /** Of a message or a list's elements. */
  readonly plan: Plan | undefined;
}

interface Plan {
  /** A message without any field set; lists come fresh for each message. */
  readonly empty: object;
  readonly lists: readonly string[];
  /** By field number; undefined = not for this decoder. */
  readonly fields: readonly (FieldPlan | undefined)[];
}

/** A place within bytes. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const HIGHEST_FIELD = 64;

const KINDS: Partial<Record<ScalarType, Kind>> = {
  [ScalarType.STRING]: 'string',
  [ScalarType.BYTES]: 'bytes',
  [ScalarType.BOOL]: 'bool',
  [ScalarType.INT32]: 'int32',
  [ScalarType.UINT32]: 'uint32',
  [ScalarType.INT64]: 'int64',
  [ScalarType.UINT64]: 'uint64',
};

/** Undefined for messages whose objects are more than their fields: those with groups, and those of other syntaxes. */
function planOf(schema: DescMessage, within: readonly DescMessage[]): Plan | undefined {
  const plain = schema.file.proto.syntax === 'proto3' && schema.oneofs.length === 0;
  if (!plain || within.includes(schema)) return undefined;
  const fields: (FieldPlan | undefined)[] = [];
  const lists: string[] = [];
  for (const field of schema.fields) {
    if (field.fieldKind === 'list') lists.push(field.localName);
    else if (field.fieldKind === 'map') return undefined;
    if (field.number <= HIGHEST_FIELD) fields[field.number] = fieldPlan(field, [...within, schema]);
  }
  return { empty: { ...create(schema) }, lists, fields };
}

function fieldPlan(field: DescField, within: readonly DescMessage[]): FieldPlan | undefined {
  const { localName: name } = field;
  if (field.fieldKind === 'scalar') {
    const kind = field.longAsString ? undefined : KINDS[field.scalar];
    if (kind === undefined || (kind === 'string' && !field.utf8Validation)) return undefined;
    const wireType = kind === 'string' || kind === 'bytes' ? LENGTH_DELIMITED : VARINT;
    return { name, kind, wireType, plan: undefined };
  }
  const isList = field.fieldKind === 'list' && field.listKind === 'message';
  if (!(isList || field.fieldKind === 'message') || field.delimitedEncoding) return undefined;
  // Wrappers and the like that stand alone are other things in code than messages.
  if (!isList && field.message.typeName.startsWith('google.protobuf.')) return undefined;
  const plan = planOf(field.message, within);
  return plan && { name, kind: isList ? 'messages' : 'message', wireType: LENGTH_DELIMITED, plan };
}

/** The message up to `end`, or undefined when it is not for this decoder. */
function readMessage(plan: Plan, cursor: Cursor, end: number): object | undefined {
  const message: Record<string, unknown> = { ...plan.empty };
  for (const list of plan.lists) message[list] = [];
  while (cursor.at < end) {
    const tag = readVarint(cursor, end);
    const field = plan.fields[tag >>> 3];
    if (tag < 0 || field === undefined || (tag & 7) !== field.wireType) return undefined;
    const number = readVarint(cursor, end);
    if (number < 0) return undefined;
    if (field.wireType === VARINT) {
      const value = integerOf(field.kind, number);
      if (value === undefined) return undefined;
      message[field.name] = value;
      continue;
    }
    if (!readContent(message, field, cursor, cursor.at + number, end)) return undefined;
  }
  return message;
}

/** Reads a field up to `to`; false when it is not for this decoder. */
function readContent(
  message: Record<string, unknown>,
  field: FieldPlan,
  cursor: Cursor,
  to: number,
  end: number,
): boolean {
  if (to > end) return false;
  if (field.plan !== undefined) {
    const isList = field.kind === 'messages';
    // One message in two parts is not for this decoder.
    if (!isList && message[field.name] !== undefined) return false;
    const element = readMessage(field.plan, cursor, to);
    if (element === undefined) return false;
    if (isList) add(message, field.name, element);
    else message[field.name] = element;
    return true;
  }
  message[field.name] = contentOf(field.kind, cursor, to);
  cursor.at = to;
  return true;
}

/** Nearly every list of the log has one element, for which `push` would make room for sixteen more. */
function add(message: Record<string, unknown>, name: string, element: object): void {
  const list = message[name] as object[];
  if (list.length === 0) message[name] = [element];
  else list.push(element);
}

function contentOf(kind: Kind, { bytes, at }: Cursor, to: number): Uint8Array | string {
  return kind === 'bytes' ? part(bytes, at, to) : textOf(bytes, at, to);
}

function integerOf(kind: Kind, value: number): bigint | number | boolean | undefined {
  switch (kind) {
    case 'int64':
    case 'uint64':
      return BigInt(value);
    case 'int32':
      return value <= 0x7fff_ffff ? value : undefined;
    case 'uint32':
      return value <= 0xffff_ffff ? value : undefined;
    default:
      return value !== 0;
  }
}

/** Reads an integer up to 2^53; -1 when there is none before `end`. */
export function readVarint(cursor: Cursor, end: number): number {
  const { bytes } = cursor;
  let value = 0;
  let unit = 1;
  for (let at = cursor.at; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x80) {
      cursor.at = at + 1;
      value += byte * unit;
      return value <= Number.MAX_SAFE_INTEGER ? value : -1;
    }
    value += (byte & 0x7f) * unit;
    unit *= 128;
    if (unit > 2 ** 49) return -1;
  }
  return -1;
}

/** @throws TypeError when it is not UTF-8 */
function textOf(bytes: Buffer, from: number, to: number): string {
  if (!isAscii(bytes, from, to)) return getTextEncoding().decodeUtf8(part(bytes, from, to), true);
  return bytes.toString('latin1', from, to);
}

/** Whether all bytes there are ASCII. */
export function isAscii(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((bytes[at] ?? 0) >= 0x80) return false;
  return true;
}

/** Not a Buffer, whose `slice` would share memory where that of its type copies. */
function part({ buffer }: Buffer, from: number, to: number): Uint8Array {
  return new Uint8Array(buffer, from, to - from);
}

/** As an array. Not a Buffer, see above. */
export function plainBytes(bytes: BytesAt): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
