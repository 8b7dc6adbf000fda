import type { Attributes, Meter } from '@opentelemetry/api';
import type { Commit } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { Log } from '../log.ts';
import type { StateSource, StoreObserver } from '../observer.ts';
import type { StreamRef } from '../stream.ts';
import type { CommandDone } from './command-observer.ts';

interface Branch {
  readonly next: Map<string, Branch>;
  labels: Attributes | undefined;
}

/**
 * Labels of a metric: for the same values always the same object, by which an instrument knows it without looking into
 * it. To be used where something is measured for each request; the values must be few.
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

/** Counts and times commands, by type and outcome; for `watchHandler`. */
export function meterCommands(meter: Meter): (done: CommandDone) => void {
  const commands = meter.createCounter('jetledger.commands', {
    description: 'Commands by what became of them',
  });
  const duration = meter.createHistogram('jetledger.command.duration', {
    unit: 's',
    description: 'From the call of a command to its answer',
  });
  const ofCommand = labelSets('category', 'command', 'outcome', 'code');
  const ofDuration = labelSets('category', 'outcome');
  return ({ category, command, outcome, code, ms }) => {
    commands.add(1, ofCommand(category, command, outcome, code));
    duration.record(ms / 1_000, ofDuration(category, outcome));
  };
}

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
