import { readFile } from 'node:fs/promises';
import { ACCESS } from '../auth/access.ts';
import type { AppDeps, ConsoleSignIn } from '../deps.ts';
import type { TypedApp } from './app-type.ts';

const FOLDER = new URL('../console/', import.meta.url);
const SCRIPT = 'text/javascript; charset=utf-8';
const ASSETS: Readonly<Record<string, string>> = {
  'console.js': SCRIPT,
  'console.css': 'text/css; charset=utf-8',
};

/** Nothing but its own files, and as connections this service and the issuer: what events hold can never run. */
function policyOf({ issuer }: ConsoleSignIn): string {
  const connect = issuer === '' ? "'self'" : `'self' ${new URL(issuer).origin}`;
  return (
    `default-src 'none'; script-src 'self'; style-src 'self'; connect-src ${connect}; img-src 'self' data:; ` +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
  );
}

const config = { access: ACCESS.public, page: true };
const schema = { hide: true };

/**
 * The console at /console: a page that holds no data, and asks the operations of /v1/admin with the token of whoever has
 * signed in. Its files are read when the service starts; a tree of sources that was not built has no page.
 */
export function consoleRoutes(app: TypedApp, deps: AppDeps): void {
  const { auth, settings, admin } = deps;
  const { oidc: signIn, traceUrl } = deps.console;
  const policy = policyOf(signIn);
  app.register(async (scope) => {
    const files = await Promise.all(
      ['index.html', ...Object.keys(ASSETS)].map((name) => readFile(new URL(name, FOLDER), 'utf8')),
    ).catch(() => undefined);
    if (files === undefined) return;
    const [page = '', ...assets] = files;
    const about = {
      auth: auth === 'off' ? 'off' : signIn.issuer === '' ? 'token' : 'oidc',
      ...signIn,
      version: settings.version,
      environment: settings.environment,
      traces: admin.traces !== undefined,
      traceUrl,
    };
    for (const url of [
      '/console',
      '/console/',
      '/console/:page',
      '/console/traces/:traceId',
      '/console/aggregate/:category/:id',
    ]) {
      scope.get(url, { schema, config }, async (_request, reply) =>
        reply
          .header('content-security-policy', policy)
          .header('cache-control', 'no-store')
          .header('content-type', 'text/html; charset=utf-8')
          .send(page),
      );
    }
    scope.get('/console/settings.json', { schema, config }, async (_request, reply) =>
      reply.header('cache-control', 'no-store').send(about),
    );
    for (const [at, [name, type]] of Object.entries(ASSETS).entries()) {
      scope.get(`/console/assets/${name}`, { schema, config }, async (_request, reply) =>
        reply.header('cache-control', 'no-cache').header('content-type', type).send(assets[at]),
      );
    }
  });
}

/** Where the traces were shown while only development had them. */
export function oldTraceRoutes(app: TypedApp): void {
  for (const [from, to] of [
    ['/dev/traces', '/console/traces'],
    ['/dev/traces.json', '/v1/admin/traces'],
  ] as const) {
    app.get(from, { schema, config }, async (request, reply) => {
      const query = request.url.slice(from.length);
      return reply.redirect(to + query, 308);
    });
  }
  app.get('/dev/traces/:traceId', { schema, config }, async (request, reply) => {
    const { traceId } = request.params as { traceId: string };
    const isData = traceId.endsWith('.json');
    const id = encodeURIComponent(isData ? traceId.slice(0, -'.json'.length) : traceId);
    return reply.redirect(`${isData ? '/v1/admin' : '/console'}/traces/${id}`, 308);
  });
}
