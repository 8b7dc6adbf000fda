import Type from 'typebox';
import { EXAMPLE_TIME, ORDER_ID, tea, USER_ID } from './examples.ts';

const strict = { additionalProperties: false } as const;

/** For routes without any; an unknown parameter is an error and not a surprise. */
export const NoQuery = Type.Object({}, strict);

/** The body of an action without parameters. */
export const NoFields = Type.Object({}, { ...strict, $id: 'NoFields' });

/** The id of a user. */
export const UserId = Type.String({ examples: [USER_ID] });
/** The id of an order. */
export const OrderId = Type.String({ examples: [ORDER_ID] });

/** Where a list goes on. */
export const Next = Type.String({ description: 'The cursor of the next page; absent on the last one.' });

const idParams = (example: string) =>
  Type.Object(
    {
      id: Type.String({
        pattern: '^[A-Za-z0-9_-]{1,128}$',
        description: 'The id from the answer that created it.',
        examples: [example],
      }),
    },
    strict,
  );
export const UserParams = idParams(USER_ID);
export const OrderParams = idParams(ORDER_ID);

export const Sku = Type.String({
  pattern: '^[A-Z0-9][A-Z0-9-]{0,63}$',
  description: 'Stock keeping unit: 1 to 64 capital letters, digits and hyphens.',
  examples: [tea.sku],
});

export const SkuParams = Type.Object({ sku: Sku }, strict);

/** The largest price that a request may name, in minor units. */
export const MAX_PRICE_MINOR = 1e12;

export const AmountMinor = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: "In the currency's minor unit, for example cents.",
  examples: [1290],
});

export const PriceMinor = Type.Integer({
  minimum: 1,
  maximum: MAX_PRICE_MINOR,
  description: "In the currency's minor unit, for example cents.",
  examples: [1290],
});

export const Currency = Type.String({
  pattern: '^[A-Z]{3}$',
  description: 'ISO 4217 code.',
  examples: ['EUR'],
});

const money = { ...strict, $id: 'Money', title: 'An amount of money' };

/** Every amount that is shown. */
export const Money = Type.Object({ amountMinor: AmountMinor, currency: Currency }, money);

/** Money that a request names: checked more narrowly than the document's `Money`, and told to be. */
export const Price = Type.Object(
  { amountMinor: PriceMinor, currency: Currency },
  { ...money, description: 'From 1 to 1,000,000,000,000 minor units.' },
);

export const Name = (example: string) =>
  Type.String({
    minLength: 1,
    maxLength: 200,
    description:
      'One line of 1 to 200 characters, at least one of them visible and none that turns the direction of writing; blanks at its ends are dropped.',
    examples: [example],
  });

export const Reason = (example: string) =>
  Type.String({ maxLength: 500, description: 'One line of at most 500 characters.', examples: [example] });

/** A reason that must be given. */
export const GivenReason = (example: string) =>
  Type.String({
    minLength: 1,
    maxLength: 500,
    description: 'One line of 1 to 500 characters, at least one of them visible.',
    examples: [example],
  });

/** ISO 8601 in UTC. */
export const Time = Type.String({
  format: 'date-time',
  description: 'ISO 8601, UTC.',
  examples: [EXAMPLE_TIME],
});

export const Position = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Position in the event log; send it as Min-Position to read your write.',
  examples: [42],
});

export const Version = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Send it in If-Match to change exactly this version.',
  examples: [42],
});

/** What every answer to a command carries besides the state. */
export const commandFields = { version: Version, position: Position };
