import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Problem } from './problem-reply.ts';

/** Thrown while a request is read; it is answered with its problem. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`refused as ${problem.code}`);
    this.problem = problem;
  }
}

const CHARSET = /;\s*charset\s*=\s*"?([^";\s]*)/gi;
const UTF_8 = /^utf-?8$/i;
const IDENTITY = /^\s*identity\s*$/i;

/**
 * Reads bodies exactly or not at all, since what is stored stays for ever: JSON in UTF-8, neither in another encoding
 * nor compressed, each name once in its object. An empty body is none, whatever its type is said to be.
 */
export function readJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    const problem = unreadable(request.headers, bytes);
    if (problem !== undefined) return done(new RequestRefused(problem));
    if (bytes.length === 0) return done(null, undefined);
    const text = bytes.toString('utf8');
    parse(request, text, (error, value) => {
      const pointer = error === null ? repeatedName(text, value) : undefined;
      done(pointer === undefined ? error : new RequestRefused(twice(pointer)), value);
    });
  });
}

function unreadable(headers: IncomingHttpHeaders, bytes: Buffer): Problem | undefined {
  const { 'content-type': type = '', 'content-encoding': encoding } = headers;
  if (encoding !== undefined && !IDENTITY.test(encoding)) {
    return { code: 'request/unsupported-media-type', detail: 'Send the body without Content-Encoding.' };
  }
  for (const [, charset = ''] of type.includes(';') ? type.matchAll(CHARSET) : []) {
    if (UTF_8.test(charset)) continue;
    return { code: 'request/unsupported-media-type', detail: 'Send the body as application/json in UTF-8.' };
  }
  return isUtf8(bytes) ? undefined : { code: 'request/malformed-json' };
}

function twice(pointer: string): Problem {
  const detail = 'stands more than once in its object; send it once';
  return { code: 'request/invalid', errors: [{ in: 'body', pointer, detail }] };
}

/**
 * The JSON pointer of the first name that an object has twice; undefined when there is none.
 * @param text JSON, which was read as `value`
 */
export function repeatedName(text: string, value: unknown): string | undefined {
  // With as many colons as names, no name hides another. Only what has more, in texts mostly, is read once more.
  return colonsIn(text) === namesIn(value) ? undefined : findRepeatedName(text);
}

function colonsIn(text: string): number {
  let colons = 0;
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) colons++;
  return colons;
}

/** Without recursion: a body can be nested deeper than the stack. */
function namesIn(value: unknown): number {
  let names = 0;
  const waiting = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next !== 'object' || next === null) continue;
    const inside: readonly unknown[] = Array.isArray(next) ? next : Object.values(next);
    if (inside !== next) names += inside.length;
    for (const one of inside) if (typeof one === 'object') waiting.push(one);
  }
  return names;
}

const TOKEN = /"(?:[^"\\]+|\\.)*"|[{}[\],]/g;

/** An object or array that is being read, and the name or index where. */
interface Open {
  readonly names: Set<string> | undefined;
  at: string | number;
}

function findRepeatedName(text: string): string | undefined {
  const open: Open[] = [];
  let isName = false;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{') open.push({ names: new Set(), at: '' });
    else if (token === '[') open.push({ names: undefined, at: 0 });
    else if (token === '}' || token === ']') open.pop();
    const inner = open.at(-1);
    if (token === ',' && typeof inner?.at === 'number') inner.at++;
    if (isName && token.startsWith('"') && inner?.names !== undefined) {
      const name = JSON.parse(token) as string;
      inner.at = name;
      if (inner.names.has(name)) return pointerTo(open);
      inner.names.add(name);
    }
    isName = token === '{' || (token === ',' && inner?.names !== undefined);
  }
  return undefined;
}

function pointerTo(open: readonly Open[]): string {
  return open.map(({ at }) => `/${String(at).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
