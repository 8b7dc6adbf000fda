import { describe, expect, it } from 'vitest';
import type { RecordedCommit } from '../../../../src/eventstore/log.ts';
import { positionOf } from '../../../../src/eventstore/position.ts';
import type { DeliveryAttempt } from '../../../../src/processes/engine/observer.ts';
import { logEngine } from '../../../../src/processes/engine/telemetry/logs.ts';
import { meterEngine } from '../../../../src/processes/engine/telemetry/metrics.ts';
import { added, counterRef, toyCommit } from '../../../../src/testing/contracts/toy.ts';
import { testMeter } from '../../../support/meter.ts';

const commit: RecordedCommit = {
  stream: counterRef('a'),
  position: positionOf(7),
  previous: 3,
  commitId: 'commit-7',
  decisions: toyCommit('commit-7', [added(1)]).decisions.map((decision) => ({
    ...decision,
    traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  })),
};
const tried: DeliveryAttempt = { consumer: 'watch', commit, attempt: 2, redriven: false };

describe('the metrics of consumers', () => {
  it('count outcomes and time tries; what was never tried has no time', async () => {
    await using numbers = await testMeter();
    const observer = meterEngine(numbers.meter, {
      namespace: 'jetledger',
      consumers: ['watch'],
      timers: ['deadline'],
    });
    observer.outcome?.(tried, 'handled', undefined, 5);
    observer.outcome?.({ ...tried }, 'known');
    observer.fired?.({ kind: 'deadline', id: 'a', at: 0 });
    const of = { consumer: 'watch', outcome: 'handled' };
    expect(await numbers.sum('jetledger_consumer_processed_total', of)).toBe(1);
    expect(await numbers.sum('jetledger_consumer_processed_total', { outcome: 'known' })).toBe(1);
    expect(await numbers.sum('jetledger_consumer_processing_duration_seconds_count')).toBe(1);
    expect(await numbers.sum('jetledger_consumer_processed_total', { outcome: 'parked' })).toBe(0);
    expect(await numbers.sum('jetledger_timers_fired_total', { kind: 'deadline' })).toBe(1);
  });
});

describe('the lines of consumers', () => {
  it('name the commit and its trace; failures at warn and error', () => {
    const written: [string, object][] = [];
    const write = (level: string) => (fields: object) => written.push([level, fields]);
    const observer = logEngine({
      isLevelEnabled: () => true,
      debug: write('debug'),
      warn: write('warn'),
      error: write('error'),
    });
    const failure = new Error('the provider is away');
    observer.outcome?.(tried, 'handled');
    observer.outcome?.(tried, 'retried', failure);
    observer.outcome?.(tried, 'parked', failure);
    const ids = {
      position: 7,
      commit_id: 'commit-7',
      trace_id: 'a'.repeat(32),
      attempt: 2,
      category: 'counter',
    };
    expect(written).toMatchObject([
      ['debug', { ...ids, outcome: 'handled' }],
      ['warn', { ...ids, outcome: 'retried', reason: 'the provider is away' }],
      ['error', { ...ids, outcome: 'parked', err: failure }],
    ]);
  });
});
