import type { Message } from '@bufbuild/protobuf';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { timeOf } from '../domain/values.ts';
import {
  type Decider,
  type Loaded,
  type Log,
  loadAt,
  numberOf,
  positionOf,
  positionOfVersion,
  type Rejection,
  type Until,
  versionAt,
} from '../eventstore/index.ts';
import type { Page, ReadOptions, ReadRow } from '../projections/engine/index.ts';

import type { ServiceDeps } from './deps.ts';
import { minPositionOf } from './position-token.ts';
import { sendProblem, type Violation } from './problem-reply.ts';
import type { BusinessCode } from './problems.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const MAX_WAIT_SECONDS = 10;
const WAIT = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i;

/**
 * How fresh the client wants its answer: `Min-Position` or `minPosition`, and `Prefer: wait=N`. The preference alone
 * asks for everything that is stored by now; the log's end is asked for only then.
 */
export function readOptionsOf(
  request: FastifyRequest,
  reply: FastifyReply,
  log: Pick<Log, 'confirm'>,
): ReadOptions | Promise<ReadOptions> {
  const token = minPositionOf(request);
  // Its incarnation was checked before the route was called.
  const minPosition = token === undefined ? undefined : positionOf(Number.parseInt(token, 10));
  const wait = waitSecondsOf(request.headers.prefer);
  if (wait !== undefined) reply.header('preference-applied', `wait=${wait}`);
  if (minPosition === undefined && wait !== undefined && wait > 0)
    return log.confirm().then((end) => ({ minPosition: end, waitMs: wait * 1000 }));
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

/**
 * Answers with a row of a read model, byte for byte.
 * @param more fields that no version tells of, so that a client which has the version does not have them
 */
export function sendRow(
  request: FastifyRequest,
  reply: FastifyReply,
  row: ReadRow | undefined,
  absent: BusinessCode,
  more?: object,
): FastifyReply {
  if (row === undefined) return sendProblem(request, reply, { code: absent });
  const version = versionAt(row.position);
  reply.header('etag', `"${version}"`).header('position', String(numberOf(row.position)));
  if (more !== undefined)
    return reply.send({ ...(JSON.parse(asBuffer(row.json).toString()) as object), ...more });
  if (isUnmodified(request, version)) return reply.code(304).send();
  return reply.header('content-type', JSON_TYPE).send(asBuffer(row.json));
}

/** Answers with a page of rows, byte for byte, up to where it is true, and the way to the next page. */
export function sendPage(request: FastifyRequest, reply: FastifyReply, page: Page): FastifyReply {
  const parts: Uint8Array[] = [Buffer.from('{"items":[')];
  for (const [index, item] of page.items.entries()) {
    if (index > 0) parts.push(Buffer.from(','));
    parts.push(item);
  }
  const next = page.next === undefined ? '' : `,"next":${JSON.stringify(page.next)}`;
  parts.push(Buffer.from(`]${next}${page.incomplete ? ',"incomplete":true' : ''}}`));
  if (page.next !== undefined) linkToNext(request, reply, 'cursor', page.next);
  if (page.position !== undefined) reply.header('position', String(numberOf(page.position)));
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

/** How a client asks for an answer from the log instead of the read model. */
export interface LogQuery {
  readonly consistency?: 'strong' | 'eventual';
  /** A version, or any position of the log. */
  readonly version?: number;
  /** ISO 8601. */
  readonly at?: string;
}

const TIMES = ['version', 'at'] as const;

/** What is wrong with a combination of parameters: each of them is named. */
export function logQueryViolations(query: LogQuery): readonly Violation[] {
  const given: string[] = TIMES.filter((name) => query[name] !== undefined);
  if (query.consistency === 'strong') given.push('consistency');
  if (given.length > 1) {
    return given.map((name) => {
      const others = given.filter((other) => other !== name).join(' and ');
      return { in: 'query', pointer: `/${name}`, detail: `cannot be combined with ${others}` };
    });
  }
  if (query.at !== undefined && timeOf(query.at) === undefined) {
    return [{ in: 'query', pointer: '/at', detail: 'is no time; write it like 2026-01-15T09:30:00Z' }];
  }
  return [];
}

/** Whether the read model is not what the client wants to see. */
export function asksTheLog({ consistency, version, at }: LogQuery): boolean {
  return consistency === 'strong' || version !== undefined || at !== undefined;
}

/** What is read from the log and how it is shown. */
export interface FromLog<State, Command, Event extends Message, R extends Rejection> {
  readonly decider: Decider<State, Command, Event, R>;
  readonly id: string;
  /** Whether there is something to show; an aggregate can have events and not exist. */
  readonly exists: (state: State) => boolean;
  readonly body: (state: State) => object;
  /** Fields that no version tells of, of the aggregate as it is now. */
  readonly more?: (state: State, version: number) => Promise<object | undefined>;
  readonly absent: BusinessCode;
}

/**
 * Answers with an aggregate folded from the log, confirmed with the leader, in the shape in which commands answer.
 * A combination of parameters that makes no sense is answered with what is wrong.
 * @throws LogUnavailable, UnknownEventType, CorruptCommit
 */
export async function sendFromLog<State, Command, Event extends Message, R extends Rejection>(
  { handler, log }: Pick<ServiceDeps, 'handler' | 'log'>,
  request: FastifyRequest,
  reply: FastifyReply,
  { decider, id, exists, body, more, absent }: FromLog<State, Command, Event, R>,
): Promise<FastifyReply> {
  const query = request.query as LogQuery;
  const errors = logQueryViolations(query);
  if (errors.length > 0) return sendProblem(request, reply, { code: 'request/invalid', errors });
  const until = untilOf(query);
  const { state, version }: Loaded<State> =
    until === undefined ? await handler.load(decider, id) : await loadAt(log, decider, id, until);
  if (version === 0 || !exists(state)) return sendProblem(request, reply, { code: absent });
  const position = numberOf(positionOfVersion(version));
  reply.header('etag', `"${version}"`).header('position', String(position));
  const added = until === undefined ? await more?.(state, version) : undefined;
  if (added === undefined && isUnmodified(request, version)) return reply.code(304).send();
  return reply.send(Object.assign(body(state), added, { version, position }));
}

function untilOf({ version, at }: LogQuery): Until | undefined {
  if (version !== undefined) return { version };
  const time = at === undefined ? undefined : timeOf(at);
  return time === undefined ? undefined : { time };
}
