import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { type Access, SCOPES, scopesOf } from './auth/access.ts';
import { allPublic } from './auth/authenticate.ts';
import type { ApiModule } from './deps.ts';
import { problemBody } from './problem-reply.ts';
import { isProblemCode } from './problems.ts';
import { Live, Problem, Ready } from './schemas/problem.ts';

/** How callers show who they are, for the document. */
export const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: `A token of the configured issuer. Its scopes open the routes: ${Object.entries(SCOPES)
      .map(([scope, opens]) => `\`${scope}\` ${opens}`)
      .join(', ')}. Where authentication is switched off (development and test only) none is needed.`,
  },
} as const;

/** The security of an operation: one of the scopes is enough; none at all is needed for a public one. */
export function securityOf(access: Access): { bearer: string[] }[] {
  return (scopesOf(access) ?? []).map((scope) => ({ bearer: [scope] }));
}

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

const DESCRIPTION = `An event-sourced user, catalogue and order service.

Commands answer their version in \`ETag\` and their position in the event log in \`Position\`; a query with that
position in \`Min-Position\` shows at least what the command did. Every error is a problem detail (RFC 9457) with a
stable \`code\`. Bodies are JSON in UTF-8, not compressed, with each name once in its object; a header of one value stands
once. A GET of one entity answers 304 to its ETag in \`If-None-Match\`. Amounts are integers in the currency's minor unit.`;

/** Collects the OpenAPI document from the routes that follow, and serves it at /openapi.json and /docs. */
export function documentRoutes(app: FastifyInstance, modules: readonly ApiModule[], version: string): void {
  const components = [Problem, ...modules.flatMap((module) => module.components), Live, Ready];
  for (const schema of components) app.addSchema(schema);
  refuseUnknownReferences(app);
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'JetLedger',
        description: DESCRIPTION,
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: SECURITY_SCHEMES },
      servers: [{ url: '/', description: 'This service' }],
      tags: [
        ...modules.flatMap(({ tag }) => (tag === undefined ? [] : [tag])),
        { name: 'health', description: 'For load balancers and orchestrators' },
      ],
    },
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) => String($id ?? `schema-${index}`),
    },
    transform: ({ schema, url, route }) => {
      const { access } = (route.config ?? {}) as { access?: Access };
      return { schema: { ...schema, ...(access && { security: securityOf(access) }) }, url };
    },
    transformObject: (document) =>
      'openapiObject' in document ? completed(document.openapiObject) : document.swaggerObject,
  });
  app.register(async (scope) => {
    allPublic(scope);
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, page: true };
    });
    await scope.register(swaggerUi, { routePrefix: '/docs', uiConfig: { docExpansion: 'list' } });
  });
  app.register(async (scope) => {
    allPublic(scope);
    let document: Buffer | undefined;
    scope.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
      document ??= Buffer.from(JSON.stringify(scope.swagger()));
      return reply.header('content-type', 'application/json; charset=utf-8').send(document);
    });
  });
}

/**
 * A schema that a route names and nobody lists would be a dead link in the document: it stops the start.
 * @throws Error from `app.ready()`
 */
function refuseUnknownReferences(app: FastifyInstance): void {
  const named = new Map<string, string>();
  app.addHook('onRoute', ({ method, url, schema }) => {
    for (const [, name = ''] of JSON.stringify(schema ?? {}).matchAll(/"\$ref":"([^"#]+)#/g)) {
      if (method !== 'HEAD') named.set(name, `${[method].flat().join(' ')} ${url}`);
    }
  });
  app.addHook('onReady', async () => {
    const known = app.getSchemas();
    const unknown = [...named].filter(([name]) => !Object.hasOwn(known, name));
    if (unknown.length === 0) return;
    const list = unknown.map(([name, route]) => `${name} (${route})`).join(', ');
    throw new Error(
      `Routes name schemas that are not known: ${list}. Add them to the components of their module in src/api/routes.`,
    );
  });
}

function completed<Document extends object>(document: Document): Document {
  addExamples(document);
  return withOptionalBodies(document);
}

interface Body {
  required?: boolean;
  content: Record<string, { schema?: { required?: unknown; minProperties?: unknown } }>;
}

/** The generator calls every body required; one whose fields are all optional may be left out. */
function withOptionalBodies<Document extends { paths?: unknown }>(document: Document): Document {
  const paths = (document.paths ?? {}) as Record<string, Record<string, { requestBody?: Body }>>;
  for (const operation of Object.values(paths).flatMap((path) => Object.values(path))) {
    const { requestBody } = operation;
    const schema = requestBody?.content['application/json']?.schema;
    if (requestBody && schema && !schema.required && !schema.minProperties) requestBody.required = false;
  }
  return document;
}
