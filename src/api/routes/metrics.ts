import type { FastifyInstance } from 'fastify';
import { ACCESS } from '../auth/access.ts';

/** Answers everything measured so far in Prometheus' text format; at `/metrics`, and not in the OpenAPI document. */
export function metricsRoute(app: FastifyInstance, scrape: () => Promise<string>): void {
  app.get(
    '/metrics',
    { schema: { hide: true }, config: { access: ACCESS.public } },
    async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(await scrape()),
  );
}
