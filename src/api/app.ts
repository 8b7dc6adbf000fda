import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import type { AppDeps } from './deps.ts';
import { publicEventRoutes } from './document/asyncapi.ts';
import { documentRoutes } from './document/openapi.ts';
import { guardRoutes } from './guards.ts';
import { rememberRequests } from './meta.ts';
import { meterRequests } from './metrics.ts';
import { guardPositions, positionTokens } from './position-token.ts';
import { logRequests } from './request-log.ts';
import { consoleRoutes, oldTraceRoutes } from './routes/console.ts';
import { healthRoutes, metricsRoute } from './routes/health.ts';
import { openAnswers } from './sealed.ts';
import { answerUnknownRoutes, createServer } from './server.ts';
import { traceRequests } from './tracing.ts';

/** The whole HTTP API, not yet listening. Tests and production build it here, so that they share every option. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const { settings } = deps;
  const app = createServer(deps);
  const wrongMethodOf = answerUnknownRoutes(app);
  traceRequests(app, deps.tracer);
  if (deps.metrics !== undefined) meterRequests(app, deps.metrics.meter);
  logRequests(app);
  guardRoutes(app, deps, wrongMethodOf);
  openAnswers(app, deps.personal);
  rememberRequests(app, deps.fingerprints);
  guardPositions(app, positionTokens(deps.log.incarnation));
  documentRoutes(app, deps.modules, settings.version);
  app.register(async (scope) => {
    const typed = scope.withTypeProvider<TypeBoxTypeProvider>();
    for (const module of deps.modules) module.routes(typed, deps);
    healthRoutes(typed, deps);
    publicEventRoutes(typed, deps.publicEvents);
    consoleRoutes(typed, deps);
    if (deps.admin.traces !== undefined) oldTraceRoutes(typed);
    if (deps.metrics?.scrape !== undefined) metricsRoute(scope, deps.metrics.scrape);
  });
  return app;
}
