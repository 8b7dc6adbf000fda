import { expect, it } from 'vitest';
import { summaryOf, type TraceSpan } from '../../../src/platform/telemetry/kept-traces.ts';

const TRACE = 'a'.repeat(32);

function span(spanId: string, given: Partial<TraceSpan>): TraceSpan {
  const plain = { name: spanId, kind: 'internal', start: 0, end: 1, status: 'unset' } as const;
  return { spanId, attributes: {}, events: [], links: [], ...plain, ...given };
}

it('a summary names the failed span that ended first, which is the deepest, and its sentence', () => {
  const spans = [
    span('consumer', { start: 1, end: 9, status: 'error', error: 'A step failed.' }),
    span('step', { parentSpanId: 'consumer', start: 2, end: 5, status: 'error', error: 'It is declined.' }),
    span('later', { parentSpanId: 'consumer', start: 6, end: 7, status: 'error' }),
  ];
  const { error, failed } = summaryOf(TRACE, spans, 0);
  expect({ error, failed }).toEqual({ error: true, failed: { name: 'step', reason: 'It is declined.' } });
  expect(summaryOf(TRACE, spans.slice(2), 0).failed).toEqual({ name: 'later' });
});

it('a summary says how the request was answered, who took part and which ids it names, each once', () => {
  const order = { 'jetledger.aggregate.id': 'order-1' };
  const spans = [
    // Its parent is the caller's and not here.
    span('POST /v1/orders', {
      parentSpanId: 'elsewhere',
      kind: 'server',
      attributes: { 'http.response.status_code': 409, 'jetledger.problem.code': 'order/not-open' },
    }),
    span('project', {
      parentSpanId: 'POST /v1/orders',
      kind: 'consumer',
      start: 2,
      attributes: { ...order, 'messaging.consumer.group.name': 'projections' },
    }),
    span('project', {
      kind: 'consumer',
      start: 3,
      attributes: { 'messaging.consumer.group.name': 'projections' },
    }),
    span('fire payment-deadline', { parentSpanId: 'project', kind: 'consumer', start: 4 }),
    span('ask', { kind: 'client', start: 5, end: 8, attributes: { 'server.address': 'payment.test' } }),
    span('step', { start: 6, attributes: { 'jetledger.order.id': 'order-1' } }),
  ];
  expect(summaryOf(TRACE, spans, 2)).toEqual({
    traceId: TRACE,
    name: 'POST /v1/orders',
    answer: '409 order/not-open',
    start: 0,
    durationMs: 8,
    spans: 6,
    omitted: 2,
    error: false,
    parts: ['api', 'projections', 'fire payment-deadline', 'payment.test'],
    ids: ['order-1'],
  });
});

it('a summary is as long as what followed at once: not as the timer or the redrive that came later', () => {
  const spans = [
    span('POST /v1/users', { kind: 'server', end: 4 }),
    span('project', { parentSpanId: 'POST /v1/users', kind: 'consumer', start: 2, end: 9 }),
    span('fire', {
      parentSpanId: 'project',
      start: 15_000,
      end: 15_003,
      attributes: { 'jetledger.timer.kind': 'x' },
    }),
    span('below', { parentSpanId: 'fire', start: 15_001, end: 15_002 }),
    span('again', {
      parentSpanId: 'project',
      start: 60_000,
      end: 60_001,
      attributes: { 'jetledger.redriven': true },
    }),
  ];
  expect(summaryOf(TRACE, spans, 0)).toMatchObject({ durationMs: 9, spans: 5 });
});
