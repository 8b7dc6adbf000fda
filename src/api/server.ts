import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { distance, EventStoreError } from '../eventstore/index.ts';
import { InvalidCursor, ViewBehind } from '../projections/engine/index.ts';

import { NoSuchList } from '../projections/views/filters.ts';
import { InvalidPeriod } from '../projections/views/statistics.ts';
import { RequestRefused, readJsonBodies } from './body.ts';
import type { AppDeps } from './deps.ts';
import { cutSlowReaders } from './fairness.ts';
import { PROBLEM_TYPE, type Problem, problemBody, sendProblem } from './problem-reply.ts';
import { isProblemCode, problemOf, type TechnicalCode } from './problems.ts';
import { quietLogController, requestIdFrom, requestLogger } from './request-log.ts';
import { validatorCompiler, violationsOf } from './validation.ts';

const BY_CODE: Readonly<Record<string, TechnicalCode>> = {
  HPE_HEADER_OVERFLOW: 'request/headers-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request/timeout',
};

/** Answers what Node could not read as HTTP, straight on the socket, and closes it. */
export function handleClientError(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = BY_CODE[error.code ?? ''] ?? 'request/malformed';
  const body = problemBody({ code }, {});
  socket.end(
    `HTTP/1.1 ${problemOf(code).status} ${problemOf(code).title}\r\nContent-Type: ${PROBLEM_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

const BY_FRAMEWORK_CODE: Readonly<Record<string, TechnicalCode>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'request/malformed-json',
  FST_ERR_CTP_BODY_TOO_LARGE: 'request/too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'request/unsupported-media-type',
  FST_ERR_CTP_EMPTY_TYPE: 'request/unsupported-media-type',
};

/** The problem that any thrown thing is answered with. What is not known here is `internal` and tells nothing. */
export function problemOfError(error: unknown): Problem {
  if (error instanceof RequestRefused) return error.problem;
  if (error instanceof ViewBehind) {
    return { code: 'view/behind', lag: distance(error.reached, error.wanted) };
  }
  if (error instanceof InvalidCursor) return { code: 'request/invalid-cursor' };
  if (error instanceof NoSuchList) return { code: 'request/no-such-list', detail: error.message };
  if (error instanceof InvalidPeriod) return { code: 'request/invalid-period', detail: error.message };
  // Its own message names subjects, which are not for clients; the table's sentence is.
  if (error instanceof EventStoreError) return { code: isProblemCode(error.code) ? error.code : 'internal' };
  return error instanceof Error ? problemOfFrameworkError(error) : { code: 'internal' };
}

function problemOfFrameworkError(error: Error & Partial<FastifyError>): Problem {
  if (error.validation !== undefined) {
    return { code: 'request/invalid', errors: violationsOf(error.validation, error.validationContext) };
  }
  const known = BY_FRAMEWORK_CODE[error.code ?? ''];
  if (known !== undefined) return { code: known };
  const status = error.statusCode ?? 500;
  if (status === 404 || status === 403) return { code: 'route/not-found' };
  if (status === 413) return { code: 'request/too-large' };
  return { code: status >= 400 && status < 500 ? 'request/malformed' : 'internal' };
}

/** Answers whatever was thrown while a request was handled; faults are logged here and nowhere else. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOfError(error);
  const { status } = problemOf(problem.code);
  const route = request.routeOptions?.url;
  if (problem.code === 'internal') request.log.error({ err: error, route }, 'request failed');
  else if (status >= 500) request.log.warn({ code: problem.code, route }, 'request not served');
  return sendProblem(request, reply, problem);
}

const SWEEP_MS = 50;

const connections = new WeakMap<FastifyInstance, ReadonlySet<Socket>>();

/**
 * Lets `app.close()` end: connections that become idle after it began are closed at once, and whatever is still open
 * after `graceMs` is cut, since no request takes longer than that.
 * @param stopping true already before it begins: then each answer asks its client to come over another connection
 */
export function closeConnectionsOnShutdown(
  app: FastifyInstance,
  graceMs: number,
  stopping: () => boolean = () => false,
): void {
  const { server } = app;
  const open = new Set<Socket>();
  connections.set(app, open);
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  let closing = false;
  app.addHook('onRequest', (_request, reply, done) => {
    if (closing || stopping()) reply.header('connection', 'close');
    done();
  });
  app.addHook('preClose', (done) => {
    closing = true;
    if (server.listening) {
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      const cut = setTimeout(() => {
        app.log.warn({ connections: open.size }, 'connections are cut: their requests did not end in time');
        server.closeAllConnections();
      }, graceMs);
      sweep.unref();
      cut.unref();
      server.once('close', () => {
        clearInterval(sweep);
        clearTimeout(cut);
      });
    }
    done();
  });
}

/** How many clients are connected. */
export function openConnections(app: FastifyInstance): number {
  return connections.get(app)?.size ?? 0;
}

// Longer ids than the schemas allow must reach the schemas, so that they are answered like any other wrong id.
const MAX_PARAM_LENGTH = 16_384;
const MAX_CHECK_MS = 1_000;

/** An HTTP server without routes: its limits, how it reads, refuses and stops. */
export function createServer(
  deps: Pick<AppDeps, 'settings' | 'runtime' | 'logger' | 'stopping'>,
): FastifyInstance {
  const { settings, runtime } = deps;
  const app = Fastify({
    ...(deps.logger === false ? { logger: false } : { loggerInstance: deps.logger }),
    logController: quietLogController,
    childLoggerFactory: requestLogger,
    bodyLimit: settings.bodyLimitBytes,
    requestTimeout: settings.requestTimeoutMs,
    trustProxy: settings.trustProxy === '' ? false : settings.trustProxy,
    // What comes over a connection that is still open is answered too, whoever sent it; the connection is closed then.
    return503OnClosing: false,
    http: {
      maxHeaderSize: settings.maxHeaderBytes,
      // With a longer time for the head than for all of it, Node takes one for the other.
      headersTimeout: settings.requestTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      // Node looks for late requests every 30 seconds unless told otherwise.
      connectionsCheckingInterval: Math.min(MAX_CHECK_MS, settings.requestTimeoutMs / 2),
      // Node's own refusal is no problem document.
      requireHostHeader: false,
    },
    genReqId: (request) => requestIdFrom(request.headers['x-request-id'], runtime),
    // Fastify's own compilers would be loaded and never used, which takes a tenth of the start.
    schemaController: { compilersFactory: { buildValidator: notAsked, buildSerializer: notAsked } },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: handleError,
    clientErrorHandler: handleClientError,
  });
  readJsonBodies(app);
  answerWhatNodeRefuses(app);
  app.setValidatorCompiler(validatorCompiler);
  // What is sent has the types of its schema; tests hold every answer against the document.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler(handleError);
  closeConnectionsOnShutdown(app, settings.requestTimeoutMs, deps.stopping);
  cutSlowReaders(app, settings.slowReaderMs);
  return app;
}

/** Node would answer an `Expect` that it does not know without a body, and a CONNECT not at all. */
function answerWhatNodeRefuses(app: FastifyInstance): void {
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
  app.server.on('connect', (_request, socket) => {
    socket.on('error', () => socket.destroy());
    handleClientError(new Error('CONNECT is for proxies'), socket);
  });
}

function notAsked(): never {
  throw new Error('The service has compilers of its own.');
}

interface KnownRoute {
  readonly path: RegExp;
  readonly methods: readonly string[];
}

/**
 * Answers unknown routes with 404, and knows the wrong methods, which Fastify takes for unknown routes. Call before any
 * route is added.
 * @returns the problem, with `Allow`, of a request whose path has routes and none of its method
 */
export function answerUnknownRoutes(app: FastifyInstance): (request: FastifyRequest) => Problem | undefined {
  const routes: KnownRoute[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    // The route of @fastify/cors, which is for preflights of any path and none of the API's.
    if (url === '*') return;
    routes.push({ path: patternOf(url), methods: [method].flat() });
  });
  app.setNotFoundHandler((request, reply) => sendProblem(request, reply, { code: 'route/not-found' }));
  return (request) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allow = new Set(routes.filter((route) => route.path.test(path)).flatMap((route) => route.methods));
    if (allow.size === 0 || allow.has(request.method)) return undefined;
    return { code: 'route/method-not-allowed', allow: [...allow].sort() };
  };
}

function patternOf(url: string): RegExp {
  const literal = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/:[A-Za-z]+/g, '[^/]+').replace(/\*/g, '.*')}$`);
}
