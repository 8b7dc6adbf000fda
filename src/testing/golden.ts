import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
  toJson,
} from '@bufbuild/protobuf';
import { codecOf } from '../eventstore/codec/event-codec.ts';
import type { EventSource } from '../eventstore/decider.ts';
import { EventSchema } from '../gen/jetledger/eventstore/v1/commit_pb.ts';

/** One event as it was stored once, and what it decodes to. The bytes never change: they are in somebody's log. */
export interface Golden {
  readonly category: string;
  readonly type: string;
  readonly schemaVersion: number;
  readonly hex: string;
  /** What the bytes decode to, after all upcasters: edited by hand when an upcaster changes it. */
  readonly json: JsonValue;
}

const nameOf = ({ category, type, schemaVersion }: Golden): string =>
  `${category}/${type}.v${schemaVersion}.json`;

/** The events that sources write today, each filled in every field. */
export function goldenOf(sources: readonly EventSource[]): Golden[] {
  return sources.flatMap((source) =>
    source.events.map((schema: DescMessage) => {
      const event: Message = fromJson(schema, sampleOf(schema));
      const { type, schemaVersion, data } = codecOf(source).encode(event);
      const hex = Buffer.from(data).toString('hex');
      return { category: source.category, type, schemaVersion, hex, json: toJson(schema, event) };
    }),
  );
}

/** What stored bytes are to today's code. @throws what the codec throws, and Error where nobody reads the category */
export function decodeGolden(
  sources: readonly EventSource[],
  { category, type, schemaVersion, hex }: Golden,
): JsonValue {
  const source = sources.find((one) => one.category === category);
  if (source === undefined) throw new Error(`nobody reads the category ${category}`);
  const data = new Uint8Array(Buffer.from(hex, 'hex'));
  const event = codecOf(source).decode(create(EventSchema, { type, schemaVersion, data }));
  const schema: DescMessage | undefined = source.events.find((one) => one.typeName === event.$typeName);
  if (schema === undefined) throw new Error(`${event.$typeName} is no event of ${category}`);
  return toJson(schema, event);
}

/**
 * Writes the golden bytes of every event type and version that has none yet; what is there is never written again.
 * @returns the files that were written, relative to the folder
 */
export function keepGolden(sources: readonly EventSource[], folder: string): string[] {
  const missing = goldenOf(sources).filter((golden) => !existsSync(join(folder, nameOf(golden))));
  for (const golden of missing) {
    const path = join(folder, nameOf(golden));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(golden, undefined, 2)}\n`, { flag: 'wx' });
  }
  return missing.map(nameOf);
}

/**
 * Compares the golden bytes of a folder with today's code.
 * @returns a sentence for each event without golden bytes, each file of another name than it holds, and each event that
 *   decodes to something else than it meant
 */
export function goldenProblems(sources: readonly EventSource[], folder: string): string[] {
  const kept = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
  const files = kept.filter((file) => file.endsWith('.json')).toSorted();
  const missing = goldenOf(sources)
    .map(nameOf)
    .filter((name) => !files.includes(name));
  return [
    ...missing.map((name) => `${name} is missing: keep the bytes of what is stored from now on`),
    ...files.flatMap((file) => problemOf(sources, file, readFileSync(join(folder, file), 'utf8'))),
  ];
}

function problemOf(sources: readonly EventSource[], file: string, text: string): string[] {
  const golden = JSON.parse(text) as Golden;
  if (nameOf(golden) !== file) return [`${file} holds ${nameOf(golden)}`];
  try {
    const now = decodeGolden(sources, golden);
    return isDeepStrictEqual(now, golden.json) ? [] : [`${file} decodes to ${JSON.stringify(now)}`];
  } catch (error) {
    return [`${file} cannot be read any more: ${String(error)}`];
  }
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
