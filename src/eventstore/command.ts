import type { Message } from '@bufbuild/protobuf';
import type { Decider, Rejection } from './decider.ts';
import type { RecordedCommit } from './log.ts';
import type { Position } from './position.ts';

/** Which version the caller wants to act on. A number comes from `If-Match` and is never retried. */
export type Expectation = 'any' | 'none' | 'exists' | number;

/** What accompanies a command and is stored with its decision. */
export interface CommandMeta {
  /** The same id again is answered from the log. Derive it from the caller's idempotency key, or make a new one. */
  readonly commandId: string;
  /** Under which an earlier version stored this very command; looked for too, and never stored. */
  readonly formerId?: string | undefined;
  /** Digest of what the client sent; the same id with another digest is refused. */
  readonly fingerprint?: Uint8Array | undefined;
  /** Digest under which an earlier version, or another setting, stored the same content; agrees too, and is never stored. */
  readonly formerFingerprint?: Uint8Array | undefined;
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
  /** The subject of the token or the name of the process; never a name or an address. */
  readonly actor: string;
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
  /**
   * Kept with the decision and given to whoever reads its events: at most 32 keys of letters, digits, `_`, `.` and `-`,
   * 4 KiB together. Stored for ever in plain text, so never personal data.
   */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** What a command asks for beside being executed. */
export interface ExecuteOptions {
  /** Default `any`. */
  readonly expected?: Expectation;
  /**
   * The id is new with high probability (a creation): decide on the initial state without reading.
   * Wrong guesses cost one conflict and never a wrong answer.
   */
  readonly assumeNew?: boolean;
  /**
   * Waits for what else is asked of the aggregate in this turn of the event loop, so that the two, in this order, share a
   * commit. They need not: each must also be right alone (protocol 28).
   */
  readonly together?: boolean;
}

/** What became of a command. */
export type CommandResult<State, Event extends Message, R extends Rejection> =
  | {
      readonly outcome: 'accepted';
      /** The commit's version; also its position in the log. */
      readonly version: number;
      /** The state right after the decision's commit. */
      readonly state: State;
      readonly events: readonly Event[];
      /** True when an earlier call stored it and this one only repeats the answer. */
      readonly repeated: boolean;
    }
  /** Nothing to do; confirmed on the tail. */
  | { readonly outcome: 'unchanged'; readonly version: number; readonly state: State }
  /** Refused by the decider; confirmed on the tail. */
  | { readonly outcome: 'rejected'; readonly rejection: R; readonly version: number }
  /** The expectation does not hold, or too many others write to the aggregate. `actual` is its version. */
  | {
      readonly outcome: 'conflict';
      readonly category: string;
      readonly id: string;
      readonly expected: Expectation;
      readonly actual: number;
    }
  /** The command id was used before with another content. */
  | { readonly outcome: 'key-reused'; readonly version: number };

/** An aggregate's state as it was at some version. */
export interface Loaded<State> {
  readonly state: State;
  /** 0 = it does not exist. */
  readonly version: number;
}

export interface LoadOptions<Command> {
  /**
   * How old knowledge may be, in milliseconds; 0 (the default) confirms the end with the leader.
   * A state that may be stale must not decide a refusal.
   */
  readonly maxAgeMs?: number;
  /**
   * A state whose last commit lies behind this position will do, however old, and nobody is asked for a newer one: so the
   * aggregate was after that position. Else as with `maxAgeMs` 0.
   */
  readonly behind?: Position;
  /**
   * A commit of the aggregate that a reader of the log was given: the state as of it or later will do, and nobody is asked
   * for a newer one. Only for what a later append, or the other side, refuses when it is out of date (protocol 27).
   */
  readonly asOf?: RecordedCommit | undefined;
  /** The state will be asked what it says to this command; without it, it may lack the section that is read for that. */
  readonly toDecide?: Command;
}

/** Executes commands on aggregates. Time travel is `loadAt` and `history` on the log itself. */
export interface CommandHandler {
  /**
   * Loads, decides, appends; on a conflict decides again on the tail.
   * @throws LogUnavailable, OutcomeUnknown, DeadlineExceeded, QueueFull, CommitTooLarge, InvalidId, UnknownEventType
   */
  execute<State, Command, Event extends Message, R extends Rejection>(
    decider: Decider<State, Command, Event, R>,
    id: string,
    command: Command,
    meta: CommandMeta,
    options?: ExecuteOptions,
  ): Promise<CommandResult<State, Event, R>>;

  /** The state of an aggregate. @throws LogUnavailable, InvalidId, UnknownEventType */
  load<State, Command, Event extends Message, R extends Rejection>(
    decider: Decider<State, Command, Event, R>,
    id: string,
    options?: LoadOptions<Command>,
  ): Promise<Loaded<State>>;

  /** What an earlier call with this command id stored on the aggregate, if anything (confirmed with the leader). */
  find<State, Command, Event extends Message, R extends Rejection>(
    decider: Decider<State, Command, Event, R>,
    id: string,
    meta: Pick<CommandMeta, 'commandId' | 'formerId' | 'fingerprint' | 'formerFingerprint'>,
  ): Promise<Extract<CommandResult<State, Event, R>, { outcome: 'accepted' | 'key-reused' }> | undefined>;
}
