import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Problem, sendProblem } from './problem-reply.ts';

/** Headers with one value: a second one would be joined to the first, or dropped, without a word. */
const SINGLE: ReadonlySet<string> = new Set([
  'access-control-request-method',
  'authorization',
  'content-length',
  'content-type',
  'expect',
  'host',
  'idempotency-key',
  'if-match',
  'last-event-id',
  'min-position',
  'origin',
  'traceparent',
  'x-request-id',
]);

/** A name, an IPv4 address or an IPv6 address in brackets, and a port (RFC 3986); empty where there is none. */
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/;

/** Refuses what no route could make sense of: a method that its path does not have, headers that contradict themselves. */
export function refuseSenseless(
  app: FastifyInstance,
  wrongMethodOf: (request: FastifyRequest) => Problem | undefined = () => undefined,
): void {
  app.addHook('onRequest', (request, reply, done) => {
    const problem = (request.is404 ? wrongMethodOf(request) : undefined) ?? problemOfHead(request.raw);
    if (problem === undefined) done();
    else sendProblem(request, reply, problem);
  });
}

/**
 * What is wrong with a request's headers whatever they are for. Node would answer some of this itself, without a
 * problem document, and the rest not at all.
 */
function problemOfHead({ headers, rawHeaders, httpVersion }: IncomingMessage): Problem | undefined {
  const doubled = doubledHeader(headers, rawHeaders);
  if (doubled !== undefined) return wrong(doubled, 'stands more than once; send it once');
  if (headers.host === undefined) return httpVersion === '1.0' ? undefined : wrong('host', 'is required');
  if (!HOST.test(headers.host)) return wrong('host', 'is no host; write it like shop.example.com:3000');
  const { expect } = headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    return { code: 'request/expectation-failed' };
  }
  return undefined;
}

function doubledHeader(headers: object, rawHeaders: readonly string[]): string | undefined {
  // Nothing was joined or dropped, as in nearly every request.
  if (Object.keys(headers).length * 2 === rawHeaders.length) return undefined;
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? '';
    if (SINGLE.has(name) && seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

function wrong(name: string, detail: string): Problem {
  return { code: 'request/invalid', errors: [{ in: 'header', pointer: `/${name}`, detail }] };
}
