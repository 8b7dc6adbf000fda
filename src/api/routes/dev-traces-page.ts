import { readFile } from 'node:fs/promises';
import { ACCESS } from '../auth/access.ts';
import type { DevTraces } from '../schemas/dev-traces.ts';
import type { TypedApp } from './app-type.ts';

const FOLDER = new URL('../dev-page/', import.meta.url);
const PAGE = 'traces.html';
const HTML = 'text/html; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';
const ASSETS: Readonly<Record<string, string>> = {
  'traces.css': 'text/css; charset=utf-8',
  'traces.js': SCRIPT,
  'detail.js': SCRIPT,
  'dom.js': SCRIPT,
  'format.js': SCRIPT,
  'list.js': SCRIPT,
  'trace-view.js': SCRIPT,
  'tree.js': SCRIPT,
  'waterfall.js': SCRIPT,
};

// Narrower than that of other pages: spans hold what callers sent, so nothing written into the page may ever run.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const config = { access: ACCESS.public, page: true };
const schema = { hide: true };

/**
 * The page that shows the last traces, at /dev/traces and /dev/traces/{traceId}. Its files are read when the service
 * starts. Only where traces are kept: elsewhere these are unknown routes.
 */
export function devTracesPage(app: TypedApp, devTraces: DevTraces | undefined): void {
  if (devTraces === undefined) return;
  app.register(async (scope) => {
    const page = await readFile(new URL(PAGE, FOLDER), 'utf8');
    for (const url of ['/dev/traces', '/dev/traces/:traceId']) {
      scope.get(url, { schema, config }, async (_request, reply) =>
        reply
          .header('content-security-policy', POLICY)
          .header('cache-control', 'no-store')
          .header('content-type', HTML)
          .send(page),
      );
    }
    for (const [name, type] of Object.entries(ASSETS)) {
      const text = await readFile(new URL(name, FOLDER), 'utf8');
      scope.get(`/dev/assets/${name}`, { schema, config }, async (_request, reply) =>
        reply.header('cache-control', 'no-store').header('content-type', type).send(text),
      );
    }
  });
}
