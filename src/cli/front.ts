import type { FastifyInstance } from 'fastify';
import { buildApp } from '../api/app.ts';
import type { AppDeps } from '../api/deps.ts';
import { buildHealthApp } from '../api/health-app.ts';
import { openConnections } from '../api/shutdown.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import { hasRole, rolesOf } from '../platform/config/roles.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import { buildAdmin } from './consumers-admin.ts';
import type { Core } from './core.ts';
import { buildLive } from './live.ts';
import { createHealth } from './readiness.ts';
import type { Parts } from './roles.ts';

/** What this process answers over HTTP, not yet listening: the whole API, or how it stands where it has no API. */
export function buildFront(core: Core, parts: Parts, lifecycle: Lifecycle): FastifyInstance {
  const { config, metering, logger, version } = core;
  const { stopping } = lifecycle;
  const common = {
    health: createHealth(core, parts, stopping),
    settings: { ...config.http, environment: config.environment, version },
    runtime: systemRuntime,
    stopping,
    logger,
    ...(metering && { metrics: metering }),
  };
  const app = hasRole(config, 'api')
    ? buildApp({ ...common, ...apiParts(core, parts, lifecycle) })
    : buildHealthApp({ ...common, roles: rolesOf(config.service.roles) });
  lifecycle.started(
    'requests',
    () => app.close(),
    () => `${openConnections(app)} connections`,
  );
  return app;
}

type ApiParts = Omit<AppDeps, 'health' | 'settings' | 'runtime' | 'stopping' | 'logger' | 'metrics'>;

function apiParts(core: Core, { readSide, commands, consumers }: Parts, lifecycle: Lifecycle): ApiParts {
  const { config, nats, log, logger, auth, tracing } = core;
  if (commands === undefined) throw new Error('The role api needs the command path.');
  const live = buildLive(config, log, logger);
  lifecycle.started('live streams', live.stop);
  return {
    ...commands,
    log,
    readModels: readSide,
    live,
    admin: buildAdmin(config, nats, log, consumers, tracing?.tracer),
    auth,
    pseudonymOf: nats.emailKey.pseudonymOf,
    tracer: tracing?.tracer,
    devTraces: tracing?.devTraces,
  };
}
