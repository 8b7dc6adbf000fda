import { order } from '../../domain/order.ts';
import type { OrderState } from '../../domain/order-state.ts';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { asksTheLog, sendFromLog } from '../from-log.ts';
import { readHistory } from '../history.ts';
import { sendProblem } from '../problem-reply.ts';
import { linkToNext, readOptionsOf, sendPage, sendRow } from '../reading.ts';
import { orderBody } from '../representations.ts';
import { IdParams } from '../schemas/common.ts';
import { DEFAULT_LIMIT, HistoryQuery, OrdersQuery, PastQuery } from '../schemas/queries.ts';
import { EntityHeaders, PlainHeaders, ReadHeaders } from '../schemas/requests.ts';
import { found, listed, problemsOfQuery, problemsOfRead } from '../schemas/responses.ts';
import type { TypedApp } from './app-type.ts';

const tags = ['orders'];

/** Shows orders: one as it is or was, those of a status, the history of one. */
export function orderQueries(app: TypedApp, deps: ServiceDeps): void {
  listing(app, deps);
  showing(app, deps);
  history(app, deps);
}

function listing(app: TypedApp, { readModels, log }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'listOrders',
    summary: 'List the orders of a status',
    description:
      'By when they were placed, newest first. A page may be shorter than `limit` and not the last one, when orders have just left the status.',
    headers: ReadHeaders,
    querystring: OrdersQuery,
    response: { ...listed('OrderPage'), ...problemsOfQuery('request/invalid-cursor') },
  };
  app.get('/v1/orders', { schema, config: { access: ACCESS.admin } }, async (request, reply) => {
    const { status, limit = DEFAULT_LIMIT, cursor } = request.query;
    const options = { ...(await readOptionsOf(request, reply, log)), limit, cursor };
    return sendPage(request, reply, await readModels.ordersByStatus(status, options));
  });
}

function showing(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'getOrder',
    summary: 'Show an order',
    description:
      'From the read model, which follows the commands within a moment. With `consistency=strong` as it is now, with `version` or `at` as it was then (404 when it did not exist yet): folded from the event log, in the shape in which commands answer.',
    headers: EntityHeaders,
    querystring: PastQuery,
    params: IdParams,
    response: { ...found('Order', 'OrderAnswer'), ...problemsOfQuery('order/not-found') },
  };
  app.get('/v1/orders/:id', { schema, config: { access: ACCESS.ownOrder } }, async (request, reply) => {
    const { id } = request.params;
    const absent = 'order/not-found';
    if (asksTheLog(request.query)) {
      const exists = ({ status }: OrderState) => status !== 'absent';
      const body = (state: OrderState) => orderBody(id, state);
      return sendFromLog(deps, request, reply, { decider: order, id, exists, body, absent });
    }
    const row = await deps.readModels.order(id, await readOptionsOf(request, reply, deps.log));
    return sendRow(request, reply, row, absent);
  });
}

function history(app: TypedApp, { log }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'listOrderEvents',
    summary: "List an order's events",
    description:
      'Its whole history from the event log, oldest first, always up to date. Events of one commit share a position and are never split, so a page can hold more events than `limit`, which counts commits.',
    headers: PlainHeaders,
    querystring: HistoryQuery,
    params: IdParams,
    response: { ...listed('History'), ...problemsOfRead('order/not-found') },
  };
  app.get(
    '/v1/orders/:id/events',
    { schema, config: { access: ACCESS.ownOrder } },
    async (request, reply) => {
      const { after = 0, limit = DEFAULT_LIMIT } = request.query;
      const { items, next, absent } = await readHistory(log, order, request.params.id, { after, limit });
      if (absent) return sendProblem(request, reply, { code: 'order/not-found' });
      if (next !== undefined) linkToNext(request, reply, 'after', String(next));
      return reply.send({ items, ...(next !== undefined && { next }) });
    },
  );
}
