import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import type { Ledger } from 'jetledger';
import { answerWithProblems } from './http/problems.ts';
import { routes } from './service.ts';

/** The HTTP API on a ledger, not yet listening. */
export async function buildApp(ledger: Ledger, options: FastifyServerOptions = {}): Promise<FastifyInstance> {
  // A field that no schema knows is a mistake of the caller, not to be dropped.
  const app = fastify({ ajv: { customOptions: { removeAdditional: false } }, ...options });
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'starter', version: '0.1.0' } },
    refResolver: { buildLocalReference: (schema, _base, _fragment, i) => `${schema.$id ?? `def-${i}`}` },
  });
  answerWithProblems(app);
  for (const add of routes) app.register(async (scope) => add(scope, ledger));
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  addHealth(app, ledger);
  await app.ready();
  return app;
}

/** Alive: this process answers. Ready: NATS is there, and nothing has stopped for good. */
function addHealth(app: FastifyInstance, ledger: Ledger): void {
  app.get('/health/live', { schema: { hide: true } }, () => ({ status: 'ok' }));
  app.get('/health/ready', { schema: { hide: true } }, async (_request, reply) => {
    const status = await ledger.status().catch(() => undefined);
    const stopped = [
      ...(status?.views ?? []).filter(({ running }) => !running).map(({ view }) => `view ${view}`),
      ...(status?.reactions ?? [])
        .filter((reaction) => reaction.stopped)
        .map((r) => `reaction ${r.consumer}`),
    ];
    const ready = status?.connected === true && stopped.length === 0;
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ok' : 'not ready', stopped });
  });
}
