import { problemBody } from './problem-reply.ts';
import { isProblemCode } from './problems.ts';

/** The part of a schema that an example is made from. */
interface Schema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  examples?: readonly unknown[];
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  items?: Schema;
  minimum?: number;
}

interface Media {
  schema?: Schema;
  example?: unknown;
  examples?: Readonly<Record<string, { summary: string; value: unknown }>>;
}
type Content = Readonly<Record<string, Media>>;

/** The part of the document that gets examples. */
interface Documented {
  components?: { schemas?: object };
  paths?: object;
}

interface Operation {
  requestBody?: { content: Content };
  responses?: Readonly<Record<string, { description?: string; content?: Content }>>;
}

const REQUEST_ID = '0198c5a4-6c1e-7c7f-9d8e-0d9f2b1c3a4e';
const NAMED_CODE = /`([a-z-]+\/[a-z-]+|internal)`/g;

/**
 * Gives every component, every body and every answer of a document an example, made from those of its fields; a
 * problem answer gets one for each code that its description names.
 */
export function addExamples({ components = {}, paths = {} }: Documented): void {
  const schemas = (components.schemas ?? {}) as Record<string, Schema>;
  for (const schema of Object.values(schemas)) schema.examples ??= [exampleOf(schema, schemas)];
  for (const path of Object.values(paths as Record<string, Record<string, Operation>>)) {
    for (const { requestBody, responses = {} } of Object.values(path)) {
      illustrate(requestBody?.content, '', schemas);
      for (const { description = '', content } of Object.values(responses)) {
        illustrate(content, description, schemas);
      }
    }
  }
}

function illustrate(
  content: Content | undefined,
  description: string,
  schemas: Record<string, Schema>,
): void {
  for (const [type, media] of Object.entries(content ?? {})) {
    if (type === 'application/problem+json') media.examples = problemExamples(description);
    else if (type === 'application/json' && media.schema) media.example = exampleOf(media.schema, schemas);
  }
}

function problemExamples(description: string): Record<string, { summary: string; value: unknown }> {
  const codes = [...description.matchAll(NAMED_CODE)].map(([, code]) => code).filter(isProblemCode);
  return Object.fromEntries(
    codes.map((code) => {
      const value = JSON.parse(problemBody({ code }, { requestId: REQUEST_ID })) as { title: string };
      return [code.replace('/', '.'), { summary: value.title, value }];
    }),
  );
}

/** A value that a schema allows: the one that it shows itself, else one made from its parts. */
function exampleOf(schema: Schema, schemas: Record<string, Schema>): unknown {
  const { $ref, examples, anyOf, enum: allowed, type } = schema;
  if ($ref !== undefined) return exampleOf(schemas[$ref.slice($ref.lastIndexOf('/') + 1)] ?? {}, schemas);
  if (examples !== undefined) return examples[0];
  if ('const' in schema) return schema.const;
  if (allowed !== undefined) return allowed[0];
  if (anyOf?.[0] !== undefined) return exampleOf(anyOf[0], schemas);
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

/** An optional text that shows no example of itself is left out rather than made up. */
function objectExample({ properties = {}, required = [] }: Schema, schemas: Record<string, Schema>): object {
  const shown = Object.entries(properties).filter(
    ([name, { type, examples }]) => required.includes(name) || type !== 'string' || examples !== undefined,
  );
  return Object.fromEntries(shown.map(([name, property]) => [name, exampleOf(property, schemas)]));
}
