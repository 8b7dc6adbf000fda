import type { Message } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';

/** A business "no": a value, not an exception. */
export interface Rejection {
  /** `<category>/<reason>`, stable: clients and use cases branch on it. */
  readonly code: string;
  /** One plain sentence for people that says what to do. Never holds an id, a name or an address. */
  readonly message: string;
  /** Machine-readable and JSON-safe; for use cases. Not for clients unless a route picks a key. */
  readonly details?: Readonly<Record<string, string | number>>;
}

/** Builds a rejection; its code's literal type is kept, so that a wrong code does not compile. */
export function rejected<Code extends string>(code: Code, message: string, details?: Rejection['details']) {
  return details === undefined ? { code, message } : { code, message, details };
}

/** A command, and when it was asked for: whole milliseconds since the Unix epoch, by the service's clock. */
export type Timed<Command> = Readonly<Command & { at: number }>;

/** The generated schema of each member of a union of events. */
export type EventSchema<Event extends Message> = Event extends Message ? GenMessage<Event> : never;

/**
 * One kind of aggregate, as data and two pure functions.
 *
 * `State` is plain data that survives a structured clone, because snapshots store it.
 */
export interface Decider<State, Command, Event extends Message, R extends Rejection> {
  /** The aggregate's kind; a token of its subject and the prefix of its rejection codes. */
  readonly category: string;
  /** The schemas of every event type of the category. */
  readonly events: readonly EventSchema<Event>[];
  /** The state before the first event. */
  readonly initial: State;
  /** Total: never throws, never changes its arguments. */
  readonly evolve: (state: State, event: Event) => State;
  /** An array is accepted events, where `[]` means that nothing is left to do; otherwise the rejection. */
  readonly decide: (command: Command, state: State) => readonly Event[] | R;
}
