import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../eventstore/log.ts';
import type { Page, ReadOptions, ReadRow } from '../projections/read-models.ts';
import { minPositionOf } from './position-token.ts';
import { sendProblem } from './problem-reply.ts';
import type { BusinessCode } from './problems.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const MAX_WAIT_SECONDS = 10;
const WAIT = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i;

/**
 * How fresh the client wants its answer: `Min-Position` or `minPosition`, and `Prefer: wait=N`. The preference alone
 * asks for everything that is stored by now; the log's end is looked up only then.
 */
export function readOptionsOf(
  request: FastifyRequest,
  reply: FastifyReply,
  log: Pick<Log, 'head'>,
): ReadOptions | Promise<ReadOptions> {
  const token = minPositionOf(request);
  // Its life of the log was checked before the route was called.
  const minPosition = token === undefined ? undefined : Number.parseInt(token, 10);
  const wait = waitSecondsOf(request.headers.prefer);
  if (wait !== undefined) reply.header('preference-applied', `wait=${wait}`);
  if (minPosition === undefined && wait !== undefined && wait > 0)
    return log.head().then((head) => ({ minPosition: head, waitMs: wait * 1000 }));
  return {
    ...(minPosition !== undefined && { minPosition }),
    ...(wait !== undefined && { waitMs: wait * 1000 }),
  };
}

/** Whole seconds to wait, at most 10; what is not understood is ignored, as RFC 7240 demands. */
export function waitSecondsOf(prefer: string | string[] | undefined): number | undefined {
  if (prefer === undefined) return undefined;
  const seconds = WAIT.exec([prefer].flat().join(','))?.[1];
  return seconds === undefined ? undefined : Math.min(Number(seconds), MAX_WAIT_SECONDS);
}

/** Whether `If-None-Match` names the version, so that the client has it already. What is no ETag matches nothing. */
export function isUnmodified(request: FastifyRequest, version: number): boolean {
  const header = request.headers['if-none-match'];
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${version}"`);
}

/** Answers with a row of a read model, byte for byte. */
export function sendRow(
  request: FastifyRequest,
  reply: FastifyReply,
  row: ReadRow | undefined,
  absent: BusinessCode,
): FastifyReply {
  if (row === undefined) return sendProblem(request, reply, { code: absent });
  reply.header('etag', `"${row.position}"`).header('position', String(row.position));
  if (isUnmodified(request, row.position)) return reply.code(304).send();
  return reply.header('content-type', JSON_TYPE).send(asBuffer(row.json));
}

/** Answers with a page of rows, byte for byte, and the way to the next page. */
export function sendPage(request: FastifyRequest, reply: FastifyReply, page: Page): FastifyReply {
  const parts: Uint8Array[] = [Buffer.from('{"items":[')];
  for (const [index, item] of page.items.entries()) {
    if (index > 0) parts.push(Buffer.from(','));
    parts.push(item);
  }
  parts.push(Buffer.from(page.next === undefined ? ']}' : `],"next":${JSON.stringify(page.next)}}`));
  if (page.next !== undefined) linkToNext(request, reply, 'cursor', page.next);
  return reply.header('content-type', JSON_TYPE).send(Buffer.concat(parts));
}

/** `Link: rel="next"`: this request with one query parameter changed. */
export function linkToNext(
  request: FastifyRequest,
  reply: FastifyReply,
  parameter: string,
  value: string,
): void {
  const [path = '', query = ''] = request.url.split('?', 2);
  const parameters = new URLSearchParams(query);
  parameters.set(parameter, value);
  reply.header('link', `<${path}?${parameters}>; rel="next"`);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
