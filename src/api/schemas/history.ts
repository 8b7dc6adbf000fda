import Type from 'typebox';
import { Position, Time } from './common.ts';

const RecordedEventSchema = Type.Object(
  {
    position: Position,
    time: Time,
    type: Type.String({ examples: ['OrderPlaced'] }),
    actor: Type.String({ description: 'Who asked for it.', examples: ['anonymous'] }),
    correlationId: Type.String({ description: 'The X-Request-Id at the start of the chain.' }),
    traceId: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$' })),
    payload: Type.Record(Type.String(), Type.Unknown(), {
      description: 'The stored event as protobuf writes it in JSON; 64-bit integers are strings.',
      examples: [{ reason: 'Changed my mind', cancelledAt: '1768469400000' }],
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
