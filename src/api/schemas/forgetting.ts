import Type from 'typebox';
import { commandFields, OrderId, Reason, Time, UserId } from './common.ts';

const strict = { additionalProperties: false } as const;

export const ForgetUser = Type.Object(
  { reason: Type.Optional(Reason('Asked for it by letter')) },
  { ...strict, $id: 'ForgetUser' },
);

/** How far the forgetting of a person is. */
export const Forgetting = Type.Object(
  {
    userId: UserId,
    status: Type.Enum(['requested', 'erasing', 'done']),
    requestedAt: Type.Optional(Time),
    dueAt: Type.Optional(Time),
    openOrders: Type.Optional(
      Type.Array(OrderId, { description: 'Orders that have to end first; the first 20 of them.' }),
    ),
    forgottenAt: Type.Optional(Time),
    erasedAt: Type.Optional(Time),
    ...commandFields,
  },
  { ...strict, $id: 'Forgetting', title: 'How far the forgetting of a person is' },
);
export type ForgettingBody = Omit<Type.Static<typeof Forgetting>, keyof typeof commandFields>;
