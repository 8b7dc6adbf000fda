import type { Message } from '@bufbuild/protobuf';
import type { Sealed as SealedField } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import { type BytesAt, plainBytes } from '../codec/event-decoder.ts';
import { EventStoreError } from '../errors.ts';
import { sealText } from './cipher.ts';
import { type PersonalFields, personalTexts, withoutPersonalTexts } from './fields.ts';
import type { KeyRing } from './keys.ts';
import { writeSealed } from './sealed-text.ts';
import { type FieldText, withTexts, withTextWithin } from './wire.ts';

/** What the personal texts of an aggregate's events are sealed with. */
export interface Seal {
  /** Of the aggregate. */
  readonly id: string;
  /** Holds the keys of everybody whom the events are about. */
  readonly keys: Pick<KeyRing, 'get'>;
}

/** Where an event lies, as far as it does not say itself. */
export interface At {
  readonly category: string;
  readonly id: string;
  readonly type: string;
}

/** Whose keys have to be at hand before an event is sealed. @throws EventStoreError `event/invalid` */
export function personsOf(fields: PersonalFields, event: Message, id: string): string[] {
  return personalTexts(fields, event, id).map(({ person }) => person);
}

/**
 * An event without its personal texts, and these, sealed. An empty text says nothing and stays. What an aggregate of its own,
 * such as an order, says of a person who was forgotten is left out: the order goes on without it.
 * @throws EventStoreError `person/forgotten` for an event of the person's own aggregate; RangeError for a person whose key
 *   is not at hand
 */
export function sealEvent(
  fields: PersonalFields,
  event: Message,
  { category, type }: Pick<At, 'category' | 'type'>,
  { id, keys }: Seal,
): { readonly event: Message; readonly sealed: SealedField[] } {
  const kept = personalTexts(fields, event, id).filter(
    ({ person }) => person === id || keys.get(person) !== 'forgotten',
  );
  const sealed = kept.map(({ field, within, text, person }): SealedField => {
    const { number: key, key: bytes } = usableKey(keys, person);
    return {
      $typeName: 'jetledger.eventstore.v1.Sealed',
      field,
      person: person === id ? '' : person,
      key,
      sealed: sealText({ category, id, type, field, within, person, key }, bytes, text),
      within,
    };
  });
  return { event: withoutPersonalTexts(fields, event), sealed };
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

/** A sealed text as an event in a commit holds it. */
export interface SealedAt {
  readonly field: number;
  readonly person: string;
  readonly key: number;
  readonly sealed: BytesAt;
  readonly within: string;
}

/**
 * The bytes of an event with its sealed texts as ordinary ones in their fields. Upcasters and decoders then deal with them
 * as with any text, and the place, taken from where the event lies, goes with each.
 * @throws RangeError where the event has no such place
 */
export function withSealedTexts(data: BytesAt, sealed: readonly SealedAt[], at: At): Uint8Array {
  const outer: FieldText[] = [];
  const inner: [path: readonly number[], text: Uint8Array][] = [];
  for (const each of sealed) {
    const { field, within } = each;
    const text = sealedText(each, at);
    if (within === '') outer.push({ field, text });
    else inner.push([[field, ...within.split('.').map(Number)], Buffer.from(text, 'latin1')]);
  }
  return inner.reduce((whole, [path, text]) => withTextWithin(whole, path, text), withTexts(data, outer));
}

/** The same for an event that was decoded without them, which is a third of the work. @param texts names of its fields */
export function withSealedFields<Event extends Message>(
  event: Event,
  texts: ReadonlyMap<number, string>,
  sealed: readonly SealedAt[],
  at: At,
): Event {
  const fields: Record<string, unknown> = event as Event & Record<string, unknown>;
  for (const each of sealed) fields[texts.get(each.field) ?? ''] = sealedText(each, at);
  return event;
}

function sealedText({ field, within, person, key, sealed }: SealedAt, { category, id, type }: At): string {
  return writeSealed({ category, id, type, field, within, person: person || id, key }, plainBytes(sealed));
}
