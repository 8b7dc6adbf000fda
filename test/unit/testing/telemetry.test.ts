import { AssertionError } from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { combineObservers } from '../../../src/eventstore/observer.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { meterStore } from '../../../src/eventstore/telemetry/metrics.ts';
import { traceStore } from '../../../src/eventstore/telemetry/traces.ts';
import { counter } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { recordMetrics, recordSpans } from '../../../src/testing/telemetry.ts';

describe('recorded telemetry', () => {
  it('holds the spans and metrics of what was done, and says what is not there', async () => {
    await using spans = recordSpans();
    await using metrics = recordMetrics();
    const observer = combineObservers(
      traceStore({ tracer: spans.tracer, prefix: 'jl' }),
      meterStore(metrics.meter, { namespace: 'test', categories: ['counter'] }),
    );
    const handler = createHandler({ log: createMemoryLog(), runtime: systemRuntime, observer });
    for (const commandId of ['c1', 'c2'])
      await handler.execute(counter, 'a', { kind: 'add', by: 1 }, { commandId, actor: 'test' });

    const [first] = spans.spans();
    const name = first?.name ?? '';
    const attributes = { 'messaging.system': 'nats' };
    expect(spans.thenSpan(name, attributes).attributes).toMatchObject(attributes);
    expect(() => spans.thenSpan(name, { 'messaging.system': 'other' })).toThrow(AssertionError);
    expect(() => spans.thenSpan('nosuch')).toThrow(`no span is called nosuch; there are: ${name}`);

    const labels = { category: 'counter', outcome: 'accepted' };
    expect(await metrics.sum('test.commands', labels)).toBe(2);
    expect(await metrics.sum('test.commands', { ...labels, outcome: 'rejected' })).toBe(0);
  });
});
