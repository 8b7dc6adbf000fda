import type { DescMessage } from '@bufbuild/protobuf';
import Type, { type TSchema } from 'typebox';
import type { EventSource } from '../../eventstore/index.ts';
import { PLACE_PATTERN } from '../position-token.ts';
import { Position, Time } from '../schemas/common.ts';
import { placedPayload } from '../schemas/examples.ts';
import { HistoryQuery } from '../schemas/queries.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { formOf } from './form.ts';

const strict = { additionalProperties: false } as const;

const facts = {
  position: Position,
  time: Time,
  actor: Type.String({ description: 'Who asked for it.', examples: ['anonymous'] }),
  correlationId: Type.String({
    description: 'The X-Request-Id at the start of the chain.',
    examples: ['6f1c2f1e-4d0e-4c0b-8f0e-6a3c2f7e41d9'],
  }),
  traceId: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$' })),
};

const RecordedEventSchema = Type.Object(
  {
    ...facts,
    type: Type.String({ examples: ['OrderPlaced'] }),
    payload: Type.Record(Type.String(), Type.Unknown(), {
      description: 'The stored event as protobuf writes it in JSON; 64-bit integers are strings.',
      examples: [placedPayload],
    }),
  },
  strict,
);

/** An event of an aggregate, as clients have known it first. */
export type RecordedEvent = Type.Static<typeof RecordedEventSchema>;

const next = Type.Optional(
  Type.Integer({ minimum: 1, description: 'Send it as `after` for the next page; absent on the last one.' }),
);

/** As it was before events had types of their own. */
export const History = Type.Object(
  { items: Type.Array(RecordedEventSchema), next },
  { ...strict, $id: 'History', title: 'History', deprecated: true },
);

/** An event of an aggregate as an object of the API; the document says what `data` each type has. */
export type TypedEvent = Omit<RecordedEvent, 'payload'> & {
  readonly category: string;
  readonly aggregateId: string;
  readonly data: Readonly<Record<string, unknown>>;
};

/** What a category's events are called in the document: `Order` for `order`. */
export const titleOf = ({ category }: EventSource): string =>
  category.charAt(0).toUpperCase() + category.slice(1);

/** Examples for the events of a category: the id of the aggregate, and values of fields by their names in the API. */
export interface EventExamples {
  readonly id: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The components of a category's events: a schema for each type, any of them by `type`, and a page. @param status after it, in streams */
export function eventComponents(source: EventSource, examples: EventExamples, status?: TSchema): TSchema[] {
  const title = titleOf(source);
  const reference = (name: string) => ({ $ref: `${name}#` });
  const events = source.events.map(({ name }) => name);
  const any = {
    $id: `${title}Event`,
    title: `Event of a ${source.category}`,
    oneOf: events.map(reference),
    discriminator: { propertyName: 'type' },
  };
  const page = Type.Object(
    { items: Type.Array(Type.Unsafe(reference(any.$id))), next },
    { ...strict, $id: `${title}EventPage`, title: 'Page of events, oldest first' },
  );
  return [...source.events.map((event) => typedEvent(source, event, examples, status)), any as TSchema, page];
}

function typedEvent(
  { category }: EventSource,
  event: DescMessage,
  { id, fields }: EventExamples,
  status: TSchema | undefined,
): TSchema {
  return Type.Object(
    {
      category: Type.Literal(category),
      aggregateId: Type.String({ examples: [id] }),
      ...facts,
      type: Type.Literal(event.name),
      data: formOf(event, fields).schema,
      ...(status && { status: Type.Optional(status) }),
    },
    { ...strict, $id: event.name, title: event.name },
  );
}

/** A list of events in the form that has types. */
export const EVENTS_V2 = 'application/vnd.jetledger.events.v2+json';

const form = {
  events: Type.Optional(
    Type.Enum(['v1', 'v2'], {
      description: `In which form: \`v2\` has a schema for each type, \`v1\`, the default for now, is as protobuf writes it. Accept says it too: \`${EVENTS_V2}\`, or \`text/event-stream; events=v2\`.`,
    }),
  ),
};

/** Query of a list of events that comes in two forms. */
export const EventsQuery = Type.Object({ ...HistoryQuery.properties, ...form }, strict);

const place = (description: string) =>
  Type.Optional(Type.String({ pattern: PLACE_PATTERN, description, examples: ['42@Zk3x9QaB'] }));

const resuming = {
  lastEventId: place('As the header Last-Event-ID, which wins, for clients that cannot set headers.'),
};

/** Headers of a stream. */
export const StreamHeaders = Type.Object({
  'Last-Event-ID': place(
    'The `id` of the last event that was seen; what follows it is sent, without gap or repetition.',
  ),
  ...PlainHeaders.properties,
});

/** Query of the stream of one aggregate. */
export const StreamQuery = Type.Object(resuming, strict);

/** The same where its events come in two forms. */
export const FormStreamQuery = Type.Object({ ...resuming, ...form }, strict);

/** Query of the stream of a user's orders. */
export const UserStreamQuery = Type.Object(
  {
    user: Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', description: 'Whose orders.' }),
    ...resuming,
    ...form,
  },
  strict,
);

/** A stream, as OpenAPI can describe one. @param data what a line of it holds */
export const streamed = (data: string) =>
  eventStream(
    `Server-sent events until either side ends. Each one has as \`event\` its type, as \`id\` an opaque place, the same in every form, and as \`data\` one line of JSON: ${data}. \`event: end\` says why the service ends it. Lines that begin with a colon keep the connection alive.`,
  );

/** The answer of any stream. */
export const eventStream = (description: string) => ({
  200: { description, content: { 'text/event-stream': { schema: { type: 'string' } } } },
});
