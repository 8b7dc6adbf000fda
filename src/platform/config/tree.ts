/** The value at a dotted name such as `nats.tls.caFile`; undefined when there is none. */
export function getAt(tree: object, name: string): unknown {
  let node: unknown = tree;
  for (const part of name.split('.')) {
    if (!isTree(node)) return undefined;
    node = node[part];
  }
  return node;
}

/** Puts a value at a dotted name, making the sections on the way. */
export function setAt(tree: object, name: string, value: unknown): void {
  const parts = name.split('.');
  const last = parts.pop();
  let node = tree as Record<string, unknown>;
  for (const part of parts) {
    const child = node[part];
    const next = isTree(child) ? child : {};
    node[part] = next;
    node = next;
  }
  if (last !== undefined) node[last] = value;
}

/** True for a section: a plain object. */
export function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
