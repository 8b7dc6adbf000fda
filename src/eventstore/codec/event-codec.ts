import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { Event as StoredEvent } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { EventSource, Upcaster } from '../decider.ts';
import { EventStoreError, UnknownEventType } from '../errors.ts';
import { type BytesAt, decoderOf, plainBytes } from './event-decoder.ts';
import { encoderOf } from './event-encoder.ts';
import { type EventInCommit, storedEventOf } from './stored-commit.ts';

/** Turns a category's events into stored bytes and back. The one place where old schema versions are upcast. */
export interface EventCodec<Event extends Message> {
  readonly category: string;
  encode(event: Event): StoredEvent;
  /** @throws UnknownEventType; EventStoreError when the bytes are not that message, or are encrypted */
  decode(stored: EventInCommit): Event;
}

/**
 * Builds the codec of a category. A type's newest schema version is one above its last upcaster, or 1.
 * @throws EventStoreError when two events of the category share a short name, or an event does not survive a round trip
 */
export function createEventCodec<Event extends Message>(source: EventSource): EventCodec<Event> {
  const { category } = source;
  const decoders = new Map<string, (data: BytesAt) => Message>();
  const byTypeName = new Map<
    string,
    { schema: DescMessage; encode: (event: Message) => Uint8Array<ArrayBuffer> }
  >();
  for (const schema of source.events) {
    if (decoders.has(schema.name)) {
      throw new EventStoreError(
        'event/duplicate-type',
        `The category ${category} has two events called ${schema.name}.`,
      );
    }
    decoders.set(schema.name, decoderOf(schema));
    byTypeName.set(schema.typeName, { schema, encode: encoderOf(schema) });
    proveRoundTrip(category, schema);
  }
  const upcasters = upcastersByType(source.upcasters ?? []);
  const newest = new Map<string, number>();
  for (const u of source.upcasters ?? [])
    newest.set(u.type, Math.max(newest.get(u.type) ?? 1, u.fromVersion + 1));

  const encode = (event: Event): StoredEvent => {
    const known = byTypeName.get(event.$typeName);
    if (known === undefined) throw new UnknownEventType(category, event.$typeName, 0);
    const { name } = known.schema;
    return storedEventOf(name, newest.get(name) ?? 1, known.encode(event));
  };

  const decode = (stored: EventInCommit): Event => {
    if (stored.encryption !== undefined) {
      throw new EventStoreError(
        'event/encrypted',
        `The event ${category}/${stored.type} is encrypted and this version holds no keys.`,
      );
    }
    let { type, schemaVersion, data }: EventInCommit = stored;
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
  return { category, encode, decode };
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
