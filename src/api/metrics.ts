import type { Meter } from '@opentelemetry/api';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { labelSets } from '../eventstore/index.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** What asks about the service itself says nothing of how it serves. */
const OWN = /^\/(health\/|metrics$|dev\/)/;

/**
 * Times each request from its headers to the end of its answer, by method, route pattern and status. A path that fits no
 * route is one label value, whatever it was.
 */
export function meterRequests(app: FastifyInstance, meter: Meter): void {
  const duration = meter.createHistogram('http.server.request.duration', {
    unit: 's',
    description: 'From the headers of a request to the end of its answer',
  });
  const labels = labelSets('http.request.method', 'http.route', 'http.response.status_code');
  let active = 0;
  meter
    .createObservableGauge('http.server.active_requests', { description: 'Requests that are being answered' })
    .addCallback((result) => result.observe(active));

  app.addHook('onRequest', (request, reply, done) => {
    if (isOwn(request)) return done();
    const started = performance.now();
    active++;
    // Comes once for each request, also for one whose client has gone.
    reply.raw.once('close', () => {
      active--;
      const method = METHODS.has(request.method) ? request.method : '_OTHER';
      const status = String(reply.raw.writableFinished ? reply.statusCode : CLIENT_GONE);
      duration.record((performance.now() - started) / 1_000, labels(method, routeOf(request), status));
    });
    done();
  });
}

/** As proxies log it: the client went away before its answer was complete. */
const CLIENT_GONE = 499;

function isOwn(request: FastifyRequest): boolean {
  return OWN.test(request.routeOptions.url ?? '');
}

function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'unknown';
}
