type Node = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;
const nameOf = ({ $id }: Node): string | undefined => (typeof $id === 'string' ? $id : undefined);

/** How a part is referred to: where Fastify resolves it, or in the finished document. */
type Reference = (name: string) => string;
const toBeResolved: Reference = (name) => `${name}#`;
const inDocument: Reference = (name) => `#/components/schemas/${name}`;

/**
 * A copy of a schema in which a part that has a name (`$id`) is a reference, so that the document says it once. What
 * checks requests keeps the part itself. A description of its own stays beside the reference.
 */
export function referring(schema: object, reference: Reference = toBeResolved): object {
  const parts = Object.entries(schema).map(([key, value]) => [key, partOf(value, reference)]);
  return Object.fromEntries(parts) as object;
}

function partOf(value: unknown, reference: Reference): unknown {
  if (Array.isArray(value)) return value.map((one) => partOf(one, reference));
  if (!isNode(value)) return value;
  const name = nameOf(value);
  if (name === undefined) return referring(value, reference);
  const { description } = value;
  return { $ref: reference(name), ...(description !== undefined && { description }) };
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
      const { $id: _id, ...unnamed } = body as Node;
      components[name] ??= referring(unnamed, inDocument);
      return { ...schema, body: { $ref: inDocument(name) } };
    },
  };
}
