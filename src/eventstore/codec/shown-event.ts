import { type DescMessage, type Message, toJson } from '@bufbuild/protobuf';

/** Stands where a field is that is shown to nobody. @internal */
export const HIDDEN = '***';

type Json = Record<string, unknown>;

/**
 * An event as JSON for people, wherever one is shown. Fields that its .proto marks `debug_redact` are masked; what is
 * stored keeps them.
 * @internal
 */
export function shownEvent(
  schema: DescMessage,
  event: Message,
  options?: { readonly alwaysEmitImplicit: true },
): Json {
  const json = toJson(schema, event, options) as Json;
  mask(schema, json);
  return json;
}

function mask({ fields }: DescMessage, json: Json): void {
  for (const field of fields) {
    const value = json[field.jsonName];
    if (value === undefined) continue;
    if (field.proto.options?.debugRedact === true) json[field.jsonName] = HIDDEN;
    else if (field.message !== undefined)
      for (const inner of [value].flat()) if (isObject(inner)) mask(field.message, inner);
  }
}

/** The names that hidden fields of events have in code, and so in a state that keeps them. @internal */
export function hiddenNames(events: readonly DescMessage[]): ReadonlySet<string> {
  const hidden = events
    .flatMap(({ fields }) => fields)
    .filter(({ proto }) => proto.options?.debugRedact === true);
  return new Set(hidden.map(({ localName }) => localName));
}

/**
 * Something that was stored as JSON before its fields were hidden, or a state: fields of these names are masked.
 * @internal
 */
export function withoutHidden(value: unknown, hidden: ReadonlySet<string>): unknown {
  if (!isObject(value) || !Object.keys(value).some((name) => hidden.has(name))) return value;
  const fields = Object.entries(value);
  return Object.fromEntries(fields.map(([name, field]) => [name, hidden.has(name) ? HIDDEN : field]));
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;
