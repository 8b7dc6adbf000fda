import type { Message } from '@bufbuild/protobuf';
import { codecOf, type EventCodec } from '../../eventstore/event-codec.ts';
import type { RecordedCommit } from '../../eventstore/log.ts';
import type { LogFilter, SlotGroup } from '../../eventstore/stream.ts';
import type { ConsumedEvent, Consumer, Delivery, Source } from './consumer.ts';

/** A commit of the consumer's categories as its handler is given it. @throws UnknownEventType, CorruptCommit */
export type Decode = (
  commit: RecordedCommit,
  how: { attempt: number; redriven: boolean },
) => Delivery<Message>;

/** Whether the category of a commit is one of the consumer's. */
export function concerns(consumer: Consumer, commit: RecordedCommit): boolean {
  return consumer.sources.some(({ category }) => category === commit.stream.category);
}

/** What of the log a consumer's group reads: one wildcard; with several categories the others are skipped here. */
export function filterOf(consumer: Pick<Consumer, 'sources'>, group: SlotGroup): LogFilter {
  const [only, ...others] = consumer.sources;
  return only !== undefined && others.length === 0 ? { category: only.category, group } : { group };
}

/** Decodes with the codecs of a consumer's sources. */
export function createDecode(sources: readonly Source[]): Decode {
  const codecs = new Map<string, EventCodec<Message>>(sources.map((s) => [s.category, codecOf(s)]));
  return (commit, { attempt, redriven }) => {
    const { stream, position, commitId } = commit;
    const codec = codecs.get(stream.category);
    if (codec === undefined) throw new RangeError(`no source of the category ${stream.category}`);
    const events: ConsumedEvent<Message>[] = [];
    for (const decision of commit.decisions) {
      const { commandId, correlationId, actor, traceparent, tracestate } = decision;
      const beside = { commandId, correlationId, actor, traceparent, tracestate };
      for (const stored of decision.events) {
        events.push({ event: codec.decode(stored), ...beside, time: Number(decision.time) });
      }
    }
    return { stream, position, commitId, events, attempt, redriven };
  };
}

/** When a commit was decided, in milliseconds since the Unix epoch; 0 when it cannot be read. */
export function timeOf(commit: RecordedCommit): number {
  try {
    return Number(commit.decisions[0]?.time ?? 0);
  } catch {
    return 0;
  }
}
