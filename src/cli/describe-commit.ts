import { type DescMessage, type Message, toJson } from '@bufbuild/protobuf';
import { email } from '../domain/email.ts';
import { order } from '../domain/order.ts';
import { product } from '../domain/product.ts';
import { user } from '../domain/user.ts';
import { codecOf } from '../eventstore/event-codec.ts';
import type { RecordedCommit } from '../eventstore/log.ts';

/** What a decider says about its events. */
interface EventSource {
  readonly category: string;
  readonly events: readonly DescMessage[];
}

const SOURCES: readonly EventSource[] = [user, email, product, order];

/** A commit for an operator. */
export interface CommitDescription {
  readonly position: number;
  readonly category: string;
  readonly id: string;
  /** The aggregate's version before it. */
  readonly previous: number;
  readonly commitId: string;
  readonly decisions: readonly {
    /** ISO 8601. */
    readonly time: string;
    readonly actor: string;
    readonly commandId: string;
    readonly correlationId: string;
    readonly causationId: string;
    /** Empty when there was none. */
    readonly traceId: string;
    readonly events: readonly {
      readonly type: string;
      readonly schemaVersion: number;
      readonly payload: unknown;
    }[];
  }[];
}

/** Everything that a commit says, its events decoded. @throws CorruptCommit when the envelope cannot be read */
export function describeCommit(commit: RecordedCommit): CommitDescription {
  const { position, previous, commitId, stream } = commit;
  const source = SOURCES.find(({ category }) => category === stream.category);
  const decisions = commit.decisions.map((decision) => {
    const { actor, commandId, correlationId, causationId, traceparent, time, events } = decision;
    return {
      time: new Date(Number(time)).toISOString(),
      actor,
      commandId,
      correlationId,
      causationId,
      traceId: traceparent.split('-')[1] ?? '',
      events: events.map((stored) => {
        const { type, schemaVersion } = stored;
        return { type, schemaVersion, payload: payloadOf(source, stored) };
      }),
    };
  });
  return { position, category: stream.category, id: stream.id, previous, commitId, decisions };
}

/** What cannot be read says so: the rest of the commit is worth seeing. */
function payloadOf(
  source: EventSource | undefined,
  stored: RecordedCommit['decisions'][number]['events'][number],
): unknown {
  try {
    if (source === undefined) return 'of a category that this version does not know';
    const event = codecOf<Message>(source).decode(stored);
    const schema = source.events.find(({ typeName }) => typeName === event.$typeName);
    return schema === undefined ? 'of an unknown type' : toJson(schema, event);
  } catch (error) {
    return `unreadable: ${error instanceof Error ? error.message : String(error)}`;
  }
}
