import type { Message } from '@bufbuild/protobuf';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CommandMeta, Decider, Rejection } from '../eventstore/index.ts';
import { answer } from './answers.ts';
import type { ServiceDeps } from './deps.ts';
import { commandOf, expectedOf } from './meta.ts';

/** An aggregate, and the body of an answer that shows one of its states. */
interface Shown<State, Command, Event extends Message, R extends Rejection> {
  readonly decider: Decider<State, Command, Event, R>;
  readonly body: (id: string, state: State) => object;
}

/**
 * Makes what answers a command on an aggregate that is there: decides it, fenced by `If-Match`, and shows what it leaves.
 * The command is made with the time, in milliseconds since the Unix epoch, and with what accompanies it.
 */
export function actingOn<State, Command, Event extends Message, R extends Rejection>({
  decider,
  body,
}: Shown<State, Command, Event, R>) {
  return async (
    { handler, runtime }: Pick<ServiceDeps, 'handler' | 'runtime'>,
    [request, reply]: readonly [FastifyRequest, FastifyReply],
    id: string,
    command: (at: number, meta: CommandMeta) => Command,
  ): Promise<FastifyReply> => {
    const { meta, at } = commandOf(request, runtime);
    const result = await handler.execute(decider, id, command(at, meta), meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => body(id, state) });
  };
}
