import Type, { type Static, type TSchema } from 'typebox';
import { Count } from '../schemas/admin.ts';
import { ORDER_ID } from '../schemas/examples.ts';

const strict = { additionalProperties: false } as const;
const Text = Type.String();
const optional = <T extends TSchema>(type: T) => Type.Optional(type);
const Moment = Type.Number({ description: 'Milliseconds since the Unix epoch, with fractions.' });
export const TraceId = Type.String({
  pattern: '^[0-9a-f]{32}$',
  examples: ['4bf92f3577b34da6a3ce929d0e0e4736'],
});

const Summary = Type.Object(
  {
    traceId: TraceId,
    name: Type.String({ description: 'Of the span that began it.' }),
    answer: optional(
      Type.String({ description: 'How its request was answered: `201`, or `404 order/not-found`.' }),
    ),
    start: Moment,
    durationMs: Type.Number({
      description: 'From the first begin to the last end; without what a timer or an operator began later.',
    }),
    spans: Count,
    omitted: Type.Integer({
      minimum: 0,
      description: 'Spans that were left out: a trace keeps 500.',
    }),
    error: Type.Boolean({ description: 'Whether one of its spans has failed.' }),
    failed: optional(
      Type.Object({ name: Text, reason: optional(Text) }, { ...strict, description: 'Where it went wrong.' }),
    ),
    parts: Type.Array(Text, { description: 'Who took part: `api`, consumers, servers that were called.' }),
    ids: Type.Array(Text, { description: 'Aggregates that its spans name, some twenty at most.' }),
  },
  strict,
);

const Values = Type.Record(Text, Type.Unknown());
const Span = Type.Object(
  {
    spanId: Text,
    parentSpanId: optional(
      Type.String({ description: 'It may be another system’s, and is then not among the spans.' }),
    ),
    name: Text,
    kind: Type.Enum(['internal', 'server', 'client', 'producer', 'consumer']),
    start: Moment,
    end: Moment,
    attributes: Values,
    events: Type.Array(Type.Object({ name: Text, time: Moment, attributes: Values }, strict)),
    links: Type.Array(Type.Object({ traceId: Text, spanId: Text }, strict)),
    status: Type.Enum(['unset', 'ok', 'error']),
    error: optional(Type.String({ description: 'Why it failed, in a sentence.' })),
  },
  strict,
);

const trace = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736' };
const [start, end] = [1_768_469_400_000.25, 1_768_469_400_012.5];

export const Traces = Type.Object(
  { items: Type.Array(Summary) },
  {
    ...strict,
    $id: 'Traces',
    title: 'The last traces, newest first',
    examples: [
      {
        items: [
          {
            ...{ ...trace, name: 'POST /v1/orders', answer: '201', start, durationMs: end - start },
            ...{ spans: 1, omitted: 0, error: false, parts: ['api'], ids: [ORDER_ID] },
          },
        ],
      },
    ],
  },
);

export const TraceSpans = Type.Object(
  { ...{ traceId: TraceId }, spans: Type.Array(Span, { description: 'By their begin.' }) },
  {
    ...strict,
    $id: 'TraceSpans',
    title: 'A trace with its spans',
    examples: [
      {
        ...trace,
        spans: [
          {
            ...{ spanId: '00f067aa0ba902b7', name: 'POST /v1/orders', kind: 'server', start, end },
            ...{ attributes: { 'http.response.status_code': 201 }, events: [], links: [], status: 'unset' },
          },
        ],
      },
    ],
  },
);
export type TraceSummary = Static<typeof Summary>;
export type TraceSpan = Static<typeof Span>;
