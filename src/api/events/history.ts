import type { Message } from '@bufbuild/protobuf';
import {
  codecOf,
  type EventSource,
  type Log,
  numberOf,
  type RecordedCommit,
  type StreamRef,
  shownEvent,
  versionAt,
} from '../../eventstore/index.ts';

import { traceIdOfParent } from '../tracing.ts';
import { formOf } from './form.ts';
import type { RecordedEvent, TypedEvent } from './schemas.ts';

/** Makes events of the API from a commit. @throws CorruptCommit, UnknownEventType, RangeError */
export type Showing<Event> = (commit: RecordedCommit) => Event[];

/** A page of an aggregate's decoded history, oldest first. */
export interface HistoryPage<Event> {
  readonly items: readonly Event[];
  /** The position to continue after; absent on the last page. */
  readonly next?: number;
  /** The aggregate has no commit of its own at all. */
  readonly absent: boolean;
}

/**
 * Reads and decodes up to `limit` commits after a position, through the leader. Commits are never split.
 * @throws LogUnavailable, CorruptCommit, UnknownEventType, RangeError
 */
export async function readHistory<Event>(
  log: Log,
  stream: StreamRef,
  show: Showing<Event>,
  range: { after: number; limit: number },
): Promise<HistoryPage<Event>> {
  const { commits, more } = await readCommits(log, stream, range);
  const last = commits.at(-1);
  return {
    items: commits.flatMap(show),
    absent: range.after === 0 && !more && commits.every(({ foreign }) => foreign !== undefined),
    ...(more && last !== undefined && { next: versionAt(last.position) }),
  };
}

async function readCommits(log: Log, stream: StreamRef, range: { after: number; limit: number }) {
  const commits: RecordedCommit[] = [];
  let after = range.after;
  for (;;) {
    const page = await log.read(stream, { after, confirm: true });
    commits.push(...page.commits);
    const last = page.commits.at(-1);
    if (last !== undefined) after = versionAt(last.position);
    const more = page.more && page.commits.length > 0;
    if (!more || commits.length >= range.limit) {
      return { commits: commits.slice(0, range.limit), more: more || commits.length > range.limit };
    }
  }
}

/** The events of a category as clients have known them first: what happened is the payload as protobuf writes it. */
export function asRecorded(source: EventSource): Showing<RecordedEvent> {
  const schemas = new Map(source.events.map((schema) => [schema.typeName, schema]));
  return showing(source, (event, { aggregateId: _id, ...facts }) => {
    const schema = known(schemas, event);
    return { ...facts, payload: shownEvent(schema, event, { alwaysEmitImplicit: true }) };
  });
}

/** The events of a category as objects of the API. @throws Error for an event that has no form */
export function asTyped(source: EventSource): Showing<TypedEvent> {
  const forms = new Map(source.events.map((schema) => [schema.typeName, formOf(schema)]));
  const { category } = source;
  return showing(source, (event, facts) => ({
    category,
    ...facts,
    data: known(forms, event).show(event),
  }));
}

function known<Value>(all: ReadonlyMap<string, Value>, { $typeName }: Message): Value {
  const value = all.get($typeName);
  if (value === undefined)
    throw new Error(`The codec decoded ${$typeName}, which the category does not list`);
  return value;
}

/** What is told of every event. */
type Facts = Omit<RecordedEvent, 'payload'> & { readonly aggregateId: string };

function showing<Event>(source: EventSource, one: (event: Message, facts: Facts) => Event): Showing<Event> {
  const codec = codecOf(source);
  return ({ position, stream, decisions }) =>
    decisions.flatMap(({ time, actor, correlationId, traceparent, events }) => {
      const traceId = traceIdOfParent(traceparent);
      return events.map((stored) => {
        const event: Message = codec.decode(stored, stream.id);
        return one(event, {
          aggregateId: stream.id,
          position: numberOf(position),
          time: new Date(Number(time)).toISOString(),
          type: event.$typeName.slice(event.$typeName.lastIndexOf('.') + 1),
          actor,
          correlationId,
          ...(traceId !== undefined && { traceId }),
        });
      });
    });
}
