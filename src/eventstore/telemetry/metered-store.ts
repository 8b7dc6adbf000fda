import type { Meter } from '@opentelemetry/api';
import { labelSets } from '../label-sets.ts';
import type { StateSource, StoreObserver } from '../observer.ts';

const SOURCES: readonly StateSource[] = ['cache', 'snapshot', 'log', 'new'];

/** The metrics of what happens inside the event store. What has not happened yet shows as 0, so that rates begin right. */
export function meterStore(meter: Meter, categories: readonly string[]): StoreObserver {
  const retries = meter.createCounter('jetledger.command.retries', {
    description: 'Decisions made again after a conflict with another process',
  });
  const loads = meter.createCounter('jetledger.state.loads', {
    description: 'States of aggregates by where they came from',
  });
  const repeats = meter.createCounter('jetledger.append.repeats', {
    description: 'Commits sent again because no answer came',
  });
  const age = meter.createHistogram('jetledger.snapshot.age.commits', {
    description: 'Commits that the log had beyond a loaded snapshot',
  });
  const cached = meter.createObservableGauge('jetledger.cached.aggregates', {
    description: 'Aggregates whose state is in memory',
  });
  const from = labelSets('source');
  for (const category of categories) retries.add(0, { category });
  for (const source of SOURCES) loads.add(0, from(source));
  repeats.add(0);
  let entries = 0;
  cached.addCallback((result) => result.observe(entries));
  return {
    retried: (category) => retries.add(1, { category }),
    loaded: (source) => loads.add(1, from(source)),
    snapshotAge: (commits) => age.record(commits),
    cached: (count) => {
      entries = count;
    },
    repeated: () => repeats.add(1),
  };
}
