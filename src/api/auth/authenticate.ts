import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createBoundedCache } from '../../eventstore/index.ts';
import { type Problem, sendProblem } from '../problem-reply.ts';
import { type Access, accessOf, isScope, type Scope, scopesOf } from './access.ts';
import { type Authenticator, encodeUser, type Identity, type Verdict } from './identity.ts';

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

/** A request without a valid token, and what it is answered with. */
const refusals = new WeakMap<FastifyRequest, Problem>();

/** How many verified tokens are remembered, and for how long: a key that its issuer takes back is refused by then. */
const REMEMBERED = 10_000;
const REMEMBER_MS = 60_000;

/** Remembers the tokens that were verified, so that the next request with one costs a digest and no signature. */
export interface VerifiedTokens extends Authenticator {
  /** What is remembered of a token. */
  recall(token: string): Verdict | undefined;
}

/** @param now milliseconds since the Unix epoch */
export function rememberVerified(authenticator: Authenticator, now: () => number): VerifiedTokens {
  const known = createBoundedCache<{ readonly verdict: Verdict; readonly until: number }>(REMEMBERED);
  const nameOf = (token: string): string => createHash('sha256').update(token).digest('base64');
  const recall = (token: string): Verdict | undefined => {
    const found = known.get(nameOf(token));
    return found !== undefined && now() < found.until ? found.verdict : undefined;
  };
  return {
    recall,
    verify: async (token) => {
      const recalled = recall(token);
      if (recalled !== undefined) return recalled;
      const verdict = await authenticator.verify(token);
      if (verdict.outcome === 'verified') {
        const until = Math.min(verdict.expiresAt, now() + REMEMBER_MS);
        known.set(nameOf(token), { verdict, until });
      }
      return verdict;
    },
  };
}

/**
 * Finds out who asks, on every route that is not public. It refuses nobody yet, so that limits of pace also count
 * those who have no valid token.
 * @param refusedFor for how many seconds an address is over its limit; then its unknown tokens are not looked at
 */
export function identifyCallers(
  app: FastifyInstance,
  authenticator: VerifiedTokens,
  pseudonymOf: (user: string) => string,
  refusedFor: (address: string) => number,
): void {
  app.addHook('onRequest', async (request, reply) => {
    if (!needsToken(request)) return;
    const { authorization } = request.headers;
    const seconds = refusedFor(request.ip);
    // Whoever sends invalid tokens at a pace would have each one verified.
    if (seconds > 0 && authenticator.recall(tokenIn(authorization) ?? '') === undefined)
      return sendProblem(request, reply, { code: 'request/rate-limited', retryAfter: seconds });
    const found = await identify(authenticator, authorization);
    if (!('user' in found)) refusals.set(request, found);
    else {
      const { user, scopes, expiresAt } = found;
      request.identity = { principal: encodeUser(user, pseudonymOf), scopes, expiresAt };
    }
  });
}

/** Who asks, as the issuer names it. */
interface Known extends Omit<Identity, 'principal'> {
  readonly user: string;
}

async function identify(authenticator: Authenticator, header: string | undefined): Promise<Known | Problem> {
  if (header === undefined) return { code: 'auth/token-missing', challenge: '' };
  const token = tokenIn(header);
  if (token === undefined) return refused('The header Authorization does not hold a bearer token.');
  const verdict = await authenticator.verify(token);
  switch (verdict.outcome) {
    case 'unavailable':
      return { code: 'auth/keys-unavailable' };
    case 'refused':
      return refused(verdict.why);
    case 'verified': {
      const { user, scopes, expiresAt } = verdict;
      return { user, scopes: new Set(scopes.filter(isScope)), expiresAt };
    }
  }
}

function tokenIn(header: string | undefined): string | undefined {
  return header === undefined ? undefined : BEARER.exec(header)?.[1];
}

function refused(why: string): Problem {
  const challenge = `error="invalid_token", error_description="${why.replaceAll('"', "'")}"`;
  return {
    code: 'auth/token-invalid',
    detail: `${why} Get a new token and send the request again.`,
    challenge,
  };
}

/** Lets only those through who may call the route: 401 without a valid token, 403 without a scope that it needs. */
export function authoriseCallers(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    const problem = needsToken(request) ? refusalOf(request) : undefined;
    if (problem !== undefined) {
      sendProblem(request, reply, problem);
      return;
    }
    done();
  });
}

/** Streams end with the token that opened them. Call where nothing refuses a request any more. */
export function endStreamsWithTokens(app: FastifyInstance): void {
  app.addHook('preHandler', (request, reply, done) => {
    if (request.routeOptions.config.live === true && request.identity !== null) {
      endWithToken(reply.raw, request.identity.expiresAt);
    }
    done();
  });
}

/** Ends an answer that is still going on when its token ends; its client comes again with a new one. */
function endWithToken(answer: ServerResponse, expiresAt: number): void {
  const timer = setTimeout(() => answer.end(), Math.min(LONGEST_TIMER_MS, expiresAt - Date.now()));
  timer.unref();
  answer.once('close', () => clearTimeout(timer));
}

function refusalOf(request: FastifyRequest): Problem | undefined {
  const refusal = refusals.get(request);
  if (refusal !== undefined) return refusal;
  const needed = scopesOf(accessOf(request)) ?? [];
  if (needed.some((scope) => request.identity?.scopes.has(scope))) return undefined;
  return lacking(needed);
}

function lacking(needed: readonly Scope[]): Problem {
  return {
    code: 'auth/scope-missing',
    detail: `This needs a token with the scope ${needed.join(' or ')}; ask the issuer of your token for it.`,
    challenge: `error="insufficient_scope", scope="${needed.join(' ')}"`,
  };
}

/** Whether only a token opens the route. What is no route at all is told to everybody. */
function needsToken(request: FastifyRequest): boolean {
  return !request.is404 && accessOf(request) !== 'public';
}

/** Refuses to start with a route that does not say who may call it. */
export function demandAccess(app: FastifyInstance): void {
  const silent: string[] = [];
  const routes: { method: string | string[]; url: string; config?: { access?: Access } }[] = [];
  app.addHook('onRoute', (route) => {
    routes.push(route);
  });
  app.addHook('onReady', async () => {
    for (const { method, url, config } of routes) {
      // The route of @fastify/cors, which answers only preflights, and those before any other hook.
      if (url === '*' && method === 'OPTIONS') continue;
      if (config?.access === undefined) silent.push(`${[method].flat().join(',')} ${url}`);
    }
    if (silent.length === 0) return;
    throw new Error(`These routes do not say who may call them (config.access): ${silent.join('; ')}`);
  });
}

/** Declares every route of a scope public, for plugins that bring routes of their own. Call before any route. */
export function allPublic(scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'public' };
  });
}

/** Where nobody is asked for a token: nobody is known. */
export function withIdentity(app: FastifyInstance): void {
  app.decorateRequest('identity', null);
}
