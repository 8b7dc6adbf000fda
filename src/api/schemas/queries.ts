import Type from 'typebox';
import { POSITION_PATTERN } from '../position-token.ts';
import { parkedFilter } from './admin.ts';
import { Position } from './common.ts';
import { EXAMPLE_TIME } from './examples.ts';

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
        pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,9})?)?(Z|[+-]\\d{2}:\\d{2})$',
        description:
          'As it was at this time, ISO 8601 with its offset. Not together with `version` or `consistency=strong`.',
        examples: [EXAMPLE_TIME],
      }),
    ),
  },
  { additionalProperties: false },
);

const Limit = Type.Integer({
  minimum: 1,
  maximum: 200,
  default: 50,
  description: 'How many at most; 50 without it.',
});

const paging = {
  ...freshness,
  limit: Type.Optional(Limit),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 1024, description: '`next` of the page before; opaque.' }),
  ),
};

/** Query of a list. */
export const PageQuery = Type.Object(paging, { additionalProperties: false });

/** Query of the list of products. */
export const ProductsQuery = Type.Object(
  {
    ...paging,
    namePrefix: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description: 'Only products whose name begins like this, whatever the case; sorted by name.',
        examples: ['earl'],
      }),
    ),
  },
  { additionalProperties: false },
);

/** Query of the list of orders. */
export const OrdersQuery = Type.Object(
  {
    ...paging,
    status: Type.Enum(['placed', 'confirmed', 'rejected', 'cancelled', 'shipped', 'delivered', 'refunded'], {
      description: 'Only orders that are here now.',
      examples: ['confirmed'],
    }),
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
