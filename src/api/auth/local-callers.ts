import { isIP } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiSettings } from '../deps.ts';
import { type Problem, sendProblem } from '../problem-reply.ts';

/** Tells how the process stands and nothing of its data, to probes and collectors that call by any name. */
const TOLD_TO_ALL = /^\/(health\/|metrics$)/;

/**
 * Where authentication is off, everybody who reaches the service may do everything, and a browser on the same machine
 * reaches it for any page that it shows. So names that an address was bound to for an attack (DNS rebinding) are
 * refused, and what a page of another origin sends, which browsers send without asking when it needs no preflight.
 * Programs that are no browsers send neither Origin nor Sec-Fetch-Site.
 */
export function refuseForeignPages(app: FastifyInstance, settings: ApiSettings): void {
  const names = new Set(['localhost', settings.host.toLowerCase(), ...listOf(settings.allowedHosts)]);
  const origins = new Set(listOf(settings.cors.origins));
  app.addHook('onRequest', (request, reply, done) => {
    const problem = TOLD_TO_ALL.test(request.routeOptions.url ?? '')
      ? undefined
      : refusalOf(request, names, origins);
    if (problem === undefined) done();
    else sendProblem(request, reply, problem);
  });
}

const listOf = (text: string): string[] =>
  text
    .toLowerCase()
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');

function refusalOf(
  { headers, method }: FastifyRequest,
  names: ReadonlySet<string>,
  origins: ReadonlySet<string>,
): Problem | undefined {
  const { host, origin } = headers;
  if (host !== undefined && !isLocal(host, names)) return { code: 'request/unknown-host' };
  if (origin !== undefined) {
    const own = `//${host}`.toLowerCase();
    const allowed = origin.toLowerCase();
    const fine = origins.has('*') || origins.has(allowed) || allowed.replace(/^https?:/, '') === own;
    return fine ? undefined : { code: 'request/foreign-page' };
  }
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return undefined;
  // A link that somebody follows: the page that it stands on does not see the answer.
  const followed = headers['sec-fetch-mode'] === 'navigate' && (method === 'GET' || method === 'HEAD');
  return followed ? undefined : { code: 'request/foreign-page' };
}

/** An address is no name that somebody else could bind to it. */
function isLocal(host: string, names: ReadonlySet<string>): boolean {
  const name = host.toLowerCase().replace(/:\d*$/, '');
  const address = name.replace(/^\[(.*)\]$/, '$1');
  return names.has(name) || name.endsWith('.localhost') || isIP(address) !== 0;
}
