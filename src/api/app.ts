import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import type { AppDeps } from './deps.ts';
import { guardRoutes } from './guards.ts';
import { meterRequests } from './metrics.ts';
import { documentRoutes } from './openapi.ts';
import { guardPositions, positionTokens } from './position-token.ts';
import { logRequests } from './request-log.ts';
import { consumerRoutes, parkedRoutes } from './routes/admin.ts';
import { devTracesPage, devTracesRoutes } from './routes/dev-traces.ts';
import { healthRoutes, metricsRoute } from './routes/health.ts';
import { orderStreams } from './routes/order-stream.ts';
import { orderRoutes } from './routes/orders.ts';
import { productRoutes } from './routes/products.ts';
import { statisticsRoutes } from './routes/statistics.ts';
import { userRoutes } from './routes/users.ts';
import { answerUnknownRoutes, createServer } from './server.ts';
import { traceRequests } from './tracing.ts';

/** The whole HTTP API, not yet listening. Tests and production build it here, so that they share every option. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const { settings } = deps;
  const app = createServer(deps);
  answerUnknownRoutes(app);
  traceRequests(app, deps.tracer);
  if (deps.metrics !== undefined) meterRequests(app, deps.metrics.meter);
  logRequests(app);
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
    devTracesPage(typed, deps.devTraces);
    if (deps.metrics?.scrape !== undefined) metricsRoute(scope, deps.metrics.scrape);
  });
  return app;
}
