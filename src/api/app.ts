import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance } from 'fastify';
import { handleClientError } from './client-error.ts';
import type { AppDeps } from './deps.ts';
import { handleError } from './errors.ts';
import { guardRoutes } from './guards/guards.ts';
import { meterRequests } from './metrics.ts';
import { answerUnknownRoutes } from './not-found.ts';
import { documentRoutes } from './openapi.ts';
import { guardPositions, positionTokens } from './position-token.ts';
import { logRequests, quietLogController, requestIdFrom } from './request-log.ts';
import { consumerRoutes } from './routes/admin-consumers.ts';
import { parkedRoutes } from './routes/admin-parked.ts';
import { devTracesRoutes } from './routes/dev-traces.ts';
import { healthRoutes } from './routes/health.ts';
import { metricsRoute } from './routes/metrics.ts';
import { orderStreams } from './routes/order-stream.ts';
import { orderRoutes } from './routes/orders.ts';
import { productRoutes } from './routes/products.ts';
import { statisticsRoutes } from './routes/statistics.ts';
import { userRoutes } from './routes/users.ts';
import { closeConnectionsOnShutdown } from './shutdown.ts';
import { traceRequests } from './tracing.ts';
import { validatorCompiler } from './validation.ts';

// Longer ids than the schemas allow must reach the schemas, so that they are answered like any other wrong id.
const MAX_PARAM_LENGTH = 16_384;
const MAX_CHECK_MS = 1_000;

/** The whole HTTP API, not yet listening. Tests and production build it here, so that they share every option. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const { settings, runtime } = deps;
  const app = Fastify({
    ...(deps.logger === false ? { logger: false } : { loggerInstance: deps.logger }),
    logController: quietLogController,
    bodyLimit: settings.bodyLimitBytes,
    requestTimeout: settings.requestTimeoutMs,
    trustProxy: settings.trustProxy === '' ? false : settings.trustProxy,
    http: {
      maxHeaderSize: settings.maxHeaderBytes,
      // With a longer time for the head than for all of it, Node takes one for the other.
      headersTimeout: settings.requestTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      // Node looks for late requests every 30 seconds unless told otherwise.
      connectionsCheckingInterval: Math.min(MAX_CHECK_MS, settings.requestTimeoutMs / 2),
    },
    genReqId: (request) => requestIdFrom(request.headers['x-request-id'], runtime),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: handleError,
    clientErrorHandler: handleClientError,
  });
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(validatorCompiler);
  // What is sent has the types of its schema; tests hold every answer against the document.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler(handleError);
  answerUnknownRoutes(app);
  traceRequests(app, deps.tracer);
  if (deps.metrics !== undefined) meterRequests(app, deps.metrics.meter);
  logRequests(app);
  closeConnectionsOnShutdown(app, settings.requestTimeoutMs);
  guardRoutes(app, deps);
  guardPositions(app, positionTokens(deps.log.incarnation));
  documentRoutes(app, settings.version);
  app.register(async (scope) => {
    const typed = scope.withTypeProvider<TypeBoxTypeProvider>();
    userRoutes(typed, deps);
    productRoutes(typed, deps);
    orderRoutes(typed, deps);
    orderStreams(typed, deps);
    statisticsRoutes(typed, deps);
    parkedRoutes(typed, deps);
    consumerRoutes(typed, deps);
    healthRoutes(typed, deps);
    devTracesRoutes(typed, deps.devTraces);
    if (deps.metrics?.scrape !== undefined) metricsRoute(scope, deps.metrics.scrape);
  });
  return app;
}
