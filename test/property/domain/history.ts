import { type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { Decider, Rejection } from '../../../src/eventstore/index.ts';

/** One command of a history: what was decided on which state, and the state that followed. */
export interface Step<State, Command, Event> {
  readonly command: Command;
  readonly before: State;
  readonly outcome: readonly Event[] | Rejection;
  /** Empty when the command was rejected or had nothing to do. */
  readonly events: readonly Event[];
  readonly after: State;
}

/** Asks the commands one after the other, as the kernel would, on frozen states. */
export function run<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  commands: readonly Command[],
): Step<State, Command, Event>[] {
  let state = deepFreeze(decider.initial);
  return commands.map((command) => {
    const before = state;
    const outcome = decider.decide(deepFreeze(command), before);
    const events = 'code' in outcome ? [] : outcome;
    state = deepFreeze(events.reduce(decider.evolve, before));
    return { command, before, outcome, events, after: state };
  });
}

/** The event as it comes back from the log: its bytes, decoded by the schema of its type. */
export function throughBytes<Event extends Message>(schemas: readonly DescMessage[], event: Event): Event {
  const schema = schemas.find((s) => s.typeName === event.$typeName);
  if (schema === undefined) throw new Error(`${event.$typeName} is not among the decider's events.`);
  // The schema was found by the event's own type name.
  return fromBinary(schema, toBinary(schema, event)) as Message as Event;
}

/** Freezes a value all the way down, so that a function that changes its arguments throws. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  Object.values(value).forEach(deepFreeze);
  return value;
}
