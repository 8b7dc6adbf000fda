import { hash } from 'node:crypto';
import type { Message } from '@bufbuild/protobuf';
import type { EventCodec } from '../codec/event-codec.ts';
import { metadataOf } from '../codec/metadata.ts';
import type { RecordedCommit } from '../log.ts';
import type { Position } from '../position.ts';
import { keyOf, type StreamRef } from '../stream.ts';

/** One event as the log holds it, with what was stored with it. */
export interface RecordedEvent<Event extends Message = Message> {
  readonly event: Event;
  /**
   * Of this event alone, for ever and in every restored log, where a position may mean another event: 22 characters that
   * derive from its commit's id, its aggregate and its place in the commit.
   */
  readonly id: string;
  /** Of its commit. With `index` it is the event's place in the log: both in order, and no two events share them. */
  readonly position: Position;
  /** Its place among the events of its commit, from 0. */
  readonly index: number;
  /** Of the decision that made it, as the fields that follow. */
  readonly commandId: string;
  readonly correlationId: string;
  readonly causationId: string;
  readonly actor: string;
  /** W3C trace context; empty when there was none. */
  readonly traceparent: string;
  readonly tracestate: string;
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
  /** What the command was given to be kept with its events; empty when nothing was. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The events of a commit in order; none of a foreign message. @throws UnknownEventType, CorruptCommit */
export function recordedEvents<Event extends Message>(
  { stream, position, commitId, decisions }: RecordedCommit,
  codec: EventCodec<Event>,
): RecordedEvent<Event>[] {
  const events: RecordedEvent<Event>[] = [];
  for (const decision of decisions) {
    const { commandId, correlationId, causationId, actor, traceparent, tracestate } = decision;
    const metadata = metadataOf(decision);
    const origin = { commandId, correlationId, causationId, actor, traceparent, tracestate, metadata };
    for (const stored of decision.events) {
      const index = events.length;
      const id = eventIdOf(commitId, stream, index);
      const time = Number(decision.time);
      events.push({ event: codec.decode(stored, stream.id), id, position, index, ...origin, time });
    }
  }
  return events;
}

/**
 * The parts of an atomic commit share its id, so the aggregate belongs to it. Short, since each command of a reaction
 * stores it, once for itself and once as the cause of the next.
 */
export function eventIdOf(commitId: string, stream: StreamRef, index: number): string {
  const whole = `${commitId}/${keyOf(stream)}/${index}`;
  return hash('sha256', whole, 'base64url').slice(0, EVENT_ID_CHARS);
}

/** As many as 128 bits need. */
const EVENT_ID_CHARS = 22;
