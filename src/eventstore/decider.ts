import type { DescMessage, Message } from '@bufbuild/protobuf';

/** A business "no": a value, not an exception. */
export interface Rejection {
  /** Stable, for example `order/not-open`. */
  readonly code: string;
  /** One sentence for the person who asked: what is wrong and what to do. */
  readonly message: string;
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

/**
 * An aggregate as pure data and functions. The kernel knows nothing else about it.
 * `evolve` is total: the codec has already stopped what it does not know.
 * `decide` returns events (none = nothing to do) or a rejection; it knows no clock and no randomness.
 */
export interface Decider<State, Command, Event extends Message, R extends Rejection> {
  readonly category: string;
  /** The schemas of every event of the category; an event's stored type is the message's short name. */
  readonly events: readonly DescMessage[];
  readonly upcasters?: readonly Upcaster[];
  /** Raise it when code that `evolve` calls changes what it folds to; snapshots of the old fold are then ignored. */
  readonly foldRevision?: number;
  readonly initial: State;
  readonly evolve: (state: State, event: Event) => State;
  readonly decide: (command: Command, state: State) => readonly Event[] | R;
}
