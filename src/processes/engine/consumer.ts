import type { DescMessage, Message } from '@bufbuild/protobuf';
import type { Upcaster } from '../../eventstore/decider.ts';
import type { StreamRef } from '../../eventstore/stream.ts';

/** A category whose events a consumer reads; a decider fits. */
export interface Source {
  readonly category: string;
  readonly events: readonly DescMessage[];
  readonly upcasters?: readonly Upcaster[];
}

/** One event with what was stored beside it. */
export interface ConsumedEvent<Event extends Message> {
  readonly event: Event;
  /** Of the decision that made it. */
  readonly commandId: string;
  readonly correlationId: string;
  readonly actor: string;
  /** W3C trace context; empty when there was none. */
  readonly traceparent: string;
  readonly tracestate: string;
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
}

/** One commit as a consumer is given it: the unit of order, of retries and of parking. */
export interface Delivery<Event extends Message> {
  readonly stream: StreamRef;
  readonly position: number;
  readonly commitId: string;
  readonly events: readonly ConsumedEvent<Event>[];
  /** 1 for the first try in this process. */
  readonly attempt: number;
  /** True when an operator asked for it again. */
  readonly redriven: boolean;
}

/**
 * What to do about an error. `retry` tries the same commit again and holds back the later ones of its aggregate only;
 * `park` puts it aside with its reason, and the later ones behind it; `stop` ends the consumer.
 */
export type Verdict =
  | { readonly action: 'retry'; readonly afterMs: number }
  | { readonly action: 'park' }
  | { readonly action: 'stop' };

/** @param attempt how often it was tried, 1 or more */
export type Policy = (error: unknown, attempt: number) => Verdict;

/**
 * Reacts to events: each commit at least once, in order for each aggregate, never at once with another commit of the
 * same aggregate. `handle` must therefore be safe to repeat: it derives its keys and command ids from the commit.
 */
export interface Consumer<Event extends Message = Message> {
  /** Letters, digits and `-`; part of stored keys. */
  readonly name: string;
  readonly sources: readonly Source[];
  handle(delivery: Delivery<Event>): Promise<void>;
  readonly policy?: Policy;
}
