import type { Meter } from '@opentelemetry/api';
import type { EngineObserver, Outcome, Work } from './observer.ts';

const OUTCOMES: readonly Outcome[] = ['handled', 'retried', 'parked', 'behind', 'known', 'stopped'];

/** Counts and times what consumers do with commits. `consumers`: those that run here; their counters begin at 0. */
export function meterEngine(meter: Meter, consumers: readonly string[]): EngineObserver {
  const processed = meter.createCounter('jetledger.consumer.processed', {
    description: 'Commits by what a consumer did with them; tries that failed count as retried',
  });
  const duration = meter.createHistogram('jetledger.consumer.processing.duration', {
    unit: 's',
    description: 'Of one try of a consumer at a commit',
  });
  for (const consumer of consumers) for (const outcome of OUTCOMES) processed.add(0, { consumer, outcome });
  const started = new WeakMap<Work, number>();
  return {
    around: (work, handle) => {
      started.set(work, performance.now());
      return handle();
    },
    outcome: (work, outcome) => {
      const { consumer } = work;
      processed.add(1, { consumer, outcome });
      const since = started.get(work);
      if (since === undefined) return;
      started.delete(work);
      duration.record((performance.now() - since) / 1_000, { consumer, outcome });
    },
  };
}
