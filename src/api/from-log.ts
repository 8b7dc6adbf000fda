import type { Message } from '@bufbuild/protobuf';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Loaded } from '../eventstore/command.ts';
import type { Decider, Rejection } from '../eventstore/decider.ts';
import { loadAt, type Until } from '../eventstore/history.ts';
import type { ServiceDeps } from './deps.ts';
import type { Violation } from './problem.ts';
import { sendProblem } from './problem-reply.ts';
import type { BusinessCode } from './problems.ts';
import { isUnmodified } from './reading.ts';

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
  if (query.at !== undefined && Number.isNaN(Date.parse(query.at))) {
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
  { decider, id, exists, body, absent }: FromLog<State, Command, Event, R>,
): Promise<FastifyReply> {
  const query = request.query as LogQuery;
  const errors = logQueryViolations(query);
  if (errors.length > 0) return sendProblem(request, reply, { code: 'request/invalid', errors });
  const until = untilOf(query);
  const { state, version }: Loaded<State> =
    until === undefined ? await handler.load(decider, id) : await loadAt(log, decider, id, until);
  if (version === 0 || !exists(state)) return sendProblem(request, reply, { code: absent });
  reply.header('etag', `"${version}"`).header('position', String(version));
  if (isUnmodified(request, version)) return reply.code(304).send();
  return reply.send(Object.assign(body(state), { version, position: version }));
}

function untilOf({ version, at }: LogQuery): Until | undefined {
  if (version !== undefined) return { version };
  return at === undefined ? undefined : { time: Date.parse(at) };
}
