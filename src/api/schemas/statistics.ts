import Type from 'typebox';
import { Currency } from './common.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Sum = (description: string) =>
  Type.String({ pattern: '^-?[0-9]+$', description, examples: ['129000'] });

const CurrencyFigures = Type.Object(
  {
    currency: Currency,
    ordersPlaced: Count,
    placedMinor: Sum('Of the orders placed, in minor units; text, since it may exceed exact JSON numbers.'),
    capturedMinor: Sum('Captured on that day.'),
    refundedMinor: Sum('Given back on that day.'),
  },
  strict,
);

const Day = Type.Object(
  {
    day: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$', examples: ['2026-01-15'] }),
    currencies: Type.Array(CurrencyFigures),
    ordersConfirmed: Count,
    ordersCancelled: Count,
    rejections: Type.Record(Type.String(), Count, {
      description: 'By the step that failed.',
      examples: [{ payment: 2 }],
    }),
  },
  strict,
);

export const Statistics = Type.Object(
  { days: Type.Array(Day, { description: 'Ascending; a day without an event is left out.' }) },
  { ...strict, $id: 'Statistics', title: 'Orders and revenue per day' },
);
