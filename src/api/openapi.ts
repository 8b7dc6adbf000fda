import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import type { Access } from './auth/access.ts';
import { allPublic } from './auth/authenticate.ts';
import { addExamples } from './openapi-examples.ts';
import { SECURITY_SCHEMES, securityOf } from './openapi-security.ts';
import { ConsumerControl, Consumers, Parked, ParkedMarked, ParkedPage } from './schemas/admin.ts';
import { Live, Ready } from './schemas/health.ts';
import { History } from './schemas/history.ts';
import { Order, OrderAnswer, OrderPage } from './schemas/order.ts';
import { Problem } from './schemas/problem.ts';
import { Product, ProductAnswer, ProductPage } from './schemas/product.ts';
import { Statistics } from './schemas/statistics.ts';
import { User, UserAnswer } from './schemas/user.ts';

const COMPONENTS = [
  Problem,
  User,
  UserAnswer,
  Product,
  ProductAnswer,
  ProductPage,
  Order,
  OrderAnswer,
  OrderPage,
  History,
  Statistics,
  ParkedPage,
  Parked,
  ParkedMarked,
  Consumers,
  ConsumerControl,
  Live,
  Ready,
];

const DESCRIPTION = `An event-sourced user, catalogue and order service.

Commands answer their version in \`ETag\` and their position in the event log in \`Position\`; a query with that
position in \`Min-Position\` shows at least what the command did. Every error is a problem detail (RFC 9457) with a
stable \`code\`. A GET of one entity answers 304 to its ETag in \`If-None-Match\`. Amounts are integers in the currency's minor unit.`;

/** Collects the OpenAPI document from the routes that follow, and serves it at /openapi.json and /docs. */
export function documentRoutes(app: FastifyInstance, version: string): void {
  for (const schema of COMPONENTS) app.addSchema(schema);
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
        { name: 'users', description: 'People who may order' },
        { name: 'products', description: 'The catalogue and its stock' },
        { name: 'orders', description: 'Orders and their history' },
        { name: 'admin', description: 'Consumers of events, and what they could not handle' },
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
    let document: string | undefined;
    scope.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
      document ??= JSON.stringify(scope.swagger());
      return reply.header('content-type', 'application/json; charset=utf-8').send(document);
    });
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
