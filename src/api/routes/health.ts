import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { ACCESS } from '../auth/access.ts';
import type { HealthDeps } from '../deps.ts';
import { NoQuery } from '../schemas/common.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfPlain } from '../schemas/responses.ts';
import type { TypedApp } from './app-type.ts';

const tags = ['health'];
const NOT_READY = { ok: false, checks: { log: { ok: false, detail: 'NATS is not connected' } } };

/** Says whether the process lives, and whether it should get requests. */
export function healthRoutes(app: TypedApp, deps: HealthDeps): void {
  liveness(app, deps);
  readiness(app, deps);
  startup(app, deps);
}

function liveness(app: TypedApp, { settings }: HealthDeps): void {
  const schema = {
    tags,
    operationId: 'getLiveness',
    summary: 'Is the process alive',
    description: 'Answers as long as the event loop turns.',
    headers: PlainHeaders,
    querystring: NoQuery,
    response: { ...plain(200, 'Live', 'Alive.'), ...problemsOfPlain() },
  };
  app.get('/health/live', { schema, config: { access: ACCESS.public } }, async (_request, reply) =>
    reply.send({ status: 'live', version: settings.version, environment: settings.environment }),
  );
}

function readiness(app: TypedApp, { health }: HealthDeps): void {
  const schema = {
    tags,
    operationId: 'getReadiness',
    summary: 'Should the process get requests',
    description: 'All checks at once; 503 while any of them fails.',
    headers: PlainHeaders,
    querystring: NoQuery,
    response: {
      ...plain(200, 'Ready', 'Every check passes.'),
      ...problemsOfPlain(),
      ...plain(503, 'Ready', 'At least one check fails.', NOT_READY),
    },
  };
  const ready = madeForAll(health.ready);
  app.get('/health/ready', { schema, config: { access: ACCESS.public } }, async (_request, reply) => {
    const found = await ready();
    return reply.code(found.ok ? 200 : 503).send(found);
  });
}

function startup(app: TypedApp, { health }: HealthDeps): void {
  const schema = {
    tags,
    operationId: 'getStartup',
    summary: 'Has the process caught up',
    description: '503 until the process has caught up once since its start; from then on 200.',
    headers: PlainHeaders,
    querystring: NoQuery,
    response: {
      ...plain(200, 'Ready', 'It has caught up.'),
      ...problemsOfPlain(),
      ...plain(503, 'Ready', 'It has not caught up yet; at least one check fails.', NOT_READY),
    },
  };
  const started = madeForAll(health.startup);
  app.get('/health/startup', { schema, config: { access: ACCESS.public } }, async (_request, reply) => {
    const found = await started();
    return reply.code(found.ok ? 200 : 503).send(found);
  });
}

/** How often at most what many ask for is made, in milliseconds. */
const MADE_EVERY_MS = 100;

/**
 * Makes something for all who ask meanwhile. Nobody gets what was begun before they asked; so whoever asks too early
 * waits, and those who ask often cost no more than those who ask now and then.
 */
export function madeForAll<T>(make: () => Promise<T>): () => Promise<T> {
  let lastAt = Number.NEGATIVE_INFINITY;
  let next: Promise<T> | undefined;
  const makeNext = async (): Promise<T> => {
    await delay(Math.max(0, lastAt + MADE_EVERY_MS - performance.now()));
    lastAt = performance.now();
    next = undefined;
    return make();
  };
  return () => {
    next ??= makeNext();
    return next;
  };
}

/** Answers everything measured so far in Prometheus' text format; at `/metrics`, and not in the OpenAPI document. */
export function metricsRoute(app: FastifyInstance, scrape: () => Promise<string>): void {
  const scrapeForAll = madeForAll(scrape);
  app.get(
    '/metrics',
    { schema: { hide: true }, config: { access: ACCESS.public } },
    async (_request, reply) =>
      reply.type('text/plain; version=0.0.4; charset=utf-8').send(await scrapeForAll()),
  );
}
