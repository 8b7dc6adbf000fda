import type { Message } from '@bufbuild/protobuf';
import type { Sealed as SealedField } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { BytesAt } from '../codec/event-decoder.ts';
import { EventStoreError } from '../errors.ts';
import { sealText } from './cipher.ts';
import { type PersonalField, personOf, textOf } from './fields.ts';
import type { KeyRing } from './keys.ts';
import { writeSealed } from './sealed-text.ts';

/** What the personal texts of an aggregate's events are sealed with. */
export interface Seal {
  /** Of the aggregate. */
  readonly id: string;
  /** Holds the keys of everybody whom the events are about. */
  readonly keys: Pick<KeyRing, 'get'>;
}

/** Where an event lies, as far as it does not say itself. */
interface At {
  readonly category: string;
  readonly id: string;
  readonly type: string;
}

/** Whose keys have to be at hand before an event is sealed. @throws EventStoreError `event/invalid` */
export function personsOf(fields: readonly PersonalField[], event: Message, id: string): string[] {
  return fields.filter((field) => textOf(field, event) !== '').map((field) => personOf(field, event, id));
}

/**
 * An event without its personal texts, and these, sealed. An empty text says nothing and stays.
 * @throws EventStoreError `person/forgotten`; RangeError for a person whose key is not at hand
 */
export function sealEvent(
  fields: readonly PersonalField[],
  event: Message,
  { category, type }: Pick<At, 'category' | 'type'>,
  { id, keys }: Seal,
): { readonly event: Message; readonly sealed: SealedField[] } {
  const sealed: SealedField[] = [];
  const emptied: Message & Record<string, unknown> = { ...event };
  for (const field of fields) {
    const text = textOf(field, event);
    if (text === '') continue;
    const person = personOf(field, event, id);
    const { number: key, key: bytes } = usableKey(keys, person);
    const place = { category, id, type, field: field.number, person, key };
    sealed.push({
      $typeName: 'jetledger.eventstore.v1.Sealed',
      field: field.number,
      person: person === id ? '' : person,
      key,
      sealed: sealText(place, bytes, text),
    });
    emptied[field.name] = '';
  }
  return { event: emptied, sealed };
}

function usableKey(keys: Seal['keys'], person: string) {
  const key = keys.get(person);
  if (key === undefined) throw new RangeError(`The key of the person ${person} is not at hand.`);
  if (key !== 'forgotten') return key;
  throw new EventStoreError(
    'person/forgotten',
    `The person ${person} was forgotten, and nothing more is stored of them.`,
  );
}

/** A sealed field as an event in a commit holds it. */
export interface SealedAt {
  readonly field: number;
  readonly person: string;
  readonly key: number;
  readonly sealed: BytesAt;
}

const LENGTH_DELIMITED = 2;

/**
 * The bytes of an event with its sealed texts as ordinary ones in their fields. Upcasters and decoders then deal with them
 * as with any text, and the place, taken from where the event lies, goes with each.
 */
export function withSealedTexts(data: BytesAt, sealed: readonly SealedAt[], at: At): Uint8Array {
  const parts = [new Uint8Array(data.buffer, data.byteOffset, data.length)];
  for (const { field, person, key, sealed: bytes } of sealed) {
    const text = writeSealed({
      ...at,
      field,
      person: person || at.id,
      key,
      sealed: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length),
    });
    const head = [...varint((field << 3) | LENGTH_DELIMITED), ...varint(text.length)];
    parts.push(Uint8Array.from(head), Buffer.from(text, 'latin1'));
  }
  return Buffer.concat(parts);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}
