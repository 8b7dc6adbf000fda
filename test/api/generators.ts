import fc from 'fast-check';
import { EVENTS_V2 } from '../../src/api/events/schemas.ts';
import { inlined, type OpenApi, type Route, type Schema } from './document.ts';

/** What a request of the fuzz test looks like. */
export interface FuzzRequest {
  readonly route: Route;
  readonly url: string;
  /** The path itself was tampered with, so that it may be no route at all. */
  readonly oddPath: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: string | undefined;
}

/** Ids that exist, so that requests get past "not found". */
export interface Known {
  readonly ids: readonly string[];
  readonly skus: readonly string[];
  /** Further values that exist, by the name of the field or parameter: what the files of `known/` have made. */
  readonly more: Readonly<Record<string, readonly string[]>>;
}

const NASTY = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  ' ',
  '\u0000',
  '\u001f',
  '\ud800',
  '\u2028',
  '💥',
  'a'.repeat(300),
  '*',
  '>',
  '.',
  '..',
  '$',
  '"',
  '\\',
  '/',
  '<script>',
  '%',
  '-1',
  'null',
  'İ',
  'e\u0301',
];
const nastyText = fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: 'binary', maxLength: 40 }));
const nastyNumber = fc.constantFrom(
  -1,
  0,
  -0,
  0.5,
  1e12,
  1e12 + 1,
  2 ** 53,
  1e300,
  Number.MIN_VALUE,
  -(2 ** 63),
);
const nastyValue = fc.oneof(
  nastyText,
  nastyNumber,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(null, true, [], {}),
);

/** Values that a schema allows. */
export function validOf(schema: Schema, known: Known, name = ''): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'object':
      return validObject(schema, known);
    case 'array': {
      const items = validOf(schema.items ?? {}, known);
      return fc.uniqueArray(items, {
        minLength: schema.minItems ?? 0,
        maxLength: 3,
        selector: (item) => (item as { sku?: unknown }).sku ?? item,
      });
    }
    case 'integer': {
      const min = schema.minimum ?? 0;
      const max = schema.maximum ?? 2 ** 53 - 1;
      return fc.oneof(fc.integer({ min, max: Math.min(max, min + 20) }), fc.constantFrom(min, max));
    }
    case 'boolean':
      return fc.boolean();
    default:
      return validText(schema, known, name);
  }
}

function validObject(schema: Schema, known: Known): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], patternProperties = {}, maxProperties = 5 } = schema;
  const [pairs] = Object.entries(patternProperties);
  if (pairs !== undefined) {
    const key = fc.stringMatching(new RegExp(pairs[0]));
    return fc.dictionary(key, validOf(pairs[1], known), { maxKeys: maxProperties, noNullPrototype: true });
  }
  const model = Object.entries(properties).map(([name, schema]) => [name, validOf(schema, known, name)]);
  const made = fc.record<Record<string, unknown>>(Object.fromEntries(model), { requiredKeys: [...required] });
  // What fits together is seldom made by chance.
  const [example] = schema.examples ?? [];
  const shown = example === undefined ? [] : [{ arbitrary: fc.constant(example), weight: 1 }];
  return fc.oneof({ arbitrary: made, weight: 4 }, ...shown);
}

function validText(schema: Schema, known: Known, name: string): fc.Arbitrary<string> {
  if (name === 'email') return fc.emailAddress();
  if (name === 'sku') return fc.constantFrom(...known.skus, 'UNKNOWN');
  const example = (schema.examples ?? []).map(String);
  if (schema.pattern !== undefined) {
    const ids = name === 'id' || name === 'userId' ? known.ids : [];
    const matching = fc.stringMatching(new RegExp(schema.pattern));
    const usual = [...ids, ...(known.more[name] ?? []), ...example];
    return usual.length === 0
      ? matching
      : fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...usual) }, matching);
  }
  const { minLength = 0, maxLength = 50 } = schema;
  return fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, 50)) });
}

/** JSON texts: mostly what the schema allows, else that with something wrong in it, else no JSON at all. */
function bodyOf(schema: Schema, known: Known): fc.Arbitrary<string> {
  const valid = validOf(schema, known);
  const mutated = fc
    .tuple(valid, fc.nat(), nastyText, nastyValue)
    .map(([value, place, key, other]) => mutate(value, place, key, other));
  return fc.oneof(
    { weight: 5, arbitrary: valid.map((value) => JSON.stringify(value)) },
    { weight: 5, arbitrary: mutated },
    { weight: 1, arbitrary: nastyValue.map((value) => JSON.stringify(value)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '',
        '{',
        '[]]',
        '{"a":1e400}',
        '{"__proto__":{}}',
        '{"constructor":{"prototype":{}}}',
        '[1,]',
        'NaN',
        '\u0000',
        '\ufeff{}',
        '"\\ud800"',
        `${'['.repeat(5_000)}${']'.repeat(5_000)}`,
        `"${'x'.repeat(70_000)}"`,
      ),
    },
  );
}

/** Adds, drops or replaces one field somewhere in a value. */
function mutate(value: unknown, place: number, key: string, other: unknown): string {
  const copy: unknown = structuredClone(value);
  const objects: Record<string, unknown>[] = [];
  const collect = (inner: unknown): void => {
    if (typeof inner !== 'object' || inner === null) return;
    if (!Array.isArray(inner)) objects.push(inner as Record<string, unknown>);
    for (const child of Object.values(inner)) collect(child);
  };
  collect(copy);
  const target = objects[place % Math.max(1, objects.length)];
  if (target === undefined) return JSON.stringify(other);
  const names = Object.keys(target);
  const name = names[place % Math.max(1, names.length)] ?? key;
  if (place % 3 === 0) delete target[name];
  else
    Object.defineProperty(target, place % 3 === 1 ? name : key, {
      value: other,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return JSON.stringify(copy);
}

const oddPathPart = fc.oneof(
  fc.constantFrom(
    '%zz',
    '%',
    '%00',
    '%2e%2e',
    '%2F',
    '..',
    '.',
    '',
    ' ',
    ';a',
    '%E2%82',
    '%FF',
    'a?b=',
    '#x',
    '*',
    'x'.repeat(500),
  ),
  nastyText.map((text) => encodeURIComponent(text.toWellFormed())),
);
const latin1 = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).map((c) => String.fromCharCode(c)),
  maxLength: 140,
});
const oddQuery = fc.oneof(
  fc.constantFrom(
    'x=1',
    'limit=1&limit=2',
    'limit=',
    'limit=-1',
    'cursor=%00',
    'cursor=%zz',
    '__proto__=1',
    'minPosition=1e3',
    '&&=',
    '?',
    'after[]=1',
  ),
  fc
    .tuple(nastyText, nastyText)
    .map((pair) => pair.map((text) => encodeURIComponent(text.toWellFormed())).join('=')),
);

const accepted = fc.constantFrom(EVENTS_V2, 'text/event-stream; events=v2', 'text/html', '*/*;q=0', 'x');

/** Requests to one operation. */
export function requestTo(document: OpenApi, route: Route, known: Known): fc.Arbitrary<FuzzRequest> {
  const { requestBody } = route.operation;
  // The document moves the example of a parameter's schema to the parameter.
  const parameters = (route.operation.parameters ?? []).map((parameter) => {
    const { schema, example } = parameter;
    return example === undefined ? parameter : { ...parameter, schema: { ...schema, examples: [example] } };
  });
  const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
  const pathValues = parameters
    .filter((p) => p.in === 'path')
    .map(({ name, schema }) => fc.tuple(validOf(schema, known, name).map(String), rarely(oddPathPart)));
  const query = fc.record(
    Object.fromEntries(
      parameters
        .filter((p) => p.in === 'query')
        .map(({ name, schema, required }) => {
          const value = validOf(schema, known, name);
          return [name, required ? fc.option(value, { freq: 15, nil: undefined }) : rarely(value)];
        }),
    ),
  );
  const headers = parameters
    .filter((p) => p.in === 'header' && p.name !== 'Prefer')
    .map(({ name, schema }) =>
      rarely(fc.oneof({ weight: 3, arbitrary: validOf(schema, known, name).map(String) }, latin1)).map(
        (value) => [name.toLowerCase(), value] as const,
      ),
    );
  headers.push(rarely(accepted).map((value) => ['accept', value] as const));
  const schema = requestBody?.content?.['application/json']?.schema;
  const body =
    schema === undefined
      ? fc.constant(undefined)
      : fc.option(bodyOf(inlined(document, schema), known), { freq: 15, nil: undefined });
  const type = fc.oneof(
    { weight: 15, arbitrary: fc.constant('application/json') },
    fc.constantFrom(
      'text/plain',
      'application/xml',
      '',
      'application/json; charset=x',
      'json',
      ';;',
      'multipart/form-data',
    ),
  );
  return fc
    .tuple(fc.tuple(...pathValues), query, rarely(oddQuery), fc.tuple(...headers), body, type)
    .map(([path, queryValues, extra, headerPairs, payload, contentType]) => {
      let index = 0;
      const filled = route.path.replace(/\{\w+\}/g, () => {
        const [valid = '', odd] = path[index++] ?? [];
        return odd ?? valid;
      });
      const pairs = Object.entries(queryValues).filter(([, value]) => value !== undefined);
      const parts = pairs.map(
        ([name, value]) => `${name}=${encodeURIComponent(String(value).toWellFormed())}`,
      );
      if (extra !== undefined) parts.push(extra);
      const given = headerPairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
      return {
        route,
        url: parts.length === 0 ? filled : `${filled}?${parts.join('&')}`,
        oddPath: path.some(([, odd]) => odd !== undefined),
        // Never wait for a position that nobody has written.
        headers: {
          prefer: 'wait=0',
          ...(payload !== undefined && { 'content-type': contentType }),
          ...Object.fromEntries(given),
        },
        payload,
      };
    });
}
