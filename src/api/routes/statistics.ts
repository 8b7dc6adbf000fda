import { type CurrencyFigures, statisticsQueries } from '../../projections/views/statistics.ts';
import { ACCESS } from '../auth/access.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { readOptionsOf } from '../reading.ts';
import { PeriodQuery } from '../schemas/queries.ts';
import { ReadHeaders } from '../schemas/requests.ts';
import { plain, problemsOfQuery } from '../schemas/responses.ts';
import { Statistics } from '../schemas/statistics.ts';
import type { TypedApp } from './app-type.ts';

/** Orders and revenue per day. */
export const statisticsApi: ApiModule = { components: [Statistics], routes: perDay };

function perDay(app: TypedApp, { views, log }: ServiceDeps): void {
  const { statistics } = statisticsQueries(views);
  const schema = {
    tags: ['orders'],
    operationId: 'getStatistics',
    summary: 'Show orders and revenue per day',
    description:
      'Per day and currency what was ordered, captured and given back; per day what was confirmed, cancelled and refunded, and what was rejected at which step. An event counts for the day of its time, UTC.',
    headers: ReadHeaders,
    querystring: PeriodQuery,
    response: {
      ...plain(200, 'Statistics', 'The days of the period.'),
      ...problemsOfQuery('request/invalid-period'),
    },
  };
  app.get('/v1/statistics', { schema, config: { access: ACCESS.admin } }, async (request, reply) => {
    const { from, to } = request.query;
    const options = await readOptionsOf(request, reply, log);
    const { days } = await statistics({ from, to, ...options });
    return reply.send({ days: days.map((day) => ({ ...day, currencies: day.currencies.map(withMoney) })) });
  });
}

/** The sums as money too, where a JSON number holds them exactly. */
function withMoney(figures: CurrencyFigures): object {
  const { currency, ordersPlaced, placedMinor, capturedMinor, refundedMinor } = figures;
  const money = (sum: string) =>
    Number.isSafeInteger(Number(sum)) ? { amountMinor: Number(sum), currency } : undefined;
  return {
    currency,
    ordersPlaced,
    placed: money(placedMinor),
    captured: money(capturedMinor),
    refunded: money(refundedMinor),
    placedMinor,
    capturedMinor,
    refundedMinor,
  };
}
