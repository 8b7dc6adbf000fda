import type { Message } from '@bufbuild/protobuf';
import {
  codecOf,
  type EventSource,
  type Log,
  type RecordedCommit,
  type StreamRef,
  shownEvent,
} from '../eventstore/index.ts';

import type { RecordedEvent } from './schemas/stream.ts';
import { traceIdOfParent } from './tracing.ts';

/** A page of an aggregate's decoded history, oldest first. */
export interface HistoryPage {
  readonly items: readonly RecordedEvent[];
  /** The position to continue after; absent on the last page. */
  readonly next?: number;
  /** The aggregate has no commit at all. */
  readonly absent: boolean;
}

/**
 * Reads and decodes up to `limit` commits after a position, through the leader. Commits are never split.
 * @throws LogUnavailable, CorruptCommit, UnknownEventType
 */
export async function readHistory(
  log: Log,
  source: EventSource,
  id: string,
  range: { after: number; limit: number },
): Promise<HistoryPage> {
  const stream = { category: source.category, id };
  const { commits, more } = await readCommits(log, stream, range);
  const last = commits.at(-1);
  return {
    items: commits.flatMap((commit) => decodeCommit(source, commit)),
    absent: range.after === 0 && !more && commits.every(({ foreign }) => foreign !== undefined),
    ...(more && last !== undefined && { next: last.position }),
  };
}

async function readCommits(log: Log, stream: StreamRef, range: { after: number; limit: number }) {
  const commits: RecordedCommit[] = [];
  let after = range.after;
  for (;;) {
    const page = await log.read(stream, { after, confirm: true });
    commits.push(...page.commits);
    after = page.commits.at(-1)?.position ?? after;
    const more = page.more && page.commits.length > 0;
    if (!more || commits.length >= range.limit) {
      return { commits: commits.slice(0, range.limit), more: more || commits.length > range.limit };
    }
  }
}

/** The events of a commit as the API shows them. @throws CorruptCommit, UnknownEventType */
export function decodeCommit(source: EventSource, commit: RecordedCommit): RecordedEvent[] {
  const codec = codecOf(source);
  const schemas = new Map(source.events.map((schema) => [schema.typeName, schema]));
  return commit.decisions.flatMap((decision) =>
    decision.events.map((stored): RecordedEvent => {
      const event: Message = codec.decode(stored);
      const schema = schemas.get(event.$typeName);
      if (schema === undefined)
        throw new Error(`The codec decoded ${event.$typeName}, which the category does not list`);
      const traceId = traceIdOfParent(decision.traceparent);
      return {
        position: commit.position,
        time: new Date(Number(decision.time)).toISOString(),
        type: schema.name,
        actor: decision.actor,
        correlationId: decision.correlationId,
        ...(traceId !== undefined && { traceId }),
        payload: shownEvent(schema, event, { alwaysEmitImplicit: true }),
      };
    }),
  );
}
