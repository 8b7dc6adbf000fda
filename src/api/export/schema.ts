import Type, { type TSchema } from 'typebox';
import { Position, Time } from '../schemas/common.ts';
import { ada, EXAMPLE_TIME, USER_ID } from '../schemas/examples.ts';
import { Delivery } from '../schemas/webhook.ts';

const strict = { additionalProperties: false } as const;
const Text = Type.String();
const listOf = (item: TSchema, description: string) => Type.Array(item, { description });
const reference = (name: string): TSchema => Type.Unsafe({ $ref: `${name}#` });

const Claim = Type.Object(
  {
    digest: Type.String({
      description: 'Of the address, under a key of the service: it stands for it in the log.',
    }),
    events: Type.Array(
      Type.Object(
        {
          ...{ position: Position, time: Time, type: Text },
          ...{ actor: Text, correlationId: Text, traceId: Type.Optional(Text) },
          data: Type.Record(Type.String(), Type.Unknown()),
        },
        strict,
      ),
    ),
  },
  strict,
);

const Order = Type.Object({ order: reference('Order'), events: Type.Array(reference('OrderEvent')) }, strict);

const Notification = Type.Object(
  { id: Text, kind: Text, orderId: Type.Optional(Text), text: Text, time: Time },
  strict,
);

const parts = {
  userId: Type.String({ examples: [USER_ID] }),
  exportedAt: Time,
  user: { ...reference('UserAnswer'), description: 'As it is now.' } as TSchema,
  events: listOf(reference('UserEvent'), 'What happened to the user, oldest first.'),
  addresses: listOf(Claim, 'E-mail addresses that the user has or had, by what the service keeps of them.'),
  orders: listOf(
    Order,
    'Each as it is now, with its delivery address and what happened to it; newest first.',
  ),
  notifications: listOf(Notification, 'What the user was told, as long as it is kept.'),
  deadLetters: listOf(
    reference('Parked'),
    'Events of the user and of its orders that could not be handled, or were given up.',
  ),
  operatorRequests: listOf(
    reference('AdminRequest'),
    'What operators asked for that names the user or its orders.',
  ),
  deliveries: listOf(
    Delivery,
    'What was sent to webhooks of the user and of its orders, and to who tells it; it names nobody.',
  ),
  nameDigests: listOf(
    Text,
    'Of how the name begins, under a key of the service: what lists find the user by.',
  ),
  complete: Type.Literal(true, { description: 'Comes last: without it, the export was cut off.' }),
};

/** Everything that is held about a user. */
export const UserExport = Type.Object(parts, {
  ...strict,
  $id: 'UserExport',
  title: 'Everything that is held about a user',
});

/** The names of the lists, in their order. */
export type ExportedList = {
  [Name in keyof typeof parts]: (typeof parts)[Name] extends Type.TArray ? Name : never;
}[keyof typeof parts];

const { name, email } = ada;
const facts = { position: 42, time: EXAMPLE_TIME, actor: 'anonymous', correlationId: 'r1' };
const emailAttempt = 'kNcX0bT4p1zQv8m2sYw7Lg-0';
const created = { userId: USER_ID, email, createdAt: EXAMPLE_TIME, name, emailAttempt };
const claimed = { userId: USER_ID, attempt: emailAttempt, claimedAt: EXAMPLE_TIME };
const digest = 'v3oJx1YcKq0b2mZt9wLr5sQeHn7uDfGa8iPkXyTzB4E';

/** Of a user who has just registered. */
export const exported = {
  userId: USER_ID,
  exportedAt: EXAMPLE_TIME,
  user: ada,
  events: [{ category: 'user', aggregateId: USER_ID, ...facts, type: 'UserCreated', data: created }],
  addresses: [
    {
      digest,
      events: [{ ...facts, type: 'EmailClaimed', data: claimed }],
    },
  ],
  ...{ orders: [], notifications: [], deadLetters: [], operatorRequests: [], deliveries: [] },
  nameDigests: ['x0Vq2mYc8sLr', 'b7TzKe1uWn4P'],
  complete: true,
};
