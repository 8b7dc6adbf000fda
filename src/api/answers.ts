import type { Message } from '@bufbuild/protobuf';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type CommandResult, numberOf, positionOfVersion, type Rejection } from '../eventstore/index.ts';

import { problemOfRefusal, sendProblem } from './problem-reply.ts';

/** The error of a command that was accepted and left nothing, which no command does. */
export function absent(what: string): Error {
  return new Error(`A command was accepted that left no ${what}`);
}

/** What a route says about the answer to its command. */
export interface Answering<State, Event> {
  /** The body without version and position. */
  readonly body: (state: State, events: readonly Event[]) => object;
  /** The address of what was created; makes an accepted command a 201. */
  readonly created?: string;
  /** Where to see how far it is; makes it a 202, also where there was nothing to do. */
  readonly followed?: string;
}

/**
 * Turns what became of a command into HTTP; the only place that does.
 * Accepted or nothing to do: the state after it, with `ETag` and `Position`; else a problem.
 */
export function answer<State, Event extends Message, R extends Rejection>(
  request: FastifyRequest,
  reply: FastifyReply,
  result: CommandResult<State, Event, R>,
  { body, created, followed }: Answering<State, Event>,
): FastifyReply {
  if (result.outcome !== 'accepted' && result.outcome !== 'unchanged') {
    return sendProblem(request, reply, problemOfRefusal(result, request.headers['if-match'] !== undefined));
  }
  const { version, state } = result;
  const position = numberOf(positionOfVersion(version));
  reply.header('etag', `"${version}"`).header('position', String(position));
  const location = created ?? followed;
  if (location !== undefined) reply.header('location', location);
  if (followed !== undefined) reply.code(202);
  else reply.code(created !== undefined && result.outcome === 'accepted' ? 201 : 200);
  const events = result.outcome === 'accepted' ? result.events : [];
  // Node 20 makes a hidden class of its own for each spread with more fields behind it.
  return reply.send(Object.assign(body(state, events), { version, position }));
}
