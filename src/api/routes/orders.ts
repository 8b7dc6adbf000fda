import { order } from '../../domain/order.ts';
import { answer } from '../answer.ts';
import type { ServiceDeps } from '../deps.ts';
import { readHistory } from '../history.ts';
import { commandOf } from '../meta.ts';
import { sendProblem } from '../problem-reply.ts';
import { linkToNext, readOptionsOf, sendRow } from '../reading.ts';
import { orderBody } from '../representations.ts';
import { IdParams, NoQuery } from '../schemas/common.ts';
import { PlaceOrder } from '../schemas/order.ts';
import {
  CreateHeaders,
  DEFAULT_LIMIT,
  HistoryQuery,
  PlainHeaders,
  ReadHeaders,
  ReadQuery,
} from '../schemas/requests.ts';
import {
  created,
  found,
  listed,
  problemsOfCommand,
  problemsOfQuery,
  problemsOfRead,
} from '../schemas/responses.ts';
import type { TypedApp } from './app-type.ts';
import { orderActions } from './order-actions.ts';

const tags = ['orders'];

/** Places and shows orders, changes them, and shows their history. */
export function orderRoutes(app: TypedApp, deps: ServiceDeps): void {
  placing(app, deps);
  showing(app, deps);
  orderActions(app, deps);
  history(app, deps);
}

function placing(app: TypedApp, { useCases, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'placeOrder',
    summary: 'Place an order',
    description:
      'Names and prices are those of the products at this moment. Customer, stock and payment are checked afterwards: the order shows how far it is, and where and why it failed.',
    headers: CreateHeaders,
    querystring: NoQuery,
    body: PlaceOrder,
    response: {
      ...created('OrderAnswer'),
      ...problemsOfCommand(
        'order/exists',
        'order/unknown-product',
        'order/product-discontinued',
        'order/invalid-line-count',
        'order/invalid-quantity',
        'order/duplicate-sku',
        'order/mixed-currencies',
        'order/invalid-line',
        'order/total-too-large',
        'order/payment-required',
        'order/invalid-payment',
        'idempotency/key-reused',
      ),
    },
  };
  app.post('/v1/orders', { schema }, async (request, reply) => {
    const { meta, creationId: orderId } = commandOf(request, runtime);
    const { userId, lines, payment } = request.body;
    const result = await useCases.placeOrder({ orderId, userId, lines, paymentToken: payment?.token }, meta);
    return answer(request, reply, result, {
      created: `/v1/orders/${orderId}`,
      body: (state) => orderBody(orderId, state),
    });
  });
}

function showing(app: TypedApp, { readModels }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'getOrder',
    summary: 'Show an order',
    description: 'From the read model, which follows the commands within a moment.',
    headers: ReadHeaders,
    querystring: ReadQuery,
    params: IdParams,
    response: { ...found('Order'), ...problemsOfQuery('order/not-found') },
  };
  app.get('/v1/orders/:id', { schema }, async (request, reply) => {
    const row = await readModels.order(request.params.id, readOptionsOf(request, reply));
    return sendRow(request, reply, row, 'order/not-found');
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
  app.get('/v1/orders/:id/events', { schema }, async (request, reply) => {
    const { after = 0, limit = DEFAULT_LIMIT } = request.query;
    const { items, next, absent } = await readHistory(log, order, request.params.id, { after, limit });
    if (absent) return sendProblem(request, reply, { code: 'order/not-found' });
    if (next !== undefined) linkToNext(request, reply, 'after', String(next));
    return reply.send({ items, ...(next !== undefined && { next }) });
  });
}
