import type { Message } from '@bufbuild/protobuf';
import type { CommandResult } from './command.ts';
import type { Decider, Rejection } from './decider.ts';
import { CorruptCommit } from './errors.ts';
import { codecOf } from './event-codec.ts';
import type { Log } from './log.ts';
import type { Asked, Plan } from './plan.ts';
import type { States } from './states.ts';
import { keyOf, type StreamRef } from './stream.ts';

/** The answer to the command at an index of a plan; a promise where the log must be asked. Throws what its decider threw. */
export type Answers<Result> = (index: number) => Result | Promise<Result>;

/**
 * Turns a plan into answers once it is known to hold.
 * @param appendedAt the version of the commit that carried the plan's decisions; undefined when there were none
 */
export function answersOf<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  stream: StreamRef,
  plan: Plan<State, Event, R>,
  asked: readonly Asked<Command>[],
  appendedAt: number | undefined,
  deps: { readonly log: Log; readonly states: States },
): Answers<CommandResult<State, Event, R>> {
  const version = appendedAt ?? plan.version;
  const answer: Answers<CommandResult<State, Event, R>> = (index) => {
    const planned = plan.planned[index];
    const ask = asked[index];
    if (planned === undefined || ask === undefined) throw new RangeError(`No answer for command ${index}`);
    switch (planned.kind) {
      case 'events':
        return {
          outcome: 'accepted',
          version,
          state: planned.state,
          events: planned.events,
          repeated: false,
        };
      case 'same-as':
        return repeated(answer(planned.index));
      case 'unchanged':
        return { outcome: 'unchanged', version, state: planned.state };
      case 'rejected':
        return { outcome: 'rejected', rejection: planned.rejection, version };
      case 'mismatch':
        // What a later command of the same commit made of the aggregate was not there for this one.
        return {
          outcome: 'conflict',
          ...stream,
          expected: ask.expected,
          actual: ask.expected === 'exists' ? 0 : version,
        };
      case 'stored':
        if (!planned.same) return { outcome: 'key-reused', version: planned.version };
        return repeatedAnswer(decider, stream, ask.meta.commandId, planned.version, deps);
      case 'key-reused':
        return { outcome: 'key-reused', version };
      case 'fault':
        throw planned.error;
    }
  };
  return answer;
}

async function repeated<State, Event extends Message, R extends Rejection>(
  answer: CommandResult<State, Event, R> | Promise<CommandResult<State, Event, R>>,
): Promise<CommandResult<State, Event, R>> {
  const first = await answer;
  return first.outcome === 'accepted' ? { ...first, repeated: true } : first;
}

/** The answer that a command was given when it was stored, rebuilt from its commit. */
export async function repeatedAnswer<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  stream: StreamRef,
  commandId: string,
  version: number,
  deps: { readonly log: Log; readonly states: States },
): Promise<Extract<CommandResult<State, Event, R>, { outcome: 'accepted' }>> {
  const commit = await deps.log.at(version);
  const decision = commit?.decisions.find((d) => d.commandId === commandId);
  if (commit === undefined || decision === undefined) {
    throw new CorruptCommit(keyOf(stream), version, new Error(`command ${commandId} is not in it`));
  }
  const codec = codecOf<Event>(decider);
  const events = decision.events.map(codec.decode);
  // Decisions of other callers in the same commit came before or after it.
  let { state } = await deps.states.at(decider, stream, commit.previous);
  for (const each of commit.decisions.slice(0, commit.decisions.indexOf(decision) + 1)) {
    state = each.events.map((event) => codec.decode(event)).reduce(decider.evolve, state);
  }
  return { outcome: 'accepted', version, state, events, repeated: true };
}
