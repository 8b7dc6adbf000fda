import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildApp } from '../../src/api/app.ts';
import { EVENTS_V2 } from '../../src/api/events/schemas.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { documentOf, type OpenApi, type Route, routesOf } from './document.ts';

let service: MemoryService;
let document: OpenApi;
let routes: Route[];

beforeAll(async () => {
  service = await memoryService();
  document = await documentOf(service.app);
  routes = routesOf(document);
});
afterAll(async () => service[Symbol.asyncDispose]());

/** What the modules of the list register, without the documentation and its pages. */
async function registeredRoutes(): Promise<string[]> {
  const app = buildApp(service.deps);
  const found = new Set<string>();
  app.addHook('onRoute', ({ method, url, schema, config }) => {
    const isPage = (config as { page?: boolean } | undefined)?.page === true;
    if (schema?.hide === true || isPage) return;
    for (const name of [method].flat()) {
      if (name !== 'HEAD') found.add(`${name} ${url.replace(/:(\w+)/g, '{$1}')}`);
    }
  });
  await app.ready();
  await app.close();
  return [...found].sort();
}

it('the document is OpenAPI 3.1 and holds every route, and only those', async () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  expect(document.info).toMatchObject({ title: 'JetLedger', version: '0.0.0-test' });
  const documented = routes.map(({ method, path }) => `${method} ${path}`).sort();
  expect(documented).toEqual(await registeredRoutes());
  expect(documented.length).toBeGreaterThan(30);
});

it('every route that the app answers is in the document, except the document itself and its page', () => {
  for (const { method, path } of routes) {
    const url = path.replace(/\{(\w+)\}/g, ':$1');
    expect(service.app.hasRoute({ method: method as 'GET', url })).toBe(true);
  }
  const printed = service.app.printRoutes({ commonPrefix: false, includeHooks: false });
  const methods = [...printed.matchAll(/\(([A-Z, ]+)\)/g)].flatMap(([, list = '']) => list.split(', '));
  const commands = methods.filter((method) => ['POST', 'PATCH', 'DELETE'].includes(method)).length;
  expect(commands).toBe(routes.filter(({ method }) => method !== 'GET').length);
});

it('an operation id says what the operation does, and cannot be taken for another one', () => {
  const verbs: Record<string, RegExp> = {
    GET: /^(get|list|stream)[A-Z]/,
    PATCH: /^update[A-Z]/,
    DELETE: /^forget[A-Z]/,
  };
  for (const { method, operation } of routes) {
    const verb = method === 'POST' ? /^(?!get|list|stream|update)[a-z]+[A-Z]/ : (verbs[method] ?? /^$/);
    expect(operation.operationId).toMatch(operation.responses[201] ? /^create[A-Z]/ : verb);
  }
  const singular = routes.map(({ operation }) => operation.operationId.toLowerCase().replace(/s$/, ''));
  expect(new Set(singular).size).toBe(routes.length);
});

it('every body is a component with the name of its operation, and every amount of money is the same one', () => {
  for (const { method, operation } of routes) {
    const schema = operation.requestBody?.content?.['application/json']?.schema;
    expect([operation.operationId, schema !== undefined]).toEqual([operation.operationId, method !== 'GET']);
    if (schema !== undefined)
      expect(schema).toEqual({ $ref: expect.stringMatching(/^#\/components\/schemas\//) });
  }
  const amounts = JSON.stringify({ ...document, components: { ...document.components, schemas: {} } });
  expect(amounts).not.toContain('"amountMinor":{');
  const { Money, ...others } = document.components.schemas;
  expect(Money?.required).toEqual(['amountMinor', 'currency']);
  const shaped = Object.entries(others).filter(([, schema]) =>
    JSON.stringify(schema).includes('"amountMinor":{'),
  );
  // The change of a price, whose currency is fixed, so that it may be left out.
  expect(shaped.map(([name]) => name)).toEqual(['UpdateProduct']);
});

it('the code of a problem is one of those that the answer names, and of all codes that there are', () => {
  const all = document.components.schemas.Problem?.properties?.code?.enum ?? [];
  expect(all).toEqual(expect.arrayContaining(['internal', 'route/not-found', 'user/email-taken']));
  const named = new Set<unknown>();
  for (const { content, description } of routes.flatMap(({ operation }) =>
    Object.values(operation.responses),
  )) {
    const schema = content?.['application/problem+json']?.schema;
    if (schema === undefined) continue;
    const [problem, own] = schema.allOf ?? [];
    expect(problem).toEqual({ $ref: '#/components/schemas/Problem' });
    const codes = own?.properties?.code?.enum ?? [];
    expect(codes).toEqual(description.split('\n').map((line) => /^`(.+)`: /.exec(line)?.[1]));
    for (const code of codes) named.add(code);
  }
  expect([...named].filter((code) => !all.includes(code))).toEqual([]);
});

it('every operation has a unique id, a known tag, a summary, a description and described responses', () => {
  const ids = routes.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  const tags = document.tags.map(({ name }) => name);
  for (const { operation } of routes) {
    expect(operation).toMatchObject({ summary: expect.any(String), description: expect.any(String) });
    expect(tags).toEqual(expect.arrayContaining([...(operation.tags ?? ['none'])]));
    for (const [status, response] of Object.entries(operation.responses)) {
      expect(status).toMatch(/^[2-5][0-9]{2}$/);
      expect(response.description).not.toBe('Default Response');
      const types = Object.keys(response.content ?? {});
      const isReadiness = /^get(Readiness|Startup)$/.test(operation.operationId) && status === '503';
      const good = operation.operationId.startsWith('stream') ? 'text/event-stream' : 'application/json';
      const expected = status < '400' || isReadiness ? good : 'application/problem+json';
      const own = types.filter((type) => type !== EVENTS_V2);
      expect(own).toEqual(status === '304' ? [] : [expected]);
    }
  }
});

it('every parameter of a path is declared', () => {
  for (const { path, operation } of routes) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
    expect(declared.map(({ name }) => name)).toEqual(named);
    expect(declared.every(({ required }) => required)).toBe(true);
  }
});

it('every POST takes an Idempotency-Key; every change of what exists takes If-Match; operators may just repeat', () => {
  for (const { method, path, operation } of routes.filter((route) => !route.path.startsWith('/v1/admin/'))) {
    const headers = (operation.parameters ?? []).filter((p) => p.in === 'header').map(({ name }) => name);
    expect([path, headers.includes('Idempotency-Key')]).toEqual([path, method === 'POST']);
    expect([path, headers.includes('If-Match')]).toEqual([path, method !== 'GET' && path.includes('{')]);
  }
});

it('a body that the document calls optional is left out like an empty one is sent; any other is missed', async () => {
  const withBody = routes.filter(({ operation }) => operation.requestBody !== undefined);
  const isOptional = ({ operation }: Route) => operation.requestBody?.required === false;
  for (const route of withBody) {
    const examples = new Map(route.operation.parameters?.map(({ name, example }) => [name, example]));
    const url = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => String(examples.get(name) ?? 'x'));
    const method = route.method as 'POST';
    const bare = await service.app.inject({ method, url });
    const empty = await service.app.inject({ method, url, payload: {} });
    const expected = isOptional(route) ? empty.statusCode : 400;
    expect([route.path, bare.statusCode]).toEqual([route.path, expected]);
  }
  expect(withBody.filter(isOptional).length).toBeGreaterThan(5);
  expect(withBody.filter((route) => !isOptional(route)).length).toBeGreaterThan(5);
});

it('every schema is valid JSON Schema 2020-12, every reference resolves, and every example fits its schema', () => {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true });
  addFormats.default(ajv);
  ajv.addVocabulary(['example', 'components', 'discriminator']);
  ajv.addSchema({ $id: 'doc', components: document.components }, undefined, false, false);
  const compiled = new Map<string, ValidateFunction>();
  const compile = (schema: object): ValidateFunction => {
    const text = JSON.stringify(schema).replaceAll('"#/components/', '"doc#/components/');
    const validate = compiled.get(text) ?? ajv.compile(JSON.parse(text));
    compiled.set(text, validate);
    return validate;
  };
  const check = (value: unknown, pointer: string): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('schema' in value && typeof value.schema === 'object' && value.schema !== null) {
      const { schema } = value;
      expect(() => compile(schema), pointer).not.toThrow();
      if ('example' in value) expect(compile(schema)(value.example), `${pointer}/example`).toBe(true);
    }
    const { type, examples } = value as { type?: unknown; examples?: unknown };
    if (typeof type === 'string' && Array.isArray(examples)) {
      const validate = compile(value);
      for (const example of examples)
        expect(validate(example), `${pointer}: ${JSON.stringify(example)}`).toBe(true);
    }
    for (const [key, inner] of Object.entries(value)) check(inner, `${pointer}/${key}`);
  };
  check(document.paths, '#/paths');
  check(document.components, '#/components');
});

it('every body, answer and component has an example, and every problem one of each of its codes', () => {
  for (const { operation } of routes) {
    const { requestBody, responses } = operation;
    const bodies = [requestBody, ...Object.values(responses)].flatMap((one) =>
      Object.entries(one?.content ?? {}),
    );
    for (const [type, media] of bodies) {
      if (type === 'text/event-stream') continue;
      const shown =
        type === 'application/problem+json' ? Object.values(media.examples ?? {}) : [media.example];
      expect([operation.operationId, type, shown.length > 0 && shown[0] !== undefined]).toEqual([
        operation.operationId,
        type,
        true,
      ]);
    }
  }
  for (const [status, { content, description }] of routes.flatMap((route) =>
    Object.entries(route.operation.responses),
  )) {
    const examples = Object.values(content?.['application/problem+json']?.examples ?? {});
    for (const { value } of examples) expect(value).toMatchObject({ status: Number(status) });
    expect(examples).toHaveLength(content?.['application/problem+json'] ? description.split('\n').length : 0);
  }
  for (const schema of Object.values(document.components.schemas)) expect(schema.examples).toHaveLength(1);
});
