import {
  type DescMessage,
  fromBinary,
  fromJsonString,
  type Message,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { EventStoreError, HEADER } from '../../../eventstore/index.ts';
import type { PublicEvent } from './contract.ts';

/** How the data of a public event is written. Whoever reads goes by what each message says, and takes both. */
export type PublicFormat = 'protobuf' | 'json';

/** A message as NATS carries it; a header's values in order. */
export interface CarriedMessage {
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly data: Uint8Array;
}

/** The media type of each format. */
export const MEDIA_TYPES: Readonly<Record<PublicFormat, string>> = {
  protobuf: 'application/protobuf',
  json: 'application/json',
};
/** So that the order of the texts is that of the numbers, as CloudEvents wants it. */
const SEQUENCE_DIGITS = 12;

/**
 * The headers of a public event: CloudEvents 1.0 in the binary mode of its NATS binding, the extensions for the sequence
 * and for distributed tracing, and the trace context under its own names. Stored.
 */
export function cloudEventHeaders(
  event: PublicEvent,
  format: PublicFormat,
): readonly (readonly [string, string])[] {
  const { id, source, type, subject, sequence, time, traceparent, tracestate } = event;
  const attributes = {
    specversion: '1.0',
    id,
    source,
    type,
    subject,
    time: new Date(time).toISOString(),
    datacontenttype: MEDIA_TYPES[format],
    sequence: String(sequence).padStart(SEQUENCE_DIGITS, '0'),
    traceparent,
    tracestate,
  };
  const trace = { [HEADER.traceparent]: traceparent, [HEADER.tracestate]: tracestate };
  return [
    ...Object.entries(attributes).map(([name, value]) => [`ce-${name}`, encoded(value)] as const),
    ...Object.entries(trace),
  ].filter(([, value]) => value !== '');
}

/** The bytes of a public event's data. */
export function cloudEventData(schema: DescMessage, data: Message, format: PublicFormat): Uint8Array {
  return format === 'protobuf' ? toBinary(schema, data) : Buffer.from(toJsonString(schema, data));
}

/**
 * The public event that a message carries.
 * @param events the schemas of the contract; fields that a newer build has added are passed over
 * @returns undefined for a type that is not among them: a newer build has added it
 * @throws EventStoreError `public/unreadable` for what is no public event
 */
export function publicEventOf(
  { headers, data }: CarriedMessage,
  events: readonly DescMessage[],
): PublicEvent | undefined {
  const attribute = (name: string): string => decoded(headers[`ce-${name}`]?.[0] ?? '');
  const [id, type, sequence, time] = [
    attribute('id'),
    attribute('type'),
    Number(attribute('sequence')),
    Date.parse(attribute('time')),
  ];
  if (attribute('specversion') !== '1.0' || id === '' || !(sequence > 0) || Number.isNaN(time))
    throw new EventStoreError(
      'public/unreadable',
      'The message is no public event: it lacks the headers of CloudEvents 1.0.',
    );
  const schema = events.find(({ typeName }) => typeName === type);
  if (schema === undefined) return undefined;
  return {
    ...{ id, type, sequence, time, source: attribute('source'), subject: attribute('subject') },
    ...{ traceparent: attribute('traceparent'), tracestate: attribute('tracestate') },
    data: dataOf(schema, data, attribute('datacontenttype')),
  };
}

function dataOf(schema: DescMessage, data: Uint8Array, mediaType: string): Message {
  try {
    if (mediaType === MEDIA_TYPES.protobuf) return fromBinary(schema, data);
    return fromJsonString(schema, Buffer.from(data).toString('utf8'), { ignoreUnknownFields: true });
  } catch (cause) {
    const problem = `The data of a public event is no ${schema.typeName} as ${mediaType || 'JSON'}.`;
    throw new EventStoreError('public/unreadable', problem, { cause });
  }
}

/** As the binding demands: what is not printable ASCII, a blank, `"` or `%` as its percent-encoded UTF-8. */
function encoded(value: string): string {
  return value.replace(/[^\x21-\x7e]+|["%]/gu, (text) =>
    [...Buffer.from(text, 'utf8')]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
