import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { Event as StoredEvent } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { EventSource, Upcaster } from '../decider.ts';
import { EventStoreError, UnknownEventType } from '../errors.ts';
import { FIELDS_V1 } from '../personal/cipher.ts';
import { isEmpty, type PersonalFields, personalFieldsOf } from '../personal/fields.ts';
import {
  type At,
  personsOf,
  type Seal,
  sealEvent,
  withSealedFields,
  withSealedTexts,
} from '../personal/seal-event.ts';
import { holdsSealed } from '../personal/sealed-text.ts';
import { type BytesAt, decoderOf, plainBytes } from './event-decoder.ts';
import { encoderOf } from './event-encoder.ts';
import { type EventInCommit, storedEventOf } from './stored-commit.ts';

/**
 * Turns a category's events into stored bytes and back. The one place where old schema versions are upcast, and where
 * personal texts are sealed.
 */
export interface EventCodec<Event extends Message> {
  readonly category: string;
  /** Whether its events have fields that are marked as a person's. */
  readonly personal: boolean;
  /** Whose keys an event of an aggregate is sealed with. @throws EventStoreError `event/invalid` */
  persons(event: Event, id: string): readonly string[];
  /**
   * @param seal what marked texts are sealed with; without it they are stored in plain
   * @throws EventStoreError `event/invalid`, `person/forgotten`
   */
  encode(event: Event, seal?: Seal): StoredEvent;
  /**
   * What is sealed stays so: its fields hold sealed texts, which `PersonalData.open` opens.
   * @param id of the aggregate; an event with sealed texts is not read without
   * @throws UnknownEventType; EventStoreError when the bytes are not that message, or are encrypted in another way
   */
  decode(stored: EventInCommit, id?: string): Event;
}

/** The names of an event's personal texts, by the numbers of their fields. */
type Texts = ReadonlyMap<number, string>;

/** What is known of an event type. */
interface Known {
  readonly schema: DescMessage;
  readonly encode: (event: Message) => Uint8Array<ArrayBuffer>;
  readonly fields: PersonalFields;
}

/**
 * Builds the codec of a category. A type's newest schema version is one above its last upcaster, or 1.
 * @throws EventStoreError when two events of the category share a short name, or an event does not survive a round trip
 */
export function createEventCodec<Event extends Message>(source: EventSource): EventCodec<Event> {
  const { category } = source;
  const decoders = new Map<string, (data: BytesAt) => Message>();
  const textsByType = new Map<string, Texts>();
  const byTypeName = new Map<string, Known>();
  for (const schema of source.events) {
    if (decoders.has(schema.name)) {
      throw new EventStoreError(
        'event/duplicate-type',
        `The category ${category} has two events called ${schema.name}.`,
      );
    }
    decoders.set(schema.name, decoderOf(schema));
    const fields = personalFieldsOf(schema);
    textsByType.set(schema.name, new Map(fields.texts.map(({ number, name }) => [number, name])));
    byTypeName.set(schema.typeName, { schema, encode: encoderOf(schema), fields });
    proveRoundTrip(category, schema);
  }
  const upcasters = upcastersByType(source.upcasters ?? []);
  const newest = new Map<string, number>();
  for (const u of source.upcasters ?? [])
    newest.set(u.type, Math.max(newest.get(u.type) ?? 1, u.fromVersion + 1));

  const knownOf = (event: Event): Known => {
    const known = byTypeName.get(event.$typeName);
    if (known === undefined) throw new UnknownEventType(category, event.$typeName, 0);
    return known;
  };

  const encode = (event: Event, seal?: Seal): StoredEvent => {
    const { schema, encode: encodeData, fields } = knownOf(event);
    if (holdsSealed(event)) throw sealedBefore(schema);
    const { name: type } = schema;
    const version = newest.get(type) ?? 1;
    if (seal === undefined || isEmpty(fields)) return storedEventOf(type, version, encodeData(event));
    const { event: emptied, sealed } = sealEvent(fields, event, { category, type }, seal);
    return storedEventOf(type, version, encodeData(emptied), sealed);
  };

  const read = (stored: EventInCommit, bytes: BytesAt): Event => {
    let { type, schemaVersion } = stored;
    let data = bytes;
    for (
      let u = upcasters.get(type)?.get(schemaVersion);
      u !== undefined;
      u = upcasters.get(type)?.get(schemaVersion)
    ) {
      const next = upcastOrName(category, u, data);
      // A type of another name has versions of its own, from 1 on.
      schemaVersion = next.type === type ? schemaVersion + 1 : 1;
      ({ type, data } = next);
    }
    const decodeData = decoders.get(type);
    if (decodeData === undefined || schemaVersion !== (newest.get(type) ?? 1)) {
      throw new UnknownEventType(category, stored.type, stored.schemaVersion);
    }
    try {
      // The decoders are those of exactly this category's event union.
      return decodeData(data) as Event;
    } catch (cause) {
      throw corruptEvent(category, type, cause);
    }
  };

  const decode = (stored: EventInCommit, id?: string): Event => {
    const { type, data, encryption, sealed } = stored;
    if (encryption === undefined && sealed.length === 0) return read(stored, data);
    const at = placeOf(category, stored, id);
    const texts = upcasters.has(type) ? undefined : textsByType.get(type);
    if (texts !== undefined && sealed.every(({ field, within }) => within === '' && texts.has(field)))
      return withSealedFields(read(stored, data), texts, sealed, at);
    return read(stored, sealedData(stored, at));
  };
  const persons = (event: Event, id: string) => personsOf(knownOf(event).fields, event, id);
  const personal = [...byTypeName.values()].some(({ fields }) => !isEmpty(fields));
  return { category, personal, persons, encode, decode };
}

/** Or what somebody took from elsewhere would be opened for them. */
function sealedBefore({ name }: DescMessage): EventStoreError {
  return new EventStoreError(
    'event/invalid',
    `${name} cannot be stored: one of its texts begins with U+0001, as only sealed texts do. Nothing was stored.`,
  );
}

/** Where a sealed event lies. @throws EventStoreError for what this version cannot read */
function placeOf(category: string, { type, encryption }: EventInCommit, id: string | undefined): At {
  if (encryption?.algorithm !== FIELDS_V1) {
    throw new EventStoreError(
      'event/encrypted',
      `The event ${category}/${type} is encrypted in a way that this version does not know.`,
    );
  }
  if (id === undefined)
    throw new RangeError(`The event ${category}/${type} is sealed: say of which aggregate it is.`);
  return { category, id, type };
}

/** For upcasters, and for texts within messages. @throws EventStoreError for what was taken out of its place */
function sealedData({ data, sealed }: EventInCommit, at: At): BytesAt {
  try {
    return withSealedTexts(data, sealed, at);
  } catch (cause) {
    throw corruptEvent(at.category, at.type, cause);
  }
}

/** By type and the version that they start from. */
function upcastersByType(upcasters: readonly Upcaster[]): Map<string, Map<number, Upcaster>> {
  const byType = new Map<string, Map<number, Upcaster>>();
  for (const upcaster of upcasters) {
    const ofType = byType.get(upcaster.type) ?? new Map<number, Upcaster>();
    byType.set(upcaster.type, ofType.set(upcaster.fromVersion, upcaster));
  }
  return byType;
}

function upcastOrName(category: string, upcaster: Upcaster, data: BytesAt): ReturnType<Upcaster['upcast']> {
  try {
    return upcaster.upcast(plainBytes(data));
  } catch (cause) {
    throw corruptEvent(category, upcaster.type, cause);
  }
}

function corruptEvent(category: string, type: string, cause: unknown): EventStoreError {
  const message = `The bytes of an event ${category}/${type} are not that message.`;
  return new EventStoreError('event/corrupt', message, { cause });
}

function proveRoundTrip(category: string, schema: DescMessage): void {
  const bytes = toBinary(schema, create(schema));
  if (fromBinary(schema, bytes).$typeName !== schema.typeName) {
    throw new EventStoreError(
      'event/no-round-trip',
      `The event ${category}/${schema.name} does not survive its codec.`,
    );
  }
}

const codecs = new WeakMap<EventSource, EventCodec<Message>>();

/** The codec of a decider, built once. */
export function codecOf<Event extends Message>(source: EventSource): EventCodec<Event> {
  let codec = codecs.get(source);
  if (codec === undefined) {
    codec = createEventCodec(source);
    codecs.set(source, codec);
  }
  return codec as EventCodec<Message> as EventCodec<Event>;
}
