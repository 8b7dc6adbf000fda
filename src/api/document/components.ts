type Node = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;
/** The name of a schema that has one. */
export const nameOf = ({ $id }: { readonly $id?: unknown }): string | undefined =>
  typeof $id === 'string' ? $id : undefined;

/** How a part is referred to: where Fastify resolves it, or in the finished document. */
type Reference = (name: string) => string;
const toBeResolved: Reference = (name) => `${name}#`;
const inDocument: Reference = (name) => `#/components/schemas/${name}`;

/**
 * A copy of a schema in which a part that has a name (`$id`) is a reference, so that the document says it once. What
 * checks requests keeps the part itself. A description and an example of its own stay beside the reference.
 */
export function referring(schema: object, reference: Reference = toBeResolved): object {
  const parts = Object.entries(schema).map(([key, value]) => [key, partOf(value, reference)]);
  return Object.fromEntries(parts) as object;
}

function partOf(value: unknown, reference: Reference): unknown {
  if (Array.isArray(value)) return value.map((one) => partOf(one, reference));
  if (!isNode(value)) return value;
  const { $ref } = value;
  if (typeof $ref === 'string' && $ref.endsWith('#')) return { ...value, $ref: reference($ref.slice(0, -1)) };
  const name = nameOf(value);
  if (name === undefined) return referring(value, reference);
  const { description, examples } = value;
  const own = {
    ...(description !== undefined && { description }),
    ...(examples !== undefined && { examples }),
  };
  return { $ref: reference(name), ...own };
}

/** A schema with a name as a component of the document. */
export function componentOf({ $id: _id, ...unnamed }: Node): object {
  return referring(unnamed, inDocument);
}

/** The bodies that routes take, as components of the document. */
export interface Bodies {
  /** The schema of a route with a reference in place of a body that has a name. */
  documented<Schema extends object>(schema: Schema): Schema;
  /** By name; complete once all routes were documented. */
  readonly components: Readonly<Record<string, object>>;
}

export function collectBodies(): Bodies {
  const components: Record<string, object> = {};
  return {
    components,
    documented: (schema) => {
      const { body } = schema as { body?: unknown };
      const name = isNode(body) ? nameOf(body) : undefined;
      if (name === undefined) return schema;
      components[name] ??= componentOf(body as Node);
      return { ...schema, body: { $ref: inDocument(name) } };
    },
  };
}
