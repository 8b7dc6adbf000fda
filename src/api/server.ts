import Fastify, { type FastifyInstance } from 'fastify';
import { handleClientError } from './client-error.ts';
import type { AppDeps } from './deps.ts';
import { handleError } from './errors.ts';
import { quietLogController, requestIdFrom, requestLogger } from './request-log.ts';
import { closeConnectionsOnShutdown } from './shutdown.ts';
import { validatorCompiler } from './validation.ts';

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
    },
    genReqId: (request) => requestIdFrom(request.headers['x-request-id'], runtime),
    // Fastify's own compilers would be loaded and never used, which takes a tenth of the start.
    schemaController: { compilersFactory: { buildValidator: notAsked, buildSerializer: notAsked } },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: handleError,
    clientErrorHandler: handleClientError,
  });
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(validatorCompiler);
  // What is sent has the types of its schema; tests hold every answer against the document.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler(handleError);
  closeConnectionsOnShutdown(app, settings.requestTimeoutMs, deps.stopping);
  return app;
}

function notAsked(): never {
  throw new Error('The service has compilers of its own.');
}
