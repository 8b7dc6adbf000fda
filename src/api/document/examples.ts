import { problemBody } from '../problem-reply.ts';
import { isProblemCode } from '../problems.ts';

/** The part of a schema that an example is made from. */
export interface Schema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  allOf?: readonly Schema[];
  examples?: readonly unknown[];
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  items?: Schema;
  minimum?: number;
  minProperties?: number;
}

interface Media {
  schema?: Schema;
  example?: unknown;
  examples?: Readonly<Record<string, { summary: string; value: unknown }>>;
}
type Content = Readonly<Record<string, Media>>;

/** The part of the document that gets examples. */
export interface Documented {
  components?: { schemas?: object };
  paths?: object;
}

/** The part of an operation that is completed once all routes are known. */
export interface Operation {
  requestBody?: { required?: boolean; content?: Content };
  responses?: Readonly<Record<string, { content?: Content }>>;
}

const REQUEST_ID = '0198c5a4-6c1e-7c7f-9d8e-0d9f2b1c3a4e';

/**
 * Gives every component, every body and every answer of a document an example, made from those of its fields unless it
 * has one; a problem answer gets one for each of its codes.
 */
export function addExamples({ components = {}, paths = {} }: Documented): void {
  const schemas = (components.schemas ?? {}) as Record<string, Schema>;
  for (const schema of Object.values(schemas)) schema.examples ??= [exampleOf(schema, schemas)];
  for (const path of Object.values(paths as Record<string, Record<string, Operation>>)) {
    for (const { requestBody, responses = {} } of Object.values(path)) {
      for (const { content } of [requestBody ?? {}, ...Object.values(responses)])
        illustrate(content, schemas);
    }
  }
}

function illustrate(content: Content | undefined, schemas: Record<string, Schema>): void {
  for (const [type, media] of Object.entries(content ?? {})) {
    if (type === 'application/problem+json') media.examples = problemExamples(media.schema);
    else if (type !== 'text/event-stream' && media.schema) media.example ??= exampleOf(media.schema, schemas);
  }
}

/** The codes that a problem answer of an operation names. */
export function codesOf(schema: Schema | undefined): readonly string[] {
  return (schema?.allOf ?? []).flatMap(({ properties }) => properties?.code?.enum ?? []).map(String);
}

function problemExamples(schema: Schema | undefined): Record<string, { summary: string; value: unknown }> {
  return Object.fromEntries(
    codesOf(schema)
      .filter(isProblemCode)
      .map((code) => {
        const value = JSON.parse(problemBody({ code }, { requestId: REQUEST_ID })) as { title: string };
        return [code.replace('/', '.'), { summary: value.title, value }];
      }),
  );
}

/** A value that a schema allows: the one that it shows itself, else one made from its parts. */
function exampleOf(schema: Schema, schemas: Record<string, Schema>): unknown {
  const { $ref, examples, anyOf, oneOf, enum: allowed, type } = schema;
  if (examples !== undefined) return examples[0];
  if ($ref !== undefined) return exampleOf(schemas[$ref.slice($ref.lastIndexOf('/') + 1)] ?? {}, schemas);
  if ('const' in schema) return schema.const;
  if (allowed !== undefined) return allowed[0];
  const first = (anyOf ?? oneOf)?.[0];
  if (first !== undefined) return exampleOf(first, schemas);
  switch (type) {
    case 'object':
      return objectExample(schema, schemas);
    case 'array':
      return schema.items ? [exampleOf(schema.items, schemas)] : [];
    case 'integer':
    case 'number':
      return schema.minimum ?? 0;
    case 'boolean':
      return false;
    default:
      return 'text';
  }
}

const isScalar = ({ $ref, type, anyOf }: Schema): boolean =>
  $ref === undefined && anyOf === undefined && type !== 'object' && type !== 'array';

/** What is optional and shows no example of itself is left out rather than made up, unless it has parts that do. */
function objectExample({ properties = {}, required = [] }: Schema, schemas: Record<string, Schema>): object {
  const shown = Object.entries(properties).filter(
    ([name, property]) => required.includes(name) || property.examples !== undefined || !isScalar(property),
  );
  return Object.fromEntries(shown.map(([name, property]) => [name, exampleOf(property, schemas)]));
}
