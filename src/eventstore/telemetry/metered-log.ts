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
  const took = (started: number, outcome: 'stored' | 'conflict' | 'fault'): void =>
    duration.record((performance.now() - started) / 1_000, ofDuration(outcome));
  const timed = async <R extends { readonly appended: boolean }>(
    started: number,
    append: Promise<R>,
    stored: () => void,
  ): Promise<R> => {
    try {
      const result = await append;
      took(started, result.appended ? 'stored' : 'conflict');
      if (result.appended) stored();
      return result;
    } catch (error) {
      took(started, 'fault');
      throw error;
    }
  };
  return {
    ...log,
    append: (stream, expected, commit) =>
      timed(performance.now(), log.append(stream, expected, commit), () => count(stream, commit)),
    appendAll: (entries) =>
      timed(performance.now(), log.appendAll(entries), () => {
        for (const { stream, commit } of entries) count(stream, commit);
      }),
  };
}
