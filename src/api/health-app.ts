import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { demandAccess } from './auth/authenticate.ts';
import type { AppDeps } from './deps.ts';
import { sendProblem } from './problem-reply.ts';
import { refuseSenseless } from './request-head.ts';
import { logRequests } from './request-log.ts';
import { healthRoutes, metricsRoute } from './routes/health.ts';
import { Live, Problem, Ready } from './schemas/problem.ts';
import { createServer } from './server.ts';
import { traceRequests } from './tracing.ts';

/** What a process without the role api answers from. */
export interface HealthAppDeps
  extends Pick<AppDeps, 'health' | 'settings' | 'runtime' | 'logger' | 'metrics' | 'stopping'> {
  /** The roles that it has. */
  readonly roles: readonly string[];
}

/** Health and metrics of a process that has other roles than api; everything else is answered 404. */
export function buildHealthApp(deps: HealthAppDeps): FastifyInstance {
  const app = createServer(deps);
  app.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, {
      code: 'route/other-role',
      detail: `This process has the roles ${deps.roles.join(', ')}; ask one with the role api.`,
    }),
  );
  traceRequests(app, undefined);
  logRequests(app);
  refuseSenseless(app);
  demandAccess(app);
  for (const schema of [Problem, Live, Ready]) app.addSchema(schema);
  app.register(async (scope) => {
    healthRoutes(scope.withTypeProvider<TypeBoxTypeProvider>(), deps);
    if (deps.metrics?.scrape !== undefined) metricsRoute(scope, deps.metrics.scrape);
  });
  return app;
}
