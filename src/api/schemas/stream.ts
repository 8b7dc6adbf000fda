import Type from 'typebox';
import { PLACE_PATTERN } from '../position-token.ts';
import { PlainHeaders } from './requests.ts';

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
