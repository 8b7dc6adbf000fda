import type { DescMessage, Message } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';

/** A business "no": a value, not an exception. */
export interface Rejection {
  /** `<category>/<reason>`, stable: clients and use cases branch on it. For example `order/not-open`. */
  readonly code: string;
  /** One plain sentence for people that says what to do. Never holds an id, a name or an address. */
  readonly message: string;
  /** Machine-readable and JSON-safe; for use cases. Not for clients unless a route picks a key. */
  readonly details?: Readonly<Record<string, string | number>>;
}

/**
 * Brings the bytes of an older schema version to the newest one, one step: from `fromVersion` to the next. A step that
 * returns another type renames it; the versions of the new name begin at 1.
 */
export interface Upcaster {
  readonly type: string;
  readonly fromVersion: number;
  /** Takes the stored bytes; returns the type and bytes of the next schema version. */
  readonly upcast: (data: Uint8Array) => { type: string; data: Uint8Array };
}

/** The generated schema of each member of a union of events. */
export type EventSchema<Event extends Message> = Event extends Message ? GenMessage<Event> : never;

/** Where events come from, and how their stored bytes become events: a category. Every decider is one. */
export interface EventSource {
  /** The aggregate's kind; a token of its subject and the prefix of its rejection codes. */
  readonly category: string;
  /** The schema of every event type of the category; an event's stored type is the message's short name. */
  readonly events: readonly DescMessage[];
  /** From older schema versions to the newest; none where no event has ever changed its meaning. */
  readonly upcasters?: readonly Upcaster[];
}

/**
 * How a state that grows with what is open is kept: as a head, which a snapshot holds, and in sections of which a command
 * reads one at the most. What is folded while a section is away must not need it: the head holds the latest changes.
 *
 * A state may lack sections. `evolve` takes it as any other; `decide` and `take` need the section to be there.
 */
export interface Sections<State, Command> {
  /**
   * 0 until there are sections. Then it grows by one now and then, each time with an event: a section that was taken in
   * one generation can be put into any later state of that generation and the next.
   */
  readonly generationOf: (state: State) => number;
  /** How many sections there are; the same for good from the first generation on. */
  readonly countIn: (state: State) => number;
  /** The state without its sections, as plain data that is equal for equal states. */
  readonly head: (state: State) => unknown;
  /** The state of a head; it lacks every section. */
  readonly fromHead: (head: unknown) => State;
  /** A section, as plain data that is equal for equal states; undefined when the state lacks it. */
  readonly take: (state: State, index: number) => unknown;
  /** The state with a section that it lacks, brought up to date. */
  readonly put: (state: State, index: number, section: unknown) => State;
  /** The section that a command reads, when the state lacks it. */
  readonly missing: (state: State, command: Command) => number | undefined;
}

/** Any decider, for whoever takes all of them alike: lists, folds of a whole log, checks. */
export interface AnyDecider extends EventSource {
  readonly foldRevision?: number;
  readonly initial: unknown;
  readonly evolve: (state: never, event: never) => unknown;
  readonly decide: (command: never, state: never) => unknown;
}

/**
 * One kind of aggregate, as data and two pure functions; the kernel knows nothing else about it.
 *
 * `State` is plain data that survives a structured clone, because snapshots store it.
 */
export interface Decider<State, Command, Event extends Message, R extends Rejection> extends EventSource {
  readonly events: readonly EventSchema<Event>[];
  /** Raise it when code that `evolve` calls changes what it folds to; snapshots of the old fold are then ignored. */
  readonly foldRevision?: number;
  /** The state before the first event. */
  readonly initial: State;
  /** Where the state grows with what is open; without it a snapshot holds all of the state. */
  readonly sections?: Sections<State, Command> | undefined;
  /** Total: never throws, never changes its arguments. The codec has already stopped what it does not know. */
  readonly evolve: (state: State, event: Event) => State;
  /**
   * Knows no clock and no randomness: the command carries time, ids and prices. An array is accepted events, where `[]`
   * means that nothing is left to do; otherwise the rejection.
   */
  readonly decide: (command: Command, state: State) => readonly Event[] | R;
}
