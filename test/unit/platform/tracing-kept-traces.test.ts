import { ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { describe, expect, it } from 'vitest';
import { createKeptTraces, type KeptTraces } from '../../../src/platform/telemetry/kept-traces.ts';

function ring(limits: { traces: number; spansPerTrace?: number }): { kept: KeptTraces; tracer: Tracer } {
  const kept = createKeptTraces(limits);
  const provider = new BasicTracerProvider({ spanProcessors: [kept.processor] });
  return { kept, tracer: provider.getTracer('test') };
}

const endRoot = (tracer: Tracer, name: string): void => tracer.startSpan(name, {}, ROOT_CONTEXT).end();

describe('the last traces', () => {
  it('are listed newest first, the oldest giving way to a new one', () => {
    const { kept, tracer } = ring({ traces: 3 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) endRoot(tracer, name);
    expect(kept.list(10).map(({ name }) => name)).toEqual(['e', 'd', 'c']);
    expect(kept.list(2).map(({ name }) => name)).toEqual(['e', 'd']);
  });

  it('stay whole under load: what comes late of one that gave way opens no trace of its own', () => {
    const { kept, tracer } = ring({ traces: 2 });
    const begin = (name: string) => {
      const root = tracer.startSpan(name, {}, ROOT_CONTEXT);
      const late = tracer.startSpan(`late ${name}`, {}, trace.setSpan(ROOT_CONTEXT, root));
      root.end();
      return late;
    };
    const late = ['a', 'b', 'c', 'd'].map(begin);
    for (const span of late) span.end();
    expect(kept.list(9).map(({ name, spans }) => [name, spans])).toEqual([
      ['d', 2],
      ['c', 2],
    ]);
    endRoot(tracer, 'e');
    expect(kept.list(9).map(({ name }) => name)).toEqual(['e', 'd']);
  });

  it('keep only so many spans each, and say how many were left out', () => {
    const { kept, tracer } = ring({ traces: 1, spansPerTrace: 2 });
    const root = tracer.startSpan('root', {}, ROOT_CONTEXT);
    const below = trace.setSpan(ROOT_CONTEXT, root);
    for (const name of ['x', 'y', 'z']) tracer.startSpan(name, {}, below).end();
    root.end();
    const { traceId } = root.spanContext();
    expect(kept.list(1)).toMatchObject([{ traceId, spans: 2, omitted: 2 }]);
    expect(kept.trace(traceId)).toHaveLength(2);
  });

  it('show everything of a span, and of a trace its root, its length and whether something failed', () => {
    const { kept, tracer } = ring({ traces: 5 });
    const start = Date.UTC(2026, 0, 15, 9, 30);
    const root = tracer.startSpan(
      'POST /v1/orders',
      { kind: SpanKind.SERVER, startTime: start },
      ROOT_CONTEXT,
    );
    const link = { context: { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), traceFlags: 1 } };
    const below = trace.setSpan(ROOT_CONTEXT, root);
    const options = { links: [link], attributes: { 'jetledger.step': 'payment' }, startTime: start + 1 };
    const step = tracer.startSpan('authorize_payment', options, below);
    step.addEvent('asked', { tries: 2 }, start + 2);
    step.setStatus({ code: SpanStatusCode.ERROR, message: 'The card was declined.' });
    step.end(start + 5);
    root.end(start + 3);
    const { traceId, spanId } = root.spanContext();
    expect(kept.list(1)).toEqual([
      {
        traceId,
        name: 'POST /v1/orders',
        start,
        durationMs: 5,
        spans: 2,
        omitted: 0,
        error: true,
        failed: { name: 'authorize_payment', reason: 'The card was declined.' },
        parts: ['api'],
        ids: [],
      },
    ]);
    expect(kept.trace(traceId)).toEqual([
      expect.objectContaining({ spanId, name: 'POST /v1/orders', kind: 'server', status: 'unset' }),
      {
        spanId: step.spanContext().spanId,
        parentSpanId: spanId,
        name: 'authorize_payment',
        kind: 'internal',
        start: start + 1,
        end: start + 5,
        attributes: { 'jetledger.step': 'payment' },
        events: [{ name: 'asked', time: start + 2, attributes: { tries: 2 } }],
        links: [{ traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) }],
        status: 'error',
        error: 'The card was declined.',
      },
    ]);
    expect(kept.trace('0'.repeat(32))).toBeUndefined();
  });
});
