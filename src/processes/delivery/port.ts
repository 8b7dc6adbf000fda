import type { Lineage, Position } from '../../eventstore/index.ts';

/** An event as it is delivered. */
export interface Deliverable {
  /** The name of the stream that it is in. */
  readonly source: string;
  /** Its sequence in the stream. */
  readonly position: number;
  /** The same for ever: by it receivers know a repetition. */
  readonly id: string;
  readonly type: string;
  /** What it speaks of; the order of its events may be kept. */
  readonly subject: string;
  /** When it happened, in milliseconds since the Unix epoch. */
  readonly time: number;
  /** The commit that it came of, where the stream says so. */
  readonly commit?: Position | undefined;
  /** What is sent, as JSON; put together when it is first asked for. */
  body(): string;
}

/** Events in order. A message that is none is left out. */
export interface Events {
  readonly events: readonly Deliverable[];
  /** Nothing is missing up to here. */
  readonly through: number;
}

/** A stream whose messages are delivered. @throws LogUnavailable */
export interface DeliverySource {
  readonly name: string;
  /** What it is, and where it comes from if it was made anew: its positions mean something else then. */
  lineage(): Promise<Lineage>;
  /** The position of the last message. */
  head(): Promise<number>;
  /** What follows a position, of one subject or of all; nothing at the end. */
  page(after: number, subject?: string): Promise<Events>;
  /** Undefined when the message is gone. */
  at(position: number): Promise<Deliverable | undefined>;
  /** Behind which position everything lies that was stored at a time (milliseconds since the Unix epoch) or later. */
  before(time: number): Promise<number>;
  /**
   * Where a receiver without a place begins, and one whose stream was made anew; unless it is there, at what was stored
   * since the receiver was made, or at the end of what was made anew. @throws LogUnavailable to be asked again
   */
  beginning?(): Promise<number>;
  /** What follows a position as it comes, until the signal fires. */
  follow(after: number, signal: AbortSignal): AsyncIterable<Events>;
}

/** What came of one try. Times in milliseconds. */
export interface Tried {
  readonly taken: boolean;
  /** Nothing was sent, and nothing is to be: it says nothing of the receiver. */
  readonly unwanted?: boolean;
  /** Why not, in a few words and without secrets. */
  readonly error?: string;
  /** How long the receiver asks to be left alone. */
  readonly retryAfterMs?: number;
  /** The receiver wants nothing more, ever. */
  readonly gone?: boolean;
}

/** What came of one try by HTTP. */
export interface Posted extends Tried {
  /** Absent where there was no answer. */
  readonly status?: number;
  /** The beginning of what was answered. */
  readonly answer?: string;
}

/** Where an event lies. */
export interface EventPlace {
  readonly source: string;
  readonly position: number;
}

/** What is asked for beside what happens now: a test, one event again (with its place: a dead letter), or those of a period. */
export type DeliveryRequest = { readonly requestId: string; readonly at: number } & (
  | { readonly kind: 'test' }
  | { readonly kind: 'event'; readonly eventId: string; readonly place: EventPlace | undefined }
  | { readonly kind: 'period'; readonly since: number; readonly until: number | undefined }
);

/** Who is sent events, as it is now. */
export interface Receiver {
  readonly id: string;
  /** False: nothing is sent but what is asked for, and its place is kept. */
  readonly enabled: boolean;
  /** Whether a later event of a subject waits for the earlier ones. */
  readonly ordered: boolean;
  /** From when on it is sent events, in milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** When it was made, changed or enabled last; what failed before is tried again at once. */
  readonly renewedAt: number;
  readonly requests: readonly DeliveryRequest[];
  wants(event: Deliverable): boolean;
  /** Tries once. Never rejects. */
  deliver(event: Deliverable, attempt: number): Promise<Tried>;
}

/** An event that is given up, and why. */
export interface GivenUpEvent {
  readonly receiver: string;
  readonly event: Deliverable;
  readonly attempts: number;
  /** When it was tried first, in milliseconds since the Unix epoch; 0 = never, since nothing at all was taken. */
  readonly firstAt: number;
  readonly error: string;
}

/** What the engine tells of receivers. Each is tried again when it throws. */
export interface DeliveryOutlet extends Partial<RequestOutlet> {
  /** Keeps it as a dead letter. */
  giveUp(given: GivenUpEvent): Promise<void>;
  /**
   * Nothing was taken for `giveUpMs`, or the receiver said that it is gone. Where there is none the receiver stays, and
   * whatever has waited for so long is given up.
   */
  disable?(receiver: string, cause: 'failing' | 'gone', reason: string): Promise<void>;
  /** Told what goes wrong and is tried again. */
  trouble(what: string, error: unknown): void;
}

/** What is needed where receivers have requests. */
export interface RequestOutlet {
  /** A request is through. */
  complete(
    receiver: string,
    requestId: string,
    counts: { readonly delivered: number; readonly failed: number },
  ): Promise<void>;
  /** What a test sends. */
  testEvent(requestId: string, at: number): Deliverable;
  /** Where an event that was sent lies; undefined when that is not known any more. */
  find(receiver: string, eventId: string): Promise<EventPlace | undefined>;
}

/** How is delivered. Times in milliseconds. */
export interface DeliverySettings {
  /** To one receiver at once. */
  readonly maxInFlight: number;
  /** Events of one receiver that were read and are not through, and aggregates that are held; above that it only keeps its place. */
  readonly maxOpen: number;
  /** Pauses before an event is tried again: the first, which doubles, and the longest. */
  readonly retryBaseMs: number;
  readonly retryCapMs: number;
  /** The longest pause of a receiver that takes nothing. */
  readonly pauseCapMs: number;
  /** How long an event is tried. */
  readonly giveUpMs: number;
  /** How old a place may be that is not stored yet: what a takeover repeats. */
  readonly storeMs: number;
  /** How long stopping waits for what is under way. */
  readonly stopMs: number;
}

export const defaultDeliverySettings: DeliverySettings = {
  maxInFlight: 16,
  maxOpen: 500,
  retryBaseMs: 5_000,
  retryCapMs: 6 * 3_600_000,
  pauseCapMs: 15 * 60_000,
  giveUpMs: 3 * 24 * 3_600_000,
  storeMs: 500,
  stopMs: 10_000,
};
