import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance } from 'fastify';
import { handleClientError } from './client-error.ts';
import type { AppDeps } from './deps.ts';
import { handleError } from './errors.ts';
import { answerUnknownRoutes } from './not-found.ts';
import { documentRoutes } from './openapi.ts';
import { logRequests, quietLogController, requestIdFrom } from './request-log.ts';
import { consumerRoutes } from './routes/admin-consumers.ts';
import { parkedRoutes } from './routes/admin-parked.ts';
import { healthRoutes } from './routes/health.ts';
import { orderRoutes } from './routes/orders.ts';
import { productRoutes } from './routes/products.ts';
import { statisticsRoutes } from './routes/statistics.ts';
import { userRoutes } from './routes/users.ts';
import { closeConnectionsOnShutdown } from './shutdown.ts';
import { validatorCompiler } from './validation.ts';

// Longer ids than the schemas allow must reach the schemas, so that they are answered like any other wrong id.
const MAX_PARAM_LENGTH = 16_384;

/** The whole HTTP API, not yet listening. Tests and production build it here, so that they share every option. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const { settings, runtime } = deps;
  const app = Fastify({
    ...(deps.logger === false ? { logger: false } : { loggerInstance: deps.logger }),
    logController: quietLogController,
    bodyLimit: settings.bodyLimitBytes,
    requestTimeout: settings.requestTimeoutMs,
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
  logRequests(app);
  closeConnectionsOnShutdown(app, settings.requestTimeoutMs);
  documentRoutes(app, settings.version);
  app.register(async (scope) => {
    const typed = scope.withTypeProvider<TypeBoxTypeProvider>();
    userRoutes(typed, deps);
    productRoutes(typed, deps);
    orderRoutes(typed, deps);
    statisticsRoutes(typed, deps);
    parkedRoutes(typed, deps);
    consumerRoutes(typed, deps);
    healthRoutes(typed, deps);
  });
  return app;
}
