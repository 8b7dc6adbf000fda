import { type FastifyInstance, LogController } from 'fastify';
import type { Runtime } from '../eventstore/runtime.ts';

const SANE = /^[A-Za-z0-9._-]{1,128}$/;

/** The caller's `X-Request-Id` where it is safe to store and log, else a new id. */
export function requestIdFrom(header: string | string[] | undefined, runtime: Runtime): string {
  return typeof header === 'string' && SANE.test(header) ? header : runtime.id();
}

/** Silences Fastify's own request lines: they hold addresses of the client and full paths. */
export const quietLogController = new LogController({ disableRequestLogging: true });

/** Echoes the request id and writes one line per answer: method, route pattern, status, milliseconds. */
export function logRequests(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    const line = {
      method: request.method,
      route,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime * 10) / 10,
    };
    if (route.startsWith('/health/')) request.log.debug(line, 'request');
    else request.log.info(line, 'request');
  });
}
