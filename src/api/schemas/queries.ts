import Type from 'typebox';
import { LONGEST } from '../../domain/order-details.ts';
import { LEAST_NAME_PREFIX } from '../../projections/views/names.ts';
import { POSITION_PATTERN } from '../position-token.ts';
import { parkedFilter } from './admin.ts';
import { Currency, Position, Sku } from './common.ts';
import { ada, EXAMPLE_TIME, USER_ID } from './examples.ts';

const freshness = {
  minPosition: Type.Optional(
    Type.String({
      pattern: POSITION_PATTERN,
      description: 'As the header Min-Position, which wins when both are given.',
      examples: ['42'],
    }),
  ),
};

const consistency = {
  consistency: Type.Optional(
    Type.Enum(['strong', 'eventual'], {
      description:
        '`strong`: from the event log, confirmed, in the shape in which commands answer; needs no Min-Position. `eventual`, the default: from the read model.',
    }),
  ),
};

/** Query of a read of one entity. */
export const ReadQuery = Type.Object({ ...freshness, ...consistency }, { additionalProperties: false });

const TIME_PATTERN = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,9})?)?(Z|[+-]\\d{2}:\\d{2})$';

/** Query of a read of one entity that can be asked for its past. */
export const PastQuery = Type.Object(
  {
    ...freshness,
    ...consistency,
    version: Type.Optional(
      Type.Integer({
        ...Position,
        minimum: 1,
        description:
          'As it was at this version, or at this position of the log. Not together with `at` or `consistency=strong`.',
      }),
    ),
    at: Type.Optional(
      Type.String({
        pattern: TIME_PATTERN,
        description:
          'As it was at this time, ISO 8601 with its offset. Not together with `version` or `consistency=strong`.',
        examples: [EXAMPLE_TIME],
      }),
    ),
  },
  { additionalProperties: false },
);

export const Limit = Type.Integer({
  minimum: 1,
  maximum: 200,
  default: 50,
  description: 'How many at most; 50 without it.',
});

const paging = {
  ...freshness,
  limit: Type.Optional(Limit),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 2048, description: '`next` of the page before; opaque.' }),
  ),
};

/** Query of a list. */
export const PageQuery = Type.Object(paging, { additionalProperties: false });

const NamePrefix = (description: string, minLength: number, example: string) =>
  Type.String({ minLength, maxLength: 200, description, examples: [example] });

/** Query of the list of products. */
export const ProductsQuery = Type.Object(
  {
    ...paging,
    namePrefix: Type.Optional(
      NamePrefix('Only products whose name begins like this, whatever the case; sorted by name.', 1, 'earl'),
    ),
    status: Type.Optional(
      Type.Enum(['listed', 'discontinued'], { description: 'Only products that are this now.' }),
    ),
    inStock: Type.Optional(
      Type.Enum(['true', 'false'], {
        description: 'Only products of which some are, or none is, available.',
      }),
    ),
  },
  { additionalProperties: false },
);

/** Query of the list of users. */
export const UsersQuery = Type.Object(
  {
    ...paging,
    email: Type.Optional(
      Type.String({
        minLength: 3,
        maxLength: 254,
        description: 'Only the user who has this address. Not together with other filters.',
        examples: [ada.email],
      }),
    ),
    namePrefix: Type.Optional(
      NamePrefix('Only users whose name begins like this, whatever the case.', LEAST_NAME_PREFIX, 'ada'),
    ),
    status: Type.Optional(
      Type.Enum(['active', 'deactivated', 'forgotten'], { description: 'Only users who are this now.' }),
    ),
  },
  { additionalProperties: false },
);

const moment = (description: string) =>
  Type.Optional(Type.String({ pattern: TIME_PATTERN, description, examples: [EXAMPLE_TIME] }));

const totalOf = (description: string) =>
  Type.Optional(
    Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER - 1, description, examples: [1000] }),
  );

/** Query of the list of orders. */
export const OrdersQuery = Type.Object(
  {
    ...paging,
    status: Type.Optional(
      Type.Enum(['placed', 'confirmed', 'rejected', 'cancelled', 'shipped', 'delivered', 'refunded'], {
        description: 'Only orders that are here now.',
        examples: ['confirmed'],
      }),
    ),
    user: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_-]{1,128}$',
        description: "Only this user's. A user's token has to name its own.",
        examples: [USER_ID],
      }),
    ),
    sku: Type.Optional({ ...Sku, description: 'Only orders with this product on one of their lines.' }),
    externalReference: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: LONGEST.externalReference,
        description: 'Only orders that the client gave this reference, the whole of it. Case matters.',
        examples: ['PO-2026-0042'],
      }),
    ),
    placedFrom: moment('Only orders placed at this time or later, ISO 8601 with its offset.'),
    placedTo: moment('Only orders placed before this time.'),
    totalMin: totalOf('Only orders of this total or more, in minor units of `currency`.'),
    totalMax: totalOf('Only orders of this total or less, in minor units of `currency`.'),
    currency: Type.Optional({ ...Currency, description: 'Of the total; needed where totals are asked for.' }),
    sort: Type.Optional(
      Type.Enum(['-placedAt', 'total'], {
        description:
          'Newest first, which is the default, or by total, lowest first, which is the default where totals are asked for.',
      }),
    ),
  },
  { additionalProperties: false },
);

/** Query of a list of parked commits. */
export const ParkedQuery = Type.Object(
  {
    ...parkedFilter,
    limit: Type.Optional(Limit),
    cursor: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,15}\\.[A-Za-z0-9-]{1,64}$',
        description: '`next` of the page before.',
        examples: ['42.order-process'],
      }),
    ),
  },
  { additionalProperties: false },
);

const day = (description: string) =>
  Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$', description, examples: [EXAMPLE_TIME.slice(0, 10)] });

/** A period of whole days. */
export const PeriodQuery = Type.Object(
  {
    ...freshness,
    from: day('The first day, UTC.'),
    to: day('The last day, UTC; at most 366 days in all.'),
  },
  { additionalProperties: false },
);

/** Query of a history. */
export const HistoryQuery = Type.Object(
  {
    after: Type.Optional(
      Type.Integer({ ...Position, default: 0, description: 'Only events with a higher position than this.' }),
    ),
    limit: Type.Optional(Limit),
  },
  { additionalProperties: false },
);

/** Items of a page when the client names no limit. */
export const DEFAULT_LIMIT = 50;
