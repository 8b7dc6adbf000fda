import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import cors from '@fastify/cors';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createBoundedCache } from '../eventstore/index.ts';
import { accessOf } from './auth/access.ts';
import {
  authoriseCallers,
  demandAccess,
  endStreamsWithTokens,
  identifyCallers,
  rememberVerified,
  withIdentity,
} from './auth/authenticate.ts';
import { confinedTo } from './auth/identity.ts';
import { refuseForeignPages } from './auth/local-callers.ts';
import { confineCallers } from './auth/ownership.ts';
import type { AppDeps, BrowserSettings, PaceSettings, PreconditionSettings } from './deps.ts';
import { shareFairly } from './fairness.ts';
import { type Problem, sendProblem } from './problem-reply.ts';
import { refuseSenseless } from './request-head.ts';

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

const RESOLUTION_MS = 10;
const SAMPLE_MS = 250;
const NANOS_PER_MS = 1e6;

/**
 * Answers 503 early while the event loop is late, so that those who are answered are answered in time. Public routes
 * (health, metrics) are answered all the same.
 * @param maxDelayMs mean delay over the last quarter of a second from which on requests are refused; 0 = never
 * @param delayMs where the delay is read, for tests
 */
export function refuseWhenOverloaded(app: FastifyInstance, maxDelayMs: number, delayMs?: () => number): void {
  if (maxDelayMs === 0) return;
  const current = delayMs ?? watchEventLoop(app);
  app.addHook('onRequest', (request, reply, done) => {
    if (current() <= maxDelayMs || accessOf(request) === 'public') done();
    else sendProblem(request, reply, { code: 'service/overloaded' });
  });
}

function watchEventLoop(app: FastifyInstance): () => number {
  const histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let delay = 0;
  histogram.enable();
  const timer = setInterval(() => {
    // What is measured is the time between two ticks, so the wanted one is taken off.
    delay = Math.max(0, histogram.mean / NANOS_PER_MS - RESOLUTION_MS) || 0;
    histogram.reset();
  }, SAMPLE_MS);
  timer.unref();
  app.addHook('onClose', async () => {
    clearInterval(timer);
    histogram.disable();
  });
  return () => delay;
}

/** Clients that are counted at once; the ones that were not heard of for longest are forgotten first. */
const MAX_CLIENTS = 10_000;

interface Count {
  readonly max: number;
  readonly remaining: number;
  readonly ttlInSeconds: number;
  readonly isExceeded: boolean;
}

/**
 * Limits the pace of each client: of a user where a token tells who it is, else of an address. Public routes are not
 * counted. Call where the hooks belong in the order of all; the counting itself is loaded when the service starts.
 * @param exceeded told of an address that is over its limit, and for how long
 */
export function limitPace(
  app: FastifyInstance,
  { max, windowMs }: PaceSettings,
  exceeded: (address: string, seconds: number) => void = () => undefined,
): void {
  if (max === 0) return;
  withCounts(app);
  app.after(() => {
    const pace = { max, timeWindow: windowMs };
    const byAddress = app.createRateLimit(pace);
    const byPrincipal = app.createRateLimit({ ...pace, keyGenerator: principalOf });
    app.addHook('onRequest', async (request, reply) => {
      if (accessOf(request) === 'public') return;
      const unknown = request.identity === null;
      const count = await (unknown ? byAddress : byPrincipal)(request);
      if (count.isAllowed) return;
      if (unknown && count.isExceeded) exceeded(request.ip, count.ttlInSeconds);
      return answerCount(request, reply, count);
    });
  });
}

/**
 * Limits how often a user's token may name an e-mail address: the answer tells whether somebody else has it, and the
 * ordinary pace would let it try a list of addresses.
 */
function limitAddresses(app: FastifyInstance, { max, windowMs }: PaceSettings): void {
  if (max === 0) return;
  withCounts(app);
  app.after(() => {
    const count = app.createRateLimit({ max, timeWindow: windowMs, keyGenerator: principalOf });
    app.addHook('onRequest', async (request, reply) => {
      if (request.routeOptions.config?.tellsAddress !== true || confinedTo(request) === undefined) return;
      const counted = await count(request);
      if (!counted.isAllowed && counted.isExceeded) return answerCount(request, reply, counted);
    });
  });
}

const principalOf = ({ identity }: FastifyRequest): string => identity?.principal ?? '';

/** What counts is loaded when the service starts, once. */
function withCounts(app: FastifyInstance): void {
  if (counting.has(app)) return;
  counting.add(app);
  app.register(rateLimit, { global: false, cache: MAX_CLIENTS });
}

const counting = new WeakSet<FastifyInstance>();

function answerCount(request: FastifyRequest, reply: FastifyReply, count: Count): FastifyReply | undefined {
  const { max, remaining, ttlInSeconds, isExceeded } = count;
  reply
    .header('ratelimit-limit', String(max))
    .header('ratelimit-remaining', String(remaining))
    .header('ratelimit-reset', String(ttlInSeconds));
  if (!isExceeded) return undefined;
  return sendProblem(request, reply, { code: 'request/rate-limited', retryAfter: Math.max(1, ttlInSeconds) });
}

const KEY = 'idempotency-key';
const MATCH = 'if-match';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Header names in lower case; filled in from the route's schema. */
    takes?: ReadonlySet<string>;
  }
}

/** Refuses requests that leave out a header which the route takes and the operator demands. */
export function demandPreconditions(app: FastifyInstance, settings: PreconditionSettings): void {
  const { requireIdempotencyKey, requireIfMatch } = settings;
  if (!requireIdempotencyKey && !requireIfMatch) return;
  app.addHook('onRoute', (route) => {
    const { headers } = (route.schema ?? {}) as { headers?: { properties?: object } };
    const names = Object.keys(headers?.properties ?? {}).map((name) => name.toLowerCase());
    route.config = { ...route.config, takes: new Set(names) };
  });
  app.addHook('preValidation', (request, reply, done) => {
    const problem =
      (requireIdempotencyKey && lacks(request, KEY) && problemOf('idempotency/key-required', KEY)) ||
      (requireIfMatch && lacks(request, MATCH) && problemOf('command/precondition-required', MATCH));
    if (problem) sendProblem(request, reply, problem);
    else done();
  });
}

function lacks(request: FastifyRequest, name: string): boolean {
  const { takes } = request.routeOptions.config;
  return takes?.has(name) === true && request.headers[name] === undefined;
}

function problemOf(code: Problem['code'], name: string): Problem {
  return { code, errors: [{ in: 'header', pointer: `/${name}`, detail: 'is required' }] };
}

/**
 * Everything that can refuse a request before its route sees it, in this order: senseless, overload, no valid token, too
 * many requests, not allowed; after validation: somebody else's data, too much at once. What is switched off costs
 * nothing. Call before any route.
 */
export function guardRoutes(
  app: FastifyInstance,
  deps: AppDeps,
  wrongMethodOf: (request: FastifyRequest) => Problem | undefined,
): void {
  const { settings, auth, handler, runtime } = deps;
  const over = createBoundedCache<number>(MAX_CLIENTS);
  const refusedFor = (address: string) => Math.ceil(((over.get(address) ?? 0) - performance.now()) / 1_000);
  withIdentity(app);
  demandAccess(app);
  sendSecurityHeaders(app, settings);
  allowOrigins(app, settings.cors.origins);
  // After the answers to browsers, so that a page can read why it was refused.
  app.after(() => {
    refuseSenseless(app, wrongMethodOf);
    refuseWhenOverloaded(app, settings.overload.maxEventLoopDelayMs, deps.eventLoopDelayMs);
    if (auth === 'off') refuseForeignPages(app, settings);
    else identifyCallers(app, rememberVerified(auth, runtime.now), deps.pseudonymOf, refusedFor);
  });
  limitPace(app, settings.rateLimit, (address, seconds) => {
    over.set(address, performance.now() + seconds * 1_000);
  });
  app.after(() => {
    if (auth !== 'off') {
      authoriseCallers(app);
      limitAddresses(app, settings.addressLimit);
      confineCallers(app, handler);
      endStreamsWithTokens(app);
    }
    demandPreconditions(app, settings);
    shareFairly(app, settings);
  });
}
