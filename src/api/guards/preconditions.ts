import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Problem } from '../problem.ts';
import { sendProblem } from '../problem-reply.ts';

/** What the operator demands of those who change something. */
export interface PreconditionSettings {
  /** A POST that takes an Idempotency-Key needs one. */
  readonly requireIdempotencyKey: boolean;
  /** A change of something that exists needs If-Match. */
  readonly requireIfMatch: boolean;
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
