import Type from 'typebox';
import { AmountMinor, commandFields, Money, Reason, Sku, Time, Version } from './common.ts';

const strict = { additionalProperties: false } as const;

const Quantity = Type.Integer({ minimum: 1, maximum: 1_000_000, examples: [2] });
const Item = Type.Object({ sku: Sku, quantity: Quantity }, strict);

export const PlaceOrder = Type.Object(
  {
    userId: Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', description: 'Who orders.' }),
    lines: Type.Array(Item, {
      minItems: 1,
      maxItems: 100,
      description: 'Each SKU once, all in one currency; prices are looked up by the service.',
      examples: [[{ sku: 'TEA-EARL-GREY-100', quantity: 2 }]],
    }),
  },
  strict,
);

export const CancelOrder = Type.Object({ reason: Type.Optional(Reason('Changed my mind')) }, strict);

const fields = { id: Type.String(), userId: Type.String(), status: Type.Enum(['placed', 'cancelled']) };

const Line = Type.Object(
  {
    sku: Sku,
    name: Type.String({ examples: ['Earl Grey, 100 g'] }),
    quantity: Quantity,
    unitPriceMinor: AmountMinor,
    lineTotalMinor: AmountMinor,
  },
  strict,
);

/** As the read model shows it. */
export const Order = Type.Object(
  {
    ...fields,
    lines: Type.Array(Line),
    total: Money,
    placedAt: Time,
    cancelledAt: Type.Optional(Time),
    cancelReason: Type.Optional(Type.String()),
    version: Version,
  },
  { ...strict, $id: 'Order', title: 'Order' },
);

export const OrderPage = Type.Object(
  {
    items: Type.Array(Type.Unsafe<Type.Static<typeof Order>>({ $ref: 'Order#' })),
    next: Type.Optional(Type.String()),
  },
  { ...strict, $id: 'OrderPage', title: 'Page of orders, newest first' },
);

/** As a command leaves it. */
export const OrderAnswer = Type.Object(
  {
    ...fields,
    lines: Type.Array(Item),
    total: Type.Optional(
      Type.Object(Money.properties, { ...strict, description: 'Where the order was just placed.' }),
    ),
    ...commandFields,
  },
  { ...strict, $id: 'OrderAnswer', title: 'Order after a command' },
);
export type OrderBody = Omit<Type.Static<typeof OrderAnswer>, keyof typeof commandFields>;
