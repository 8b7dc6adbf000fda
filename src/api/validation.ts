import type { FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Violation } from './problem-reply.ts';

type Check = (value: unknown) => true | { value: unknown } | { error: FastifySchemaValidationError[] };

const checks = new WeakMap<object, Check>();

/**
 * Checks requests against their schemas. Nothing is removed, filled in or converted, except that decimal digits in
 * the query and the headers become integers where the schema says so, since HTTP has only text there.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  let check = checks.get(schema);
  if (check === undefined) {
    check = compileCheck(httpPart === 'headers' ? inLowerCase(schema) : schema, httpPart ?? 'body');
    checks.set(schema, check);
  }
  return check;
};

function compileCheck(schema: TSchema, httpPart: string): Check {
  const validator = Compile(schema);
  const fromText = httpPart === 'querystring' || httpPart === 'headers';
  const integers = fromText ? integersOf(schema) : [];
  return (given) => {
    const value = integers.length === 0 ? given : withIntegers(given, integers);
    // Handing back what was given would make Fastify copy it at every access.
    if (validator.Check(value)) return value === given ? true : { value };
    return { error: validator.Errors(value) as FastifySchemaValidationError[] };
  };
}

/** Node gives header names in lower case; Fastify leaves a custom compiler's schemas as they are written. */
function inLowerCase(schema: TSchema): TSchema {
  const { properties = {} } = schema as { properties?: Record<string, TSchema> };
  const renamed = Object.entries(properties).map(([name, property]) => [name.toLowerCase(), property]);
  return { ...schema, properties: Object.fromEntries(renamed) };
}

function integersOf(schema: TSchema): string[] {
  const { properties = {} } = schema as { properties?: Record<string, { type?: unknown }> };
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

function withIntegers(given: unknown, names: readonly string[]): unknown {
  const values = given as Readonly<Record<string, unknown>>;
  const numeric = names.flatMap((name): [string, number][] => {
    const text = values[name];
    return typeof text === 'string' && /^\d{1,16}$/.test(text) ? [[name, Number(text)]] : [];
  });
  return numeric.length === 0 ? given : { ...values, ...Object.fromEntries(numeric) };
}

const PARTS: Readonly<Record<string, Violation['in']>> = {
  body: 'body',
  params: 'path',
  querystring: 'query',
  headers: 'header',
};

/** What a failed check found, for the client: where it is and what is expected there, never what was sent. */
export function violationsOf(
  errors: readonly FastifySchemaValidationError[],
  context: string | undefined,
): readonly Violation[] {
  const part = PARTS[context ?? ''] ?? 'body';
  return errors.flatMap((error): Violation[] => {
    const pointer = error.instancePath;
    switch (error.keyword) {
      // Each of its fields is reported on its own, with its pointer, by the schema `false`.
      case 'additionalProperties':
        return [];
      case 'boolean':
        return [{ in: part, pointer, detail: 'is not a known field; remove it' }];
      case 'required':
        return missing(error).map((name) => ({
          in: part,
          pointer: `${pointer}/${name}`,
          detail: 'is required',
        }));
      case 'enum':
        return [{ in: part, pointer, detail: `must be one of ${listed(error.params.allowedValues)}` }];
      default:
        return [{ in: part, pointer, detail: error.message ?? 'is not allowed' }];
    }
  });
}

function missing(error: FastifySchemaValidationError): readonly string[] {
  const names = error.params.requiredProperties;
  return Array.isArray(names) ? names.map(String) : [];
}

function listed(values: unknown): string {
  return Array.isArray(values) ? values.join(', ') : String(values);
}
