import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { type Access, SCOPES, scopesOf } from '../auth/access.ts';
import { allPublic } from '../auth/authenticate.ts';
import type { ApiModule } from '../deps.ts';
import { TECHNICAL } from '../problems.ts';
import { Money } from '../schemas/common.ts';
import { Live, Problem, Ready } from '../schemas/problem.ts';
import { collectBodies, componentOf, nameOf, referring } from './components.ts';
import { addExamples, codesOf, type Documented, type Operation, type Schema } from './examples.ts';
import { startPage } from './start-page.ts';

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

const DESCRIPTION = `An event-sourced user, catalogue and order service.

Commands answer their version in \`ETag\` and their position in the event log in \`Position\`; a query with that
position in \`Min-Position\` shows at least what the command did. Every error is a problem detail (RFC 9457) with a
stable \`code\`. Bodies are JSON in UTF-8, not compressed, with each name once in its object; a header of one value stands
once. A GET of one entity answers 304 to its ETag in \`If-None-Match\`. Amounts are integers in the currency's minor unit.`;

/** Collects the OpenAPI document from the routes that follow, and serves it at /openapi.json and /docs. */
export function documentRoutes(app: FastifyInstance, modules: readonly ApiModule[], version: string): void {
  const components = [Money, Problem, ...modules.flatMap((module) => module.components), Live, Ready];
  for (const schema of components) app.addSchema(referring(schema));
  // The generator would drop what stands beside a reference.
  const named = Object.fromEntries(
    components.map((schema) => [nameOf(schema), componentOf(schema as Readonly<Record<string, unknown>>)]),
  );
  const bodies = collectBodies();
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
      return {
        schema: { ...bodies.documented(schema ?? {}), ...(access && { security: securityOf(access) }) },
        url,
      };
    },
    transformObject: (document) =>
      'openapiObject' in document
        ? completed(document.openapiObject, { ...named, ...bodies.components })
        : document.swaggerObject,
  });
  app.register(async (scope) => {
    allPublic(scope);
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, page: true };
    });
    await scope.register(swaggerUi, { routePrefix: '/docs', uiConfig: { docExpansion: 'list' } });
  });
  startPage(app, version);
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

function completed<D extends Documented>(document: D, named: Readonly<Record<string, object>>): D {
  const schemas = Object.assign(document.components?.schemas ?? {}, named) as Record<string, Schema>;
  const paths = Object.values((document.paths ?? {}) as Record<string, Record<string, Operation>>);
  const operations = paths.flatMap((path) => Object.values(path));
  nameProblemCodes(operations, schemas.Problem);
  addExamples(document);
  nameOptionalBodies(operations, schemas);
  return document;
}

/** `Problem.code` is one of what some operation answers, or of what any address may. */
function nameProblemCodes(operations: readonly Operation[], problem: Schema | undefined): void {
  const answers = operations.flatMap(({ responses = {} }) => Object.values(responses));
  const named = answers.flatMap(({ content }) => codesOf(content?.['application/problem+json']?.schema));
  const { properties } = problem as { properties: { code: { enum?: readonly string[] } } };
  properties.code.enum = [...new Set([...Object.keys(TECHNICAL), ...named])].sort();
}

/** The generator calls every body required; one whose fields are all optional may be left out. */
function nameOptionalBodies(operations: readonly Operation[], schemas: Record<string, Schema>): void {
  for (const { requestBody } of operations) {
    const schema = requestBody?.content?.['application/json']?.schema;
    const name = schema?.$ref?.slice(schema.$ref.lastIndexOf('/') + 1);
    const { required, minProperties } = (name === undefined ? schema : schemas[name]) ?? {};
    if (requestBody && !required && !minProperties) requestBody.required = false;
  }
}
