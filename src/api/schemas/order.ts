import Type from 'typebox';
import { LONGEST, MAX_METADATA, METADATA_KEY } from '../../domain/order-details.ts';
import {
  AmountMinor,
  commandFields,
  GivenReason,
  Money,
  Next,
  OrderId,
  Reason,
  Sku,
  Time,
  UserId,
  Version,
} from './common.ts';
import { confirmed, orderIs, toOrder, USER_ID } from './examples.ts';

const strict = { additionalProperties: false } as const;

const Quantity = Type.Integer({ minimum: 1, maximum: 1_000_000, examples: [2] });
const Item = Type.Object({ sku: Sku, quantity: Quantity }, strict);

/** What the client says of an order besides what it buys. */
const details = {
  externalReference: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: LONGEST.externalReference,
      description: 'What your own systems call the order.',
      examples: ['PO-2026-0042'],
    }),
  ),
  deliveryAddress: Type.Optional(
    Type.Object(
      {
        name: Type.String({ minLength: 1, maxLength: LONGEST.name, examples: ['Ada Lovelace'] }),
        street: Type.String({ minLength: 1, maxLength: LONGEST.street, examples: ["12 St James's Square"] }),
        postalCode: Type.Optional(
          Type.String({ minLength: 1, maxLength: LONGEST.postalCode, examples: ['SW1Y 4JH'] }),
        ),
        city: Type.String({ minLength: 1, maxLength: LONGEST.city, examples: ['London'] }),
        country: Type.String({ pattern: '^[A-Z]{2}$', description: 'ISO 3166-1 alpha-2.', examples: ['GB'] }),
      },
      { ...strict, description: 'Kept and shown, not checked further.' },
    ),
  ),
  metadata: Type.Optional(
    Type.Record(
      Type.String({ pattern: METADATA_KEY.source }),
      Type.String({ minLength: 1, maxLength: LONGEST.metadataValue }),
      {
        ...strict,
        maxProperties: MAX_METADATA,
        description:
          'Up to 20 pairs of your own: keys of 1 to 40 letters, digits, `_`, `-` and `.`, a letter first; values of one line up to 200 characters. Kept and shown, not interpreted.',
        examples: [{ channel: 'web' }],
      },
    ),
  ),
};

export const CreateOrder = Type.Object(
  {
    userId: Type.String({
      pattern: '^[A-Za-z0-9_-]{1,128}$',
      description: 'Who orders.',
      examples: [USER_ID],
    }),
    lines: Type.Array(Item, {
      minItems: 1,
      maxItems: 100,
      description: 'Each SKU once, all in one currency; prices are looked up by the service.',
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
    ...details,
  },
  { ...strict, $id: 'CreateOrder', examples: [toOrder] },
);

export const CancelOrder = Type.Object(
  { reason: Type.Optional(Reason('Changed my mind')) },
  { ...strict, $id: 'CancelOrder' },
);

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
  { ...strict, $id: 'ShipOrder' },
);

export const RefundOrder = Type.Object(
  {
    reason: GivenReason('The parcel was lost'),
    restock: Type.Boolean({
      description:
        'Whether the goods are for sale again: those of a shipped order come back into stock, those of a confirmed one are no longer reserved. With `false` they are gone; those of a confirmed order leave the stock as if they had been shipped.',
      examples: [false],
    }),
  },
  { ...strict, $id: 'RefundOrder' },
);

/** How far an order is. */
export const OrderStatus = Type.Enum([
  'placed',
  'confirmed',
  'rejected',
  'cancelled',
  'shipped',
  'delivered',
  'refunded',
]);

const fields = {
  id: OrderId,
  userId: UserId,
  status: OrderStatus,
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
        'Of a placed order whose next step could not be handled, or a refunded one whose money could not be given back: it stands still until an operator redrives or discards its dead letter. Shown of a single order, not in lists.',
    }),
  ),
};

const WhyNot = Type.Object(
  {
    code: Type.String({ examples: ['inventory/insufficient-stock'] }),
    text: Type.String({ examples: ['There is not enough stock of TEA-EARL-GREY-100.'] }),
  },
  { ...strict, description: 'Why it was rejected, cancelled or refunded; the code is for programs.' },
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
    unitPrice: Money,
    lineTotal: Money,
    unitPriceMinor: Type.Integer({ ...AmountMinor, deprecated: true }),
    lineTotalMinor: Type.Integer({ ...AmountMinor, deprecated: true }),
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
    ...details,
    timeline: Type.Array(Moment, { description: 'Everything that happened, oldest first.' }),
    version: Version,
  },
  { ...strict, $id: 'Order', title: 'Order', examples: [confirmed] },
);

export const OrderPage = Type.Object(
  {
    items: Type.Array(Type.Unsafe<Type.Static<typeof Order>>({ $ref: 'Order#' })),
    next: Type.Optional(Next),
  },
  { ...strict, $id: 'OrderPage', title: 'Page of orders' },
);

/** As a command leaves it. */
export const OrderAnswer = Type.Object(
  {
    ...fields,
    reason: Type.Optional(WhyNot),
    lines: Type.Array(Item),
    total: Money,
    ...details,
    ...commandFields,
  },
  { ...strict, $id: 'OrderAnswer', title: 'Order after a command', examples: [orderIs('confirmed')] },
);
export type OrderBody = Omit<Type.Static<typeof OrderAnswer>, keyof typeof commandFields>;
