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
  /** Total: never throws, never changes its arguments. The codec has already stopped what it does not know. */
  readonly evolve: (state: State, event: Event) => State;
  /**
   * Knows no clock and no randomness: the command carries time, ids and prices. An array is accepted events, where `[]`
   * means that nothing is left to do; otherwise the rejection.
   */
  readonly decide: (command: Command, state: State) => readonly Event[] | R;
}
