import type { FastifyInstance } from 'fastify';
import { ACCESS } from '../auth/access.ts';

const LINKS = {
  documentation: '/docs',
  openapi: '/openapi.json',
  events: '/asyncapi',
  asyncapi: '/asyncapi.json',
  health: '/health/ready',
} as const;

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>JetLedger</title>
<h1>JetLedger</h1>
<ul>
${Object.entries(LINKS)
  .map(([name, path]) => `<li><a href="${path}">${name}</a></li>`)
  .join('\n')}
</ul>
</html>
`;

/** `GET /` leads to the documentation: a page for browsers, else JSON. */
export function startPage(app: FastifyInstance, version: string): void {
  const options = { schema: { hide: true }, config: { access: ACCESS.public, page: true } };
  app.get('/', options, async (request, reply) => {
    reply.header('vary', 'Accept');
    if (request.headers.accept?.includes('text/html') === true)
      return reply.header('content-type', 'text/html; charset=utf-8').send(PAGE);
    return reply.send({ name: 'JetLedger', version, links: LINKS });
  });
}
