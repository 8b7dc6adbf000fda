import {
  type DescField,
  type DescMessage,
  type MessageShape,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import { EventStoreError, reasonOf } from '../errors.ts';

/**
 * Encodes one kind of message into the bytes that `toBinary` gives, at a fifth of its time: reflection on each field is
 * most of what that costs. Like the decoder it knows what this log's commits and events are made of, and leaves
 * everything else, and everything that looks odd, to `toBinary`: huge messages, negative or huge integers, values of
 * other types.
 * @returns an encoder that refuses what would not come back as it was: @throws EventStoreError `event/invalid`, which
 *   names the field
 */
export function encoderOf<Desc extends DescMessage>(
  schema: Desc,
): (message: MessageShape<Desc>) => Uint8Array<ArrayBuffer> {
  const plan = planOf(schema, []);
  return (message) => {
    // Its fields are those of the schema that the plan is made of.
    const end = plan === undefined ? -1 : putMessage(plan, message as MessageShape<Desc> & Fields, 0);
    if (end < 0) return encodeChecked(schema, message);
    const bytes = new Uint8Array(end);
    bytes.set(scratch.subarray(0, end));
    return bytes;
  };
}

/** Integers that do not fit are refused by `toBinary`; half of a surrogate pair it would replace without a word. */
function encodeChecked<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Uint8Array<ArrayBuffer> {
  const broken = brokenText(message, []);
  if (broken !== undefined) {
    throw new EventStoreError(
      'event/invalid',
      `${schema.name} cannot be stored: ${broken} holds half of a surrogate pair, which is no text. Nothing was stored.`,
    );
  }
  try {
    return toBinary(schema, message) as Uint8Array<ArrayBuffer>;
  } catch (cause) {
    const message = `${schema.name} cannot be stored: ${reasonOf(cause)}. Nothing was stored.`;
    throw new EventStoreError('event/invalid', message, { cause });
  }
}

/** The path of the first text that is not well formed. */
function brokenText(value: unknown, path: readonly (string | number)[]): string | undefined {
  if (typeof value === 'string') return value.isWellFormed() ? undefined : path.join('.');
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined;
  for (const [name, part] of Object.entries(value)) {
    const broken = brokenText(part, [...path, name]);
    if (broken !== undefined) return broken;
  }
  return undefined;
}

/** `message`: one that may be absent, as it mostly is. `optional`: a text that is there or not. */
type Kind = 'string' | 'optional' | 'bytes' | 'bool' | 'integer' | 'bigint' | 'messages' | 'message';

interface FieldPlan {
  readonly name: string;
  readonly kind: Kind;
  /** One byte: field numbers here are below 16. */
  readonly tag: number;
  /** Of a message or a list's elements. */
  readonly plan: readonly FieldPlan[];
}

type Plan = readonly FieldPlan[];
type Fields = Readonly<Record<string, unknown>>;

const SCRATCH_BYTES = 64 * 1024;
/** Longer texts are not for this encoder; less than half of the room, so that one that was begun always has its place. */
const LONGEST_TEXT = 8 * 1024;
/** What must be left before a field is begun: a text of 3 bytes for each of its characters, and heads. */
const ROOM = 3 * LONGEST_TEXT + 32;
const LONGEST_BYTES = 3 * LONGEST_TEXT;
const LENGTH_DELIMITED = 2;
const HIGHEST_FIELD = 15;
const HIGHEST_INT32 = 2 ** 31 - 1;

// One for all: a message is encoded in one go, and what is handed out is a copy.
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

const KINDS: Partial<Record<ScalarType, Kind>> = {
  [ScalarType.STRING]: 'string',
  [ScalarType.BYTES]: 'bytes',
  [ScalarType.BOOL]: 'bool',
  [ScalarType.INT32]: 'integer',
  [ScalarType.UINT32]: 'integer',
  [ScalarType.INT64]: 'bigint',
  [ScalarType.UINT64]: 'bigint',
};

function planOf(schema: DescMessage, within: readonly DescMessage[]): Plan | undefined {
  const plain = schema.file.proto.syntax === 'proto3' && schema.oneofs.length === 0;
  if (!plain || within.includes(schema)) return undefined;
  const plans: FieldPlan[] = [];
  for (const field of [...schema.fields].sort((a, b) => a.number - b.number)) {
    const plan = fieldPlan(field, [...within, schema]);
    if (plan === undefined) return undefined;
    plans.push(plan);
  }
  return plans;
}

function fieldPlan(field: DescField, within: readonly DescMessage[]): FieldPlan | undefined {
  const { localName: name, number } = field;
  if (number > HIGHEST_FIELD) return undefined;
  if (field.fieldKind === 'scalar') {
    const kind = field.longAsString ? undefined : KINDS[field.scalar];
    if (field.proto.proto3Optional) {
      const tag = (number << 3) | LENGTH_DELIMITED;
      return kind === 'string' ? { name, kind: 'optional', tag, plan: [] } : undefined;
    }
    const tag = (number << 3) | (kind === 'string' || kind === 'bytes' ? LENGTH_DELIMITED : 0);
    return kind && { name, kind, tag, plan: [] };
  }
  const isList = field.fieldKind === 'list' && field.listKind === 'message';
  if (!(isList || field.fieldKind === 'message') || field.delimitedEncoding) return undefined;
  const plan = planOf(field.message, within);
  const kind = isList ? 'messages' : 'message';
  return plan && { name, kind, tag: (number << 3) | LENGTH_DELIMITED, plan };
}

/** Each `put` writes at an offset and returns the offset behind it, or -1 when it is not for this encoder. */
function putMessage(plan: Plan, message: Fields, start: number): number {
  if (message.$unknown !== undefined) return -1;
  let at = start;
  for (const field of plan) {
    if (at + ROOM > SCRATCH_BYTES) return -1;
    at = putField(field, message[field.name], at);
    if (at < 0) return -1;
  }
  return at;
}

function putField({ kind, tag, plan }: FieldPlan, value: unknown, at: number): number {
  switch (kind) {
    case 'string':
      return isPlainText(value) ? putText(tag, value, at) : -1;
    case 'optional':
      return value === undefined ? at : putPresent(tag, value, at);
    case 'bytes':
      return value instanceof Uint8Array && value.length <= LONGEST_BYTES ? putBytes(tag, value, at) : -1;
    case 'bool':
      return typeof value === 'boolean' ? putNumber(tag, Number(value), at) : -1;
    case 'integer':
      return isPlainInteger(value) ? putNumber(tag, value, at) : -1;
    case 'bigint':
      return isPlainBigint(value) ? putNumber(tag, Number(value), at) : -1;
    case 'messages':
      return Array.isArray(value) ? putMessages(tag, plan, value, at) : -1;
    case 'message':
      return value === undefined ? at : putMessages(tag, plan, [value], at);
  }
}

const isPlainText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= LONGEST_TEXT && value.isWellFormed();
const isPlainInteger = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= HIGHEST_INT32 && Number.isInteger(value);
const isPlainBigint = (value: unknown): value is bigint =>
  typeof value === 'bigint' && value >= 0n && value <= Number.MAX_SAFE_INTEGER;

function putMessages(tag: number, plan: Plan, messages: readonly unknown[], start: number): number {
  let at = start;
  for (const message of messages) {
    if (typeof message !== 'object' || message === null || at + ROOM > SCRATCH_BYTES) return -1;
    scratch[at] = tag;
    const end = putMessage(plan, message as Fields, at + 2);
    if (end < 0) return -1;
    at = putLength(at + 1, end);
  }
  return at;
}

function putText(tag: number, text: string, at: number): number {
  if (text === '') return at;
  scratch[at] = tag;
  return putLength(at + 1, at + 2 + scratch.write(text, at + 2));
}

/** An empty text is stored too, which `putText` leaves out. */
function putPresent(tag: number, text: unknown, at: number): number {
  return text !== '' && isPlainText(text) ? putText(tag, text, at) : -1;
}

/** Puts the length of what stands from `at + 1` to `end` in front of it; most lengths need the one byte that was left free. */
function putLength(at: number, end: number): number {
  const length = end - at - 1;
  if (length < 128) {
    scratch[at] = length;
    return end;
  }
  const more = length < 128 ** 2 ? 1 : 2;
  if (length >= 128 ** 3 || end + more > SCRATCH_BYTES) return -1;
  scratch.copyWithin(at + 1 + more, at + 1, end);
  putVarint(length, at);
  return end + more;
}

function putBytes(tag: number, bytes: Uint8Array, at: number): number {
  if (bytes.length === 0) return at;
  scratch[at] = tag;
  const start = putVarint(bytes.length, at + 1);
  scratch.set(bytes, start);
  return start + bytes.length;
}

function putNumber(tag: number, value: number, at: number): number {
  if (value === 0) return at;
  scratch[at] = tag;
  return putVarint(value, at + 1);
}

function putVarint(value: number, start: number): number {
  let at = start;
  let rest = value;
  while (rest > 127) {
    scratch[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  scratch[at++] = rest;
  return at;
}
