import Type from 'typebox';
import { Currency, Money } from './common.ts';
import { EXAMPLE_TIME, total as orderTotal } from './examples.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Sum = (description: string) => Type.String({ pattern: '^-?[0-9]+$', description });
const One = Type.Integer({ minimum: 0, examples: [1] });

const figures = {
  currency: 'EUR',
  ordersPlaced: 1,
  placed: orderTotal,
  captured: orderTotal,
  refunded: { amountMinor: 0, currency: 'EUR' },
  placedMinor: '2580',
  capturedMinor: '2580',
  refundedMinor: '0',
};

const CurrencyFigures = Type.Object(
  {
    currency: Currency,
    ordersPlaced: Count,
    placed: Type.Optional(Money),
    captured: Type.Optional(Money),
    refunded: Type.Optional(Money),
    placedMinor: Sum('`placed` in minor units, as text: the only one where an exact JSON number ends.'),
    capturedMinor: Sum('Captured on that day, likewise.'),
    refundedMinor: Sum('Given back on that day, likewise.'),
  },
  { ...strict, examples: [figures] },
);

const Day = Type.Object(
  {
    day: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$', examples: [EXAMPLE_TIME.slice(0, 10)] }),
    currencies: Type.Array(CurrencyFigures),
    ordersConfirmed: One,
    ordersCancelled: Count,
    ordersRefunded: Type.Optional(Count),
    rejections: Type.Record(Type.String(), Count, {
      description: 'By the step that failed.',
      examples: [{}],
    }),
  },
  strict,
);

export const Statistics = Type.Object(
  { days: Type.Array(Day, { description: 'Ascending; a day without an event is left out.' }) },
  { ...strict, $id: 'Statistics', title: 'Orders and revenue per day' },
);
