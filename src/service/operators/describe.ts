import type { Message } from '@bufbuild/protobuf';
import {
  type AnyDecider,
  codecOf,
  type Decider,
  type EventSource,
  emptyFold,
  type Folded,
  type ForeignMessage,
  foldCommit,
  numberOf,
  type RecordedCommit,
  type Rejection,
  reasonOf,
  shownEvent,
  withoutHidden,
} from '../../eventstore/index.ts';
import { aggregates, hiddenFields } from '../shop.ts';

/** Folds commits of one category, whatever its types are. */
export interface Folder {
  /** The state before the first event. */
  begin(): Folded<unknown>;
  /** @throws UnknownEventType, CorruptCommit */
  fold(folded: Folded<unknown>, commit: RecordedCommit): void;
}

/** A state for people: what its events hide is hidden in it too. */
export const shownState = (state: unknown): unknown => withoutHidden(state, hiddenFields);

/** JSON of anything that a state or an event holds: large integers as strings, bytes in base64. */
export function plainJson(value: unknown, indent?: number): string {
  const plain = (_key: string, inner: unknown): unknown => {
    if (typeof inner === 'bigint') return inner.toString();
    if (inner instanceof Uint8Array) return Buffer.from(inner).toString('base64');
    if (inner instanceof Map) return Object.fromEntries(inner);
    return inner instanceof Set ? [...inner] : inner;
  };
  return JSON.stringify(value, plain, indent);
}

/** A copy of a state that JSON can hold, for people. */
export function plainState(state: unknown): unknown {
  return JSON.parse(plainJson(shownState(state)) ?? 'null');
}

/** How the aggregates of each category are folded. */
export const folders: ReadonlyMap<string, Folder> = new Map(
  aggregates.map((decider) => [decider.category, folderOf(decider)]),
);

function folderOf(decider: AnyDecider): Folder {
  // What `begin` made is only ever advanced by this decider.
  const folding = decider as Decider<unknown, never, Message, Rejection>;
  return {
    begin: () => emptyFold(decider.initial),
    fold: (folded, commit) => foldCommit(folding, folded, commit),
  };
}

/** A commit for an operator. */
export interface CommitDescription {
  readonly position: number;
  readonly category: string;
  readonly id: string;
  /** The aggregate's version before it; missing where the message does not say. */
  readonly previous: number | undefined;
  readonly commitId: string;
  /** Set when it is no commit but a message of somebody else: a version without events. */
  readonly foreign?: ForeignMessage;
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
  const { position, previous, commitId, stream, foreign } = commit;
  const source = aggregates.find(({ category }) => category === stream.category);
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
        return { type, schemaVersion, payload: payloadOf(source, stored, stream.id) };
      }),
    };
  });
  const { category, id } = stream;
  const shown = { position: numberOf(position), category, id, previous, commitId };
  return { ...shown, ...(foreign && { foreign }), decisions };
}

/** What cannot be read says so: the rest of the commit is worth seeing. */
function payloadOf(
  source: EventSource | undefined,
  stored: RecordedCommit['decisions'][number]['events'][number],
  id: string,
): unknown {
  try {
    if (source === undefined) return 'of a category that this version does not know';
    const event = codecOf<Message>(source).decode(stored, id);
    const schema = source.events.find(({ typeName }) => typeName === event.$typeName);
    return schema === undefined ? 'of an unknown type' : shownEvent(schema, event);
  } catch (error) {
    return `unreadable: ${reasonOf(error)}`;
  }
}
