import type { Meter } from '@opentelemetry/api';
import type { Commit } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import { labelSets } from '../label-sets.ts';
import type { Log } from '../log.ts';
import type { StreamRef } from '../stream.ts';

/** A log whose appends are timed, and whose stored events are counted by type. */
export function meterLog(log: Log, meter: Meter): Log {
  const events = meter.createCounter('jetledger.events.appended', {
    description: 'Events stored in the log',
  });
  const duration = meter.createHistogram('jetledger.append.duration', {
    unit: 's',
    description: 'From sending a commit to knowing what became of it, repetitions included',
  });
  const ofEvent = labelSets('category', 'type');
  const ofDuration = labelSets('outcome');
  const count = ({ category }: StreamRef, { decisions }: Commit): void => {
    for (const decision of decisions)
      for (const { type } of decision.events) events.add(1, ofEvent(category, type));
  };
  const timed = async <R extends { readonly appended: boolean }>(append: () => Promise<R>): Promise<R> => {
    const started = performance.now();
    let outcome = 'fault';
    try {
      const result = await append();
      outcome = result.appended ? 'stored' : 'conflict';
      return result;
    } finally {
      duration.record((performance.now() - started) / 1_000, ofDuration(outcome));
    }
  };
  return {
    ...log,
    append: async (stream, expected, commit) => {
      const result = await timed(() => log.append(stream, expected, commit));
      if (result.appended) count(stream, commit);
      return result;
    },
    appendAll: async (entries) => {
      const result = await timed(() => log.appendAll(entries));
      if (result.appended) for (const { stream, commit } of entries) count(stream, commit);
      return result;
    },
  };
}
