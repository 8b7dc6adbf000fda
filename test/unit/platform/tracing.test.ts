import { context, propagation, type Tracer, trace } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import { afterEach, describe, expect, it } from 'vitest';
import { parseTrace, storedTraceOf, withCommitId } from '../../../src/eventstore/trace-context.ts';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import { traceFields } from '../../../src/platform/logger.ts';
import { createSpanExport } from '../../../src/platform/telemetry/tracing.ts';
import { startTracing, type TestTracing } from '../../support/telemetry.ts';

const configOf = (variables: Record<string, string>) =>
  loadConfig({ env: { JETLEDGER_ENV: 'test', ...variables }, dir: configDir({}) });
const SAMPLED = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
const UNSAMPLED = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-00`;

let started: TestTracing | undefined;
afterEach(async () => {
  await started?.stop(1_000);
  started = undefined;
});
const start = async (
  variables: Record<string, string>,
  exporter?: SpanExporter,
): Promise<TestTracing | undefined> => {
  started = await startTracing(configOf(variables), { exporter });
  return started;
};

describe('tracing', () => {
  it('registers nothing while it is off', async () => {
    expect(await start({})).toBeUndefined();
    const span = trace.getTracer('jetledger').startSpan('x');
    expect(span.isRecording()).toBe(false);
    context.with(trace.setSpan(context.active(), span), () => expect(trace.getActiveSpan()).toBeUndefined());
  });

  it('works without a collector where traces are kept in memory, and is gone after it was stopped', async () => {
    const { tracer, kept } =
      (await start({
        JETLEDGER_TRACING__DEV_TRACES: '5',
        JETLEDGER_TRACING__SAMPLE_RATIO: '1',
      })) ?? {};
    tracer?.startSpan('seen').end();
    expect(kept?.list(5)).toMatchObject([{ name: 'seen', spans: 1 }]);
    await started?.stop(1_000);
    expect(trace.getTracer('jetledger').startSpan('unseen').isRecording()).toBe(false);
    expect(await start({ JETLEDGER_TRACING__DEV_TRACES: '5' })).toBeDefined();
  });

  it('is there once in a process', async () => {
    await start({ JETLEDGER_TRACING__DEV_TRACES: '1' });
    const again = startTracing(configOf({ JETLEDGER_TRACING__DEV_TRACES: '1' }), {});
    await expect(again).rejects.toThrow('already');
  });

  it('follows the decision of whoever began the trace, and otherwise samples its share', async () => {
    const exporter = new InMemorySpanExporter();
    const { tracer } = (await start({ JETLEDGER_TRACING__SAMPLE_RATIO: '0.25' }, exporter)) ?? {};
    const recording = (traceparent: string): boolean => inTrace(tracer, traceparent).isRecording();
    expect([recording(SAMPLED), recording(UNSAMPLED)]).toEqual([true, false]);
    const roots = Array.from({ length: 4_000 }, () => tracer?.startSpan('root', { root: true }));
    const share = roots.filter((span) => span?.isRecording()).length / roots.length;
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.3);
  });

  it('carries W3C headers out', async () => {
    await start({}, new InMemorySpanExporter());
    const parsed = parseTrace({ traceparent: SAMPLED, tracestate: 'vendor=1' });
    if (parsed === undefined) throw new Error('not parsed');
    const headers: Record<string, string> = {};
    propagation.inject(trace.setSpanContext(context.active(), parsed), headers);
    expect(headers).toEqual({ traceparent: SAMPLED, tracestate: 'vendor=1' });
  });

  it('puts trace and commit into each line of the log that is written inside', async () => {
    await start({}, new InMemorySpanExporter());
    expect(traceFields()).toEqual({});
    const parsed = parseTrace({ traceparent: UNSAMPLED });
    if (parsed === undefined) throw new Error('not parsed');
    const inside = trace.setSpanContext(context.active(), parsed);
    const ids = { trace_id: 'ab'.repeat(16), span_id: 'cd'.repeat(8) };
    expect(context.with(inside, traceFields)).toEqual(ids);
    expect(context.with(withCommitId(inside, 'c1'), traceFields)).toEqual({ ...ids, commit_id: 'c1' });
  });
});

function inTrace(tracer: Tracer | undefined, traceparent: string) {
  const parsed = parseTrace({ traceparent });
  if (tracer === undefined || parsed === undefined) throw new Error('no tracer or no trace');
  return tracer.startSpan('child', {}, trace.setSpanContext(context.active(), parsed));
}

describe('a stored trace context', () => {
  it('is read as it was written, and anything else is as good as none', () => {
    for (const traceparent of [SAMPLED, UNSAMPLED]) {
      const parsed = parseTrace({ traceparent });
      expect(parsed && storedTraceOf(parsed)).toEqual({ traceparent });
    }
    const [, traceId, spanId] = SAMPLED.split('-');
    const wrong = [
      undefined,
      '',
      'x',
      `00-${'0'.repeat(32)}-${spanId}-01`,
      `00-${traceId}-${'0'.repeat(16)}-01`,
      `00-${traceId?.toUpperCase()}-${spanId}-01`,
      `${SAMPLED}-more`,
    ];
    for (const traceparent of wrong) expect(parseTrace({ traceparent })).toBeUndefined();
    // A later version may have more fields; it is gone on with as what is known of it.
    for (const later of [`01-${traceId}-${spanId}-01`, `cc-${traceId}-${spanId}-01-more`])
      expect(parseTrace({ traceparent: later })).toEqual(parseTrace({ traceparent: SAMPLED }));
    expect(parseTrace({ traceparent: `ff-${traceId}-${spanId}-01` })).toBeUndefined();
  });
});

describe('the export of spans', () => {
  /** An exporter whose answers the test gives. */
  function controlled() {
    const waiting: ((result: ExportResult) => void)[] = [];
    const exporter: SpanExporter = {
      export: (_spans, done) => void waiting.push(done),
      shutdown: async () => undefined,
    };
    return { exporter, answer: (result: ExportResult) => waiting.shift()?.(result) };
  }
  const failed = { code: ExportResultCode.FAILED, error: new Error('no collector') };

  it('drops and counts what its queue cannot hold and what the collector does not take, and tells once', async () => {
    const { exporter, answer } = controlled();
    const told: string[] = [];
    const spanExport = createSpanExport({
      exporter,
      timeoutMs: 1_000,
      maxWaiting: 3,
      onCollector: (state) => void told.push(state),
    });
    const tracer = new BasicTracerProvider({ spanProcessors: [spanExport.processor] }).getTracer('test');
    const end = (count: number): void => {
      for (let i = 0; i < count; i++) tracer.startSpan('x').end();
    };
    end(5);
    expect(spanExport.dropped()).toBe(2);
    const flushed = spanExport.processor.forceFlush();
    answer(failed);
    await flushed.catch(() => undefined);
    expect([spanExport.dropped(), told]).toEqual([5, ['away']]);
    end(3);
    const again = spanExport.processor.forceFlush();
    answer({ code: ExportResultCode.SUCCESS });
    await again;
    expect([spanExport.dropped(), told]).toEqual([5, ['away', 'back']]);
  });
});
