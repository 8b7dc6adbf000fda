import { readFile } from 'node:fs/promises';
import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import { sendProblem } from '../problem-reply.ts';
import type { DevTraces, TraceDetail, TraceList } from '../schemas/dev-traces.ts';
import type { TypedApp } from './app-type.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 10_000;

const ListQuery = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LIMIT })) },
  { additionalProperties: false },
);
const TraceParams = Type.Object(
  { traceId: Type.String({ pattern: '^[0-9a-f]{32}$' }) },
  { additionalProperties: false },
);

// A page in a browser reads it, and production has none of it.
const config = { access: ACCESS.public };

/** The last traces as data, for the page at /dev/traces. Only where they are kept: elsewhere these are unknown routes. */
export function devTracesRoutes(app: TypedApp, devTraces: DevTraces | undefined): void {
  if (devTraces === undefined) return;
  const list = { hide: true, querystring: ListQuery };
  app.get('/dev/traces.json', { schema: list, config }, async (request, reply) => {
    const body: TraceList = { traces: devTraces.list(request.query.limit ?? DEFAULT_LIMIT) };
    return reply.header('cache-control', 'no-store').send(body);
  });
  const one = { hide: true, params: TraceParams };
  app.get('/dev/traces/:traceId.json', { schema: one, config }, async (request, reply) => {
    const { traceId } = request.params;
    const spans = devTraces.trace(traceId);
    if (spans === undefined) {
      const detail = 'This trace is not kept, or not any more.';
      return sendProblem(request, reply, { code: 'route/not-found', detail });
    }
    const body: TraceDetail = { traceId, spans };
    return reply.header('cache-control', 'no-store').send(body);
  });
}

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

const pageConfig = { access: ACCESS.public, page: true };
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
      scope.get(url, { schema, config: pageConfig }, async (_request, reply) =>
        reply
          .header('content-security-policy', POLICY)
          .header('cache-control', 'no-store')
          .header('content-type', HTML)
          .send(page),
      );
    }
    for (const [name, type] of Object.entries(ASSETS)) {
      const text = await readFile(new URL(name, FOLDER), 'utf8');
      scope.get(`/dev/assets/${name}`, { schema, config: pageConfig }, async (_request, reply) =>
        reply.header('cache-control', 'no-store').header('content-type', type).send(text),
      );
    }
  });
}
