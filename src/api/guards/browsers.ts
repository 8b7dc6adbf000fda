import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

export interface BrowserSettings {
  /** Whether the headers that keep browsers out of trouble are sent. */
  readonly securityHeaders: boolean;
  /** For how long browsers use TLS only; 0 = the header is not sent. */
  readonly hstsSeconds: number;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route answers a page for people, with scripts and styles of its own. */
    page?: boolean;
  }
}

const FOR_DATA = "default-src 'none'; frame-ancestors 'none'";
const FOR_PAGES =
  "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/**
 * Sends the headers that tell browsers to run nothing, frame nothing and guess nothing of what is data. They are the
 * same for every answer, so they are written at once: the ready-made plugin builds them anew for each.
 */
export function sendSecurityHeaders(app: FastifyInstance, settings: BrowserSettings): void {
  if (!settings.securityHeaders) return;
  const common = {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'x-frame-options': 'DENY',
    ...(settings.hstsSeconds > 0 && {
      'strict-transport-security': `max-age=${settings.hstsSeconds}; includeSubDomains`,
    }),
  };
  const data = { ...common, 'content-security-policy': FOR_DATA };
  const page = { ...common, 'content-security-policy': FOR_PAGES };
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(request.routeOptions.config?.page === true ? page : data);
    done();
  });
}

const EXPOSED = [
  'ETag',
  'Link',
  'Location',
  'Position',
  'Preference-Applied',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
  'Retry-After',
  'WWW-Authenticate',
  'X-Request-Id',
];
const PREFLIGHT_SECONDS = 600;

/**
 * Lets pages of other origins call the API, with a token and never with cookies.
 * @param allowed origins separated by commas; `*` = all, empty = none
 */
export function allowOrigins(app: FastifyInstance, allowed: string): void {
  if (allowed === '') return;
  const origins = allowed.split(',').map((origin) => origin.trim());
  app.register(cors, {
    origin: origins.includes('*') ? '*' : origins,
    methods: ['GET', 'HEAD', 'POST', 'PATCH'],
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
    // An OPTIONS that is no preflight is not worth an error of another form.
    strictPreflight: false,
  });
}
