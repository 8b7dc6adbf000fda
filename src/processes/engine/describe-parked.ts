import { type Message, toJson } from '@bufbuild/protobuf';
import { codecOf } from '../../eventstore/event-codec.ts';
import type { RecordedCommit } from '../../eventstore/log.ts';
import type { Consumer, Source } from './consumer.ts';
import type { ParkedEntry, ParkedError, ParkedEvent } from './parked-entry.ts';

/** Longest payload and stack that an entry carries, in characters: a parked commit must fit into a message itself. */
const PAYLOAD_CHARS = 16_384;
const TEXT_CHARS = 4_096;
const MAX_EVENTS = 20;

/** Why a commit is parked. */
export interface ParkReason {
  readonly behind: boolean;
  readonly error: unknown;
  readonly attempts: number;
  /** First and last try, in milliseconds since the Unix epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** Unique. */
  readonly write: string;
}

/** A commit as an entry for people. Never throws: what cannot be read says so. */
export function describeParked(consumer: Consumer, commit: RecordedCommit, reason: ParkReason): ParkedEntry {
  const { category, id } = commit.stream;
  const named = { consumer: consumer.name, category, id, position: commit.position };
  const { error, ...rest } = reason;
  return {
    ...named,
    ...readable(consumer, commit),
    ...rest,
    error: error === undefined ? undefined : describeError(error),
  };
}

/** Anything that was thrown, cut to a length that fits. */
export function describeError(error: unknown): ParkedError {
  const known = error instanceof Error ? error : new Error(String(error));
  const cut = (text: string): string => text.slice(0, TEXT_CHARS);
  return { name: cut(known.name), message: cut(known.message), stack: cut(known.stack ?? '') };
}

function readable(
  consumer: Consumer,
  commit: RecordedCommit,
): Pick<ParkedEntry, 'commitId' | 'events' | 'traceId'> {
  try {
    const source = consumer.sources.find(({ category }) => category === commit.stream.category);
    const [first] = commit.decisions;
    const events = commit.decisions
      .flatMap((decision) => decision.events)
      .slice(0, MAX_EVENTS)
      .map((stored): ParkedEvent => {
        const { type, schemaVersion } = stored;
        return { type, schemaVersion, payload: payloadOf(source, stored) };
      });
    return { commitId: commit.commitId, events, traceId: first?.traceparent.split('-')[1] ?? '' };
  } catch (error) {
    const payload = `unreadable: ${describeError(error).message}`;
    return { commitId: '', events: [{ type: '?', schemaVersion: 0, payload }], traceId: '' };
  }
}

function payloadOf(
  source: Source | undefined,
  stored: RecordedCommit['decisions'][number]['events'][number],
): unknown {
  if (source === undefined) return 'not of this consumer';
  try {
    const event = codecOf<Message>(source).decode(stored);
    const schema = source.events.find(({ typeName }) => typeName === event.$typeName);
    if (schema === undefined) return 'of an unknown type';
    const payload = toJson(schema, event);
    const length = JSON.stringify(payload).length;
    return length > PAYLOAD_CHARS ? `too large to keep here: ${length} characters` : payload;
  } catch (error) {
    return `unreadable: ${describeError(error).message}`;
  }
}
