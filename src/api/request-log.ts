import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyListenOptions,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Runtime } from '../eventstore/index.ts';

const SANE = /^[A-Za-z0-9._-]{1,128}$/;

/** The caller's `X-Request-Id` where it is safe to store and log, else a new id. */
export function requestIdFrom(header: string | string[] | undefined, runtime: Runtime): string {
  return typeof header === 'string' && SANE.test(header) ? header : runtime.id();
}

/** Silences Fastify's own request lines: they hold addresses of the client and full paths. */
export const quietLogController = new LogController({ disableRequestLogging: true });

/** Asked every few seconds by machines. */
const QUIET = /^\/(health\/|metrics$)/;

/**
 * Listens without Fastify's own line about it, since the service says in one line where it answers.
 * @returns the address
 */
export async function listenQuietly(app: FastifyInstance, options: FastifyListenOptions): Promise<string> {
  const { level } = app.log;
  app.log.level = 'silent';
  try {
    return await app.listen(options);
  } finally {
    app.log.level = level;
  }
}

/**
 * Echoes the request id and writes one line per answer: method, route pattern, status, milliseconds, and the position
 * of what was stored.
 */
export function logRequests(app: FastifyInstance): void {
  // To look for what must be masked takes ten times as long as to write the line, whose every field is made here.
  const log = app.log.child({}, { redact: [] });
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    // Nothing is put together for a line that the level leaves out.
    if (isWritten(log, 'info')) logAnswer(log, request, reply);
    done();
  });
}

function logAnswer(log: FastifyBaseLogger, request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? 'unknown';
  const position = reply.getHeader('position');
  const line = Object.assign({}, request.log instanceof RequestLogger && request.log.fields, {
    method: request.method,
    route,
    status: reply.statusCode,
    ms: Math.round(reply.elapsedTime * 10) / 10,
    position,
  });
  log[QUIET.test(route) ? 'debug' : 'info'](line, 'request');
}

/** What is not pino cannot say, and decides by itself. */
function isWritten(
  logger: FastifyBaseLogger & { isLevelEnabled?(level: string): boolean },
  level: Level,
): boolean {
  return logger.isLevelEnabled?.(level) ?? true;
}

type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/**
 * A request's logger: `logger` with fields on each line. They are put into the line when one is written; a logger of
 * its own for each request, as pino makes them, takes longer than writing the line.
 */
export function requestLogger(logger: FastifyBaseLogger, fields: object): FastifyBaseLogger {
  return new RequestLogger(logger, fields);
}

/** A class, so that a request makes one small object and not a function for each level. */
class RequestLogger implements FastifyBaseLogger {
  readonly #logger: FastifyBaseLogger;
  readonly fields: object;

  constructor(logger: FastifyBaseLogger, fields: object) {
    this.#logger = logger;
    this.fields = fields;
  }

  get level(): string {
    return this.#logger.level;
  }

  trace(first: unknown, ...rest: unknown[]): void {
    this.#write('trace', first, rest);
  }

  debug(first: unknown, ...rest: unknown[]): void {
    this.#write('debug', first, rest);
  }

  info(first: unknown, ...rest: unknown[]): void {
    this.#write('info', first, rest);
  }

  warn(first: unknown, ...rest: unknown[]): void {
    this.#write('warn', first, rest);
  }

  error(first: unknown, ...rest: unknown[]): void {
    this.#write('error', first, rest);
  }

  fatal(first: unknown, ...rest: unknown[]): void {
    this.#write('fatal', first, rest);
  }

  silent(): void {}

  child(more: object, options?: object): FastifyBaseLogger {
    const plain = options === undefined || Object.keys(options).length === 0;
    const fields = Object.assign({}, this.fields, more);
    return plain ? new RequestLogger(this.#logger, fields) : this.#logger.child(fields, options);
  }

  #write(level: Level, first: unknown, rest: readonly unknown[]): void {
    const [logger, fields] = [this.#logger, this.fields];
    const message = rest as [string?, ...unknown[]];
    if (typeof first === 'string') logger[level]({ ...fields }, first, ...rest);
    else if (first instanceof Error) logger[level]({ ...fields, err: first }, ...message);
    else logger[level](Object.assign({}, fields, first), ...message);
  }
}
