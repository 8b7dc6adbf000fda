import type { Attributes, Meter } from '@opentelemetry/api';
import type { AppendEntry } from '../log.ts';
import type { StateSource, StoreObserver } from '../observer.ts';
import type { RemakeObserver } from '../snapshots/remake.ts';

interface Branch {
  readonly next: Map<string, Branch>;
  labels: Attributes | undefined;
}

/**
 * Labels of a metric: for the same values always the same object, by which an instrument knows it without looking into
 * it. To be used where something is measured for each request; the values must be few.
 * @internal
 */
export function labelSets(...names: readonly string[]): (...values: readonly string[]) => Attributes {
  const root: Branch = { next: new Map(), labels: undefined };
  return (...values) => {
    let branch = root;
    for (const value of values) {
      let next = branch.next.get(value);
      if (next === undefined) {
        next = { next: new Map(), labels: undefined };
        branch.next.set(value, next);
      }
      branch = next;
    }
    branch.labels ??= Object.fromEntries(names.map((name, i) => [name, values[i]]));
    return branch.labels;
  };
}

const SOURCES: readonly StateSource[] = ['cache', 'snapshot', 'log', 'new'];

/**
 * Counts and times what the event store does. What has not happened yet shows as 0, so that rates begin right.
 * @param namespace first word of each metric's name
 */
export function meterStore(
  meter: Meter,
  { namespace, categories }: { readonly namespace: string; readonly categories: readonly string[] },
): StoreObserver {
  return {
    ...meterCommands(meter, namespace, categories),
    ...meterAppends(meter, namespace),
    ...meterStates(meter, namespace),
  };
}

function meterCommands(meter: Meter, namespace: string, categories: readonly string[]) {
  const commands = meter.createCounter(`${namespace}.commands`, {
    description: 'Commands by what became of them',
  });
  const duration = meter.createHistogram(`${namespace}.command.duration`, {
    unit: 's',
    description: 'From the call of a command to its answer',
  });
  const retries = meter.createCounter(`${namespace}.command.retries`, {
    description: 'Decisions made again after a conflict with another process',
  });
  const ofCommand = labelSets('category', 'command', 'outcome', 'code');
  const ofDuration = labelSets('category', 'outcome');
  for (const category of categories) retries.add(0, { category });
  return {
    done: ({ category, command, outcome, code, ms }) => {
      commands.add(1, ofCommand(category, command, outcome, code));
      duration.record(ms / 1_000, ofDuration(category, outcome));
    },
    retried: (category) => retries.add(1, { category }),
  } satisfies StoreObserver;
}

/** Of what the semantic conventions know of messages. */
const MESSAGING_LABELS = [
  'messaging.system',
  'messaging.operation.name',
  'messaging.operation.type',
] as const;

function meterAppends(meter: Meter, namespace: string) {
  const events = meter.createCounter(`${namespace}.events.appended`, {
    description: 'Events stored in the log',
  });
  const duration = meter.createHistogram(`${namespace}.append.duration`, {
    unit: 's',
    description: 'From sending a commit to knowing what became of it, repetitions included',
  });
  const repeats = meter.createCounter(`${namespace}.append.repeats`, {
    description: 'Commits sent again because no answer came',
  });
  const operation = meter.createHistogram('messaging.client.operation.duration', {
    unit: 's',
    description: 'The same, by the semantic conventions',
  });
  const ofEvent = labelSets('category', 'type');
  const ofDuration = labelSets('outcome');
  const ofOperation = labelSets(...MESSAGING_LABELS, 'error.type');
  const count = ({ stream, commit }: AppendEntry): void => {
    for (const decision of commit.decisions)
      for (const { type } of decision.events) events.add(1, ofEvent(stream.category, type));
  };
  repeats.add(0);
  return {
    appended: (outcome, entries, ms) => {
      duration.record(ms / 1_000, ofDuration(outcome));
      operation.record(
        ms / 1_000,
        ofOperation('nats', 'append', 'send', outcome === 'stored' ? '' : outcome),
      );
      if (outcome === 'stored') for (const entry of entries) count(entry);
    },
    repeated: () => repeats.add(1),
  } satisfies StoreObserver;
}

function meterStates(meter: Meter, namespace: string) {
  const loads = meter.createCounter(`${namespace}.state.loads`, {
    description: 'States of aggregates by where they came from',
  });
  const age = meter.createHistogram(`${namespace}.snapshot.age.commits`, {
    description: 'Commits that the log had beyond a loaded snapshot',
  });
  const cached = meter.createObservableGauge(`${namespace}.cached.aggregates`, {
    description: 'Aggregates whose state is in memory',
  });
  const cachedBytes = meter.createObservableGauge(`${namespace}.cached.bytes`, {
    unit: 'By',
    description: 'Memory that these states take, as reckoned',
  });
  const from = labelSets('source');
  for (const source of SOURCES) loads.add(0, from(source));
  let [entries, bytes] = [0, 0];
  cached.addCallback((result) => result.observe(entries));
  cachedBytes.addCallback((result) => result.observe(bytes));
  return {
    loaded: (source) => loads.add(1, from(source)),
    snapshotAge: (commits) => age.record(commits),
    cached: (count, weight) => {
      [entries, bytes] = [count, weight];
    },
  } satisfies StoreObserver;
}

/** Counts the snapshots that are made anew after a release. @param namespace first word of the metric's name */
export function meterRemake(meter: Meter, namespace: string): RemakeObserver {
  const remade = meter.createCounter(`${namespace}.snapshots.remade`, {
    description: 'Snapshots that this process has made anew in the background',
  });
  remade.add(0);
  return { remade: (count) => remade.add(count) };
}
