import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { configSchema } from './schema.ts';

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

/** One setting: a leaf of the configuration. */
export interface ConfigKey {
  /** As in the files and in messages, such as `nats.embedded.dataDir`. */
  readonly name: string;
  /** The variable that overrides it, such as `JETLEDGER_NATS__EMBEDDED__DATA_DIR`. */
  readonly variable: string;
  /** What it may hold, in words. */
  readonly allowed: string;
  readonly secret: boolean;
  /** True when the value is of the key's type and within its bounds. */
  accepts(value: unknown): boolean;
  /** The value that a variable's text stands for; the text itself when it stands for none. */
  fromText(text: string): unknown;
}

interface LeafSchema extends Type.TSchema {
  readonly type?: string;
  readonly enum?: readonly (string | number)[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly allowed?: string;
  readonly secret?: boolean;
}

/** All settings, in the order of the schema. */
export const CONFIG_KEYS: readonly ConfigKey[] = keysOf(configSchema, []);

/** All settings by name. */
export const KEYS_BY_NAME: ReadonlyMap<string, ConfigKey> = new Map(
  CONFIG_KEYS.map((key) => [key.name, key]),
);

/** The names that hold other keys, such as `nats` and `nats.embedded`. */
export const SECTION_NAMES: ReadonlySet<string> = new Set(
  CONFIG_KEYS.flatMap(({ name }) => {
    const parts = name.split('.').slice(0, -1);
    return parts.map((_, index) => parts.slice(0, index + 1).join('.'));
  }),
);

/** The variable for a key: `http.bodyLimitBytes` is `JETLEDGER_HTTP__BODY_LIMIT_BYTES`. */
export function variableFor(name: string): string {
  const levels = name.split('.').map((part) => part.replace(/[A-Z]/g, '_$&').toUpperCase());
  return `JETLEDGER_${levels.join('__')}`;
}

function keysOf(schema: Type.TObject, path: readonly string[]): ConfigKey[] {
  return Object.entries(schema.properties).flatMap(([part, child]) =>
    Type.IsObject(child) ? keysOf(child, [...path, part]) : [toKey([...path, part].join('.'), child)],
  );
}

function toKey(name: string, schema: LeafSchema): ConfigKey {
  return {
    name,
    variable: variableFor(name),
    allowed: describeAllowed(schema),
    secret: schema.secret === true,
    accepts: (value) => Value.Check(schema, value),
    fromText: (text) => convert(schema, text),
  };
}

function describeAllowed(schema: LeafSchema): string {
  if (schema.allowed !== undefined) return schema.allowed;
  if (schema.enum !== undefined) return schema.enum.join(', ');
  if (schema.type === 'boolean') return 'true, false';
  const kind = schema.type === 'integer' ? 'a whole number' : 'a number';
  return `${kind} from ${schema.minimum} to ${schema.maximum}`;
}

function convert(schema: LeafSchema, text: string): unknown {
  if (schema.type === 'boolean') return toBoolean(text);
  const isNumber =
    schema.type === 'integer' || schema.type === 'number' || typeof schema.enum?.[0] === 'number';
  if (!isNumber) return text;
  return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text;
}

function toBoolean(text: string): unknown {
  const word = text.trim().toLowerCase();
  if (word === 'true' || word === '1') return true;
  if (word === 'false' || word === '0') return false;
  return text;
}
