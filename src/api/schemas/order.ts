import Type from 'typebox';
import { AmountMinor, commandFields, Id, Money, Next, Reason, Sku, Time, Version } from './common.ts';

const strict = { additionalProperties: false } as const;

const Quantity = Type.Integer({ minimum: 1, maximum: 1_000_000, examples: [2] });
const Item = Type.Object({ sku: Sku, quantity: Quantity }, strict);

export const PlaceOrder = Type.Object(
  {
    userId: Type.String({
      pattern: '^[A-Za-z0-9_-]{1,128}$',
      description: 'Who orders.',
      examples: ['0198c5a4-6c1e-7c7f-9d8e-0d9f2b1c3a4e'],
    }),
    lines: Type.Array(Item, {
      minItems: 1,
      maxItems: 100,
      description: 'Each SKU once, all in one currency; prices are looked up by the service.',
      examples: [[{ sku: 'TEA-EARL-GREY-100', quantity: 2 }]],
    }),
    payment: Type.Optional(
      Type.Object(
        {
          token: Type.String({
            pattern: '^[!-~]{1,200}$',
            description: "The payment provider's name for the customer's way to pay.",
            examples: ['tok_success'],
          }),
        },
        { ...strict, description: 'May be left out only where the provider is a simulated one.' },
      ),
    ),
  },
  strict,
);

export const CancelOrder = Type.Object({ reason: Type.Optional(Reason('Changed my mind')) }, strict);

export const ShipOrder = Type.Object(
  {
    tracking: Type.Optional(
      Type.String({
        pattern: '^[ -~]{0,100}$',
        description: "The parcel's tracking number.",
        examples: ['00340434161094042557'],
      }),
    ),
  },
  strict,
);

const fields = {
  id: Id,
  userId: Id,
  status: Type.Enum(['placed', 'confirmed', 'rejected', 'cancelled', 'shipped', 'delivered']),
  step: Type.Optional(
    Type.String({
      description:
        'What a placed order waits for, or where a rejected one failed: `customer_validation`, `inventory` or `payment`.',
      examples: ['payment'],
    }),
  ),
  waitsFor: Type.Optional(
    Type.Literal('operator', {
      description:
        'Of a placed order whose next step could not be handled: it stands still until an operator redrives or discards its dead letter. Shown of a single order, not in lists.',
    }),
  ),
};

const WhyNot = Type.Object(
  {
    code: Type.String({ examples: ['inventory/insufficient-stock'] }),
    text: Type.String({ examples: ['There is not enough stock of TEA-EARL-GREY-100.'] }),
  },
  { ...strict, description: 'Why it was rejected or cancelled; the code is for programs.' },
);

const Payment = Type.Object(
  {
    status: Type.Enum(['open', 'authorised', 'captured', 'cancelled', 'refunded']),
    id: Type.Optional(Type.String({ description: "The payment provider's.", examples: ['pay_01'] })),
    dueAt: Type.Optional(Time),
  },
  strict,
);

const Moment = Type.Object(
  {
    type: Type.String({ description: 'What happened.', examples: ['OrderPlaced'] }),
    at: Time,
    traceId: Type.Optional(
      Type.String({
        description: 'Trace of what made it happen, where that was traced.',
        examples: ['0af7651916cd43dd8448eb211c80319c'],
      }),
    ),
  },
  strict,
);

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
    reason: Type.Optional(WhyNot),
    payment: Payment,
    lines: Type.Array(Line),
    total: Money,
    tracking: Type.Optional(Type.String({ examples: ['00340434161094042557'] })),
    placedAt: Time,
    timeline: Type.Array(Moment, { description: 'Everything that happened, oldest first.' }),
    version: Version,
  },
  { ...strict, $id: 'Order', title: 'Order' },
);

export const OrderPage = Type.Object(
  {
    items: Type.Array(Type.Unsafe<Type.Static<typeof Order>>({ $ref: 'Order#' })),
    next: Type.Optional(Next),
  },
  { ...strict, $id: 'OrderPage', title: 'Page of orders, newest first' },
);

/** As a command leaves it. */
export const OrderAnswer = Type.Object(
  {
    ...fields,
    reason: Type.Optional(WhyNot),
    lines: Type.Array(Item),
    total: Money,
    ...commandFields,
  },
  { ...strict, $id: 'OrderAnswer', title: 'Order after a command' },
);
export type OrderBody = Omit<Type.Static<typeof OrderAnswer>, keyof typeof commandFields>;
