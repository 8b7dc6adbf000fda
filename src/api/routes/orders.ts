import { answer } from '../answer.ts';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { commandOf } from '../meta.ts';
import { waitSecondsOf } from '../reading.ts';
import { orderBody } from '../representations.ts';
import { NoQuery } from '../schemas/common.ts';
import { PlaceOrder } from '../schemas/order.ts';
import { PlaceHeaders } from '../schemas/requests.ts';
import { created, problemsOfCommand } from '../schemas/responses.ts';
import { settledOrder } from '../settle.ts';
import type { TypedApp } from './app-type.ts';
import { orderActions } from './order-actions.ts';
import { orderQueries } from './order-queries.ts';

const tags = ['orders'];

/** Places and shows orders, changes them, and shows their history. */
export function orderRoutes(app: TypedApp, deps: ServiceDeps): void {
  placing(app, deps);
  orderQueries(app, deps);
  orderActions(app, deps);
}

function placing(app: TypedApp, deps: ServiceDeps): void {
  const { useCases, runtime } = deps;
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  const schema = {
    tags,
    operationId: 'placeOrder',
    summary: 'Place an order',
    description:
      "Names and prices are those of the products at this moment. Customer, stock and payment are checked afterwards: the order shows how far it is, and where and why it failed; with `Prefer: wait=N` the answer waits for that. A user's token orders for itself only: any other `userId` is answered like an unknown one (404).",
    headers: PlaceHeaders,
    querystring: NoQuery,
    body: PlaceOrder,
    response: {
      ...created('OrderAnswer'),
      ...problemsOfCommand(
        'user/not-found',
        'order/exists',
        'order/unknown-product',
        'order/product-discontinued',
        'order/invalid-user',
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
  app.post('/v1/orders', { schema, config: { access: ACCESS.placeOrder } }, async (request, reply) => {
    const { meta, creationId: orderId } = commandOf(request, runtime);
    const { userId, lines, payment } = request.body;
    const result = await useCases.placeOrder({ orderId, userId, lines, paymentToken: payment?.token }, meta);
    const wait = waitSecondsOf(request.headers.prefer) ?? 0;
    const stopped = () => closing || reply.raw.destroyed;
    const ended =
      wait > 0 && (result.outcome === 'accepted' || result.outcome === 'unchanged')
        ? await settledOrder(deps, orderId, wait * 1_000, stopped)
        : undefined;
    if (ended !== undefined) reply.header('preference-applied', `wait=${wait}`);
    return answer(request, reply, ended === undefined ? result : { ...result, ...ended }, {
      created: `/v1/orders/${orderId}`,
      body: (state) => orderBody(orderId, state),
    });
  });
}
