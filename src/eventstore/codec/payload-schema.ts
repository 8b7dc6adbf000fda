import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';

/** A JSON schema, as OpenAPI 3.1 takes it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * What a message is in JSON, as `toJson` writes it and `fromJson` reads it: 64-bit integers are strings, bytes are base64,
 * and enums are their names. Well-known types and messages deeper than eight levels are any JSON.
 * Source: https://protobuf.dev/programming-guides/json
 */
export function payloadSchemaOf(message: DescMessage): JsonSchema {
  return objectOf(message, 0);
}

const DEEPEST = 8;
const ANYTHING: JsonSchema = {};

function objectOf(message: DescMessage, depth: number): JsonSchema {
  if (message.typeName.startsWith('google.protobuf.') || depth > DEEPEST) return ANYTHING;
  const properties = message.fields.map((field) => [field.jsonName, schemaOf(field, depth + 1)]);
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) };
}

function schemaOf(field: DescField, depth: number): JsonSchema {
  const one = (): JsonSchema => {
    if (field.message !== undefined) return objectOf(field.message, depth);
    if (field.enum !== undefined) return { enum: field.enum.values.map(({ name }) => name) };
    return scalarOf(field.scalar);
  };
  if (field.fieldKind === 'list') return { type: 'array', items: one() };
  if (field.fieldKind === 'map') return { type: 'object', additionalProperties: one() };
  return one();
}

function scalarOf(scalar: ScalarType | undefined): JsonSchema {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: 'string' };
    case ScalarType.BOOL:
      return { type: 'boolean' };
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64' };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { anyOf: [{ type: 'number' }, { enum: ['NaN', 'Infinity', '-Infinity'] }] };
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
    case ScalarType.SINT64:
      return { type: 'string', pattern: '^-?[0-9]+$' };
    default:
      return { type: 'integer' };
  }
}
