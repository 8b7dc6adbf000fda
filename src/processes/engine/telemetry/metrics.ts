import type { Meter } from '@opentelemetry/api';
import type { EngineObserver, Outcome, Work } from '../observer.ts';
import type { Timer } from '../timers/timers.ts';

/** Lets the first `limit` different values through and calls every later one `other`, so that labels stay few. */
export function boundedLabel(limit: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= limit) return 'other';
    known.add(value);
    return value;
  };
}

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

type Handle = (fired: Timer & { readonly attempt: number }) => Promise<void>;

/** Counts timers that were handled; `kinds` begin at 0. Fits around the handler that `Timers.deliver` is given. */
export function meterTimers(meter: Meter, kinds: readonly string[], handle: Handle): Handle {
  const fired = meter.createCounter('jetledger.timers.fired', {
    description: 'Timers that fired and were handled',
  });
  for (const kind of kinds) fired.add(0, { kind });
  return async (timer) => {
    await handle(timer);
    // A kind that nobody knows is refused by the handler and does not come here.
    fired.add(1, { kind: timer.kind });
  };
}
