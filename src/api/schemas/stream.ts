import Type from 'typebox';
import { PLACE_PATTERN } from '../position-token.ts';
import { Position, Time } from './common.ts';
import { placedPayload } from './examples.ts';
import { PlainHeaders } from './requests.ts';

const RecordedEventSchema = Type.Object(
  {
    position: Position,
    time: Time,
    type: Type.String({ examples: ['OrderPlaced'] }),
    actor: Type.String({ description: 'Who asked for it.', examples: ['anonymous'] }),
    correlationId: Type.String({
      description: 'The X-Request-Id at the start of the chain.',
      examples: ['6f1c2f1e-4d0e-4c0b-8f0e-6a3c2f7e41d9'],
    }),
    traceId: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$' })),
    payload: Type.Record(Type.String(), Type.Unknown(), {
      description: 'The stored event as protobuf writes it in JSON; 64-bit integers are strings.',
      examples: [placedPayload],
    }),
  },
  { additionalProperties: false },
);

/** An event of an aggregate, decoded. */
export type RecordedEvent = Type.Static<typeof RecordedEventSchema>;

export const History = Type.Object(
  {
    items: Type.Array(RecordedEventSchema),
    next: Type.Optional(Type.Integer({ minimum: 1, description: 'Send it as `after` for the next page.' })),
  },
  { $id: 'History', additionalProperties: false, title: 'History' },
);

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

/** Query of the stream of one order. */
export const OrderStreamQuery = Type.Object(resuming, { additionalProperties: false });

/** Query of the stream of a user's orders. */
export const UserStreamQuery = Type.Object(
  {
    user: Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', description: 'Whose orders.' }),
    ...resuming,
  },
  { additionalProperties: false },
);

/** A stream, as OpenAPI can describe one. */
export const streamed = {
  200: {
    description:
      "Server-sent events until either side ends. Each event of an order has as `event` its type, as `id` an opaque place, and as `data` one line of JSON: what `/v1/orders/{id}/events` shows of it, with `orderId` and the order's `status` after it. `event: start` names the position at which a stream without a place begins; `event: end` says why the service ends it. Lines that begin with a colon keep the connection alive.",
    content: { 'text/event-stream': { schema: { type: 'string' } } },
  },
};
