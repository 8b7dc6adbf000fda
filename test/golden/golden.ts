import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
  toJson,
} from '@bufbuild/protobuf';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { EventSource } from '../../src/eventstore/decider.ts';
import { markEvents } from '../../src/eventstore/marks/marks.ts';
import { aggregates } from '../../src/service/shop.ts';

/** One event as it was stored once, and what it decodes to. The bytes never change; see `main.ts`. */
export interface Golden {
  readonly category: string;
  readonly type: string;
  readonly schemaVersion: number;
  readonly hex: string;
  /** What the bytes decode to, after all upcasters. */
  readonly json: JsonValue;
}

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/** Where the golden bytes of an event are kept. */
export function pathOf({ category, type, schemaVersion }: Omit<Golden, 'hex' | 'json'>): string {
  return `${FOLDER}${category}/${type}.v${schemaVersion}.json`;
}

/** Every golden event that is kept, with its file's name. */
export function keptGolden(): (Golden & { readonly file: string })[] {
  return readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.json'))
    .toSorted()
    .map((file) => ({ ...(JSON.parse(readFileSync(`${FOLDER}${file}`, 'utf8')) as Golden), file }));
}

/** Whose events are stored: the aggregates, and the marks of the log itself. */
export const sources: readonly EventSource[] = [...aggregates, markEvents];

/** The events that the service writes today, each filled in every field. */
export function goldenOfToday(): Golden[] {
  return sources.flatMap((decider) =>
    decider.events.map((schema: DescMessage) => {
      const event: Message = fromJson(schema, sampleOf(schema));
      const { type, schemaVersion, data } = codecOf(decider).encode(event);
      const hex = Buffer.from(data).toString('hex');
      return { category: decider.category, type, schemaVersion, hex, json: toJson(schema, event) };
    }),
  );
}

/** A message as JSON with every field set to something that is not its default; of a oneof only the first. */
function sampleOf(message: DescMessage): JsonObject {
  const fields = message.fields.filter((f) => f.oneof === undefined || f.oneof.fields[0] === f);
  return Object.fromEntries(fields.map((field) => [field.jsonName, sampleValue(field)]));
}

function sampleValue(field: DescField): JsonValue {
  switch (field.fieldKind) {
    case 'message':
      return sampleOf(field.message);
    case 'enum':
      return field.enum.values.at(-1)?.name ?? '';
    case 'list':
      return [1, 2].map((n) =>
        field.message === undefined ? scalarOf(field.scalar, field, n) : sampleOf(field.message),
      );
    case 'map':
      return {
        [field.name]: field.message === undefined ? scalarOf(field.scalar, field) : sampleOf(field.message),
      };
    case 'scalar':
      return scalarOf(field.scalar, field);
  }
}

function scalarOf(scalar: ScalarType | undefined, { name, number }: DescField, nth = 1): JsonValue {
  switch (scalar) {
    case ScalarType.STRING:
      return `${name}-${nth}`;
    case ScalarType.BOOL:
      return true;
    case ScalarType.BYTES:
      return Buffer.from(name).toString('base64');
    default:
      return name.endsWith('_at') ? '1900000000123' : number * 100 + nth;
  }
}
