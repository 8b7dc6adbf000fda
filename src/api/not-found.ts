import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from './problem-reply.ts';

interface KnownRoute {
  readonly path: RegExp;
  readonly methods: readonly string[];
}

/**
 * Answers unknown routes with 404 and wrong methods with 405 and `Allow`; Fastify itself answers 404 to both.
 * Call before any route is added.
 */
export function answerUnknownRoutes(app: FastifyInstance): void {
  const routes: KnownRoute[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    // The route of @fastify/cors, which is for preflights of any path and none of the API's.
    if (url === '*') return;
    routes.push({ path: patternOf(url), methods: [method].flat() });
  });
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allow = new Set(routes.filter((route) => route.path.test(path)).flatMap((route) => route.methods));
    if (allow.size === 0 || allow.has(request.method))
      return sendProblem(request, reply, { code: 'route/not-found' });
    return sendProblem(request, reply, { code: 'route/method-not-allowed', allow: [...allow].sort() });
  });
}

function patternOf(url: string): RegExp {
  const literal = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/:[A-Za-z]+/g, '[^/]+').replace(/\*/g, '.*')}$`);
}
