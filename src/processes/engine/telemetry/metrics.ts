import type { Meter } from '@opentelemetry/api';
import { labelSets } from '../../../eventstore/index.ts';
import type { EngineObserver, Outcome } from '../observer.ts';

/**
 * Lets the first `limit` different values through and calls every later one `other`, so that labels stay few.
 * @internal
 */
export function boundedLabel(limit: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= limit) return 'other';
    known.add(value);
    return value;
  };
}

/** Of what the semantic conventions know of messages. */
const MESSAGING_LABELS = [
  'messaging.system',
  'messaging.operation.name',
  'messaging.operation.type',
  'messaging.consumer.group.name',
  'error.type',
] as const;
const OUTCOMES: readonly Outcome[] = ['handled', 'retried', 'parked', 'behind', 'known', 'stopped'];

/**
 * Counts and times what consumers do with commits, and counts timers. What runs here begins at 0.
 * @param namespace first word of each metric's name
 * @param timers kinds of timers
 */
export function meterEngine(
  meter: Meter,
  of: {
    readonly namespace: string;
    readonly consumers: readonly string[];
    readonly timers: readonly string[];
  },
): EngineObserver {
  const processed = meter.createCounter(`${of.namespace}.consumer.processed`, {
    description: 'Commits by what a consumer did with them; tries that failed count as retried',
  });
  const duration = meter.createHistogram(`${of.namespace}.consumer.processing.duration`, {
    unit: 's',
    description: 'Of one try of a consumer at a commit',
  });
  const process = meter.createHistogram('messaging.process.duration', {
    unit: 's',
    description: 'The same, by the semantic conventions',
  });
  const fired = meter.createCounter(`${of.namespace}.timers.fired`, {
    description: 'Timers that fired and were handled',
  });
  const ofCommit = labelSets('consumer', 'outcome');
  const ofProcess = labelSets(...MESSAGING_LABELS);
  for (const consumer of of.consumers)
    for (const outcome of OUTCOMES) processed.add(0, ofCommit(consumer, outcome));
  for (const kind of of.timers) fired.add(0, { kind });
  return {
    outcome: ({ consumer }, outcome, _error, ms) => {
      const labels = ofCommit(consumer, outcome);
      processed.add(1, labels);
      if (ms === undefined) return;
      duration.record(ms / 1_000, labels);
      const error = outcome === 'handled' ? '' : outcome;
      process.record(ms / 1_000, ofProcess('nats', 'process', 'process', consumer, error));
    },
    fired: ({ kind }) => fired.add(1, { kind }),
  };
}
