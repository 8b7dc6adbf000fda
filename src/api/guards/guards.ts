import type { FastifyInstance } from 'fastify';
import { authoriseCallers, demandAccess, identifyCallers, withIdentity } from '../auth/authenticate.ts';
import { confineCallers } from '../auth/ownership.ts';
import type { AppDeps } from '../deps.ts';
import { allowOrigins, sendSecurityHeaders } from './browsers.ts';
import { refuseWhenOverloaded } from './overload.ts';
import { limitPace } from './pace.ts';
import { demandPreconditions } from './preconditions.ts';

/**
 * Everything that can refuse a request before its route sees it, in this order: overload, no valid token, too many
 * requests, not allowed; after validation: somebody else's data. What is switched off costs nothing. Call before any
 * route.
 */
export function guardRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { settings, auth, handler } = deps;
  withIdentity(app);
  demandAccess(app);
  sendSecurityHeaders(app, settings);
  allowOrigins(app, settings.cors.origins);
  // After the answers to browsers, so that a page can read why it was refused.
  app.after(() => {
    refuseWhenOverloaded(app, settings.overload.maxEventLoopDelayMs, deps.eventLoopDelayMs);
    if (auth !== 'off') identifyCallers(app, auth, deps.pseudonymOf);
  });
  limitPace(app, settings.rateLimit);
  app.after(() => {
    if (auth !== 'off') {
      authoriseCallers(app);
      confineCallers(app, handler);
    }
    demandPreconditions(app, settings);
  });
}
