import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import type Type from 'typebox';
import type { OrderResult } from '../../app/use-cases.ts';
import { type OrderState, order } from '../../domain/order.ts';
import { LONGEST } from '../../domain/order-details.ts';
import { normaliseText, timeOf } from '../../domain/values.ts';
import { EventStoreError, type Loaded, versionAt } from '../../eventstore/index.ts';
import type { ReadRow } from '../../projections/engine/index.ts';
import { type OrderFilter, type OrderRow, orderQueries } from '../../projections/views/orders.ts';
import { actingOn } from '../act.ts';
import { absent, answer } from '../answers.ts';
import { ACCESS } from '../auth/access.ts';
import { RequestRefused } from '../body.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { eventsOf } from '../events/routes.ts';
import { commandOf } from '../meta.ts';
import type { Violation } from '../problem-reply.ts';
import { conflict, describeProblems, invalid, notFound } from '../problems.ts';
import { asksTheLog, readOptionsOf, sendFromLog, sendPage, sendRow, waitSecondsOf } from '../reading.ts';
import { NoFields, NoQuery, OrderParams } from '../schemas/common.ts';
import { ORDER_ID, orderFields, orderIs } from '../schemas/examples.ts';
import {
  CancelOrder,
  CreateOrder,
  Order,
  OrderAnswer,
  type OrderBody,
  OrderPage,
  OrderStatus,
  RefundOrder,
  ShipOrder,
} from '../schemas/order.ts';
import { DEFAULT_LIMIT, OrdersQuery, PastQuery } from '../schemas/queries.ts';
import { ActionHeaders, EntityHeaders, PlaceHeaders, ReadHeaders } from '../schemas/requests.ts';
import {
  changed,
  created,
  found,
  foundBy,
  problemsOfCommand,
  problemsOfList,
  problemsOfQuery,
} from '../schemas/responses.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';

describeProblems<Extract<OrderResult, { outcome: 'rejected' }>['rejection']['code'] & `order/${string}`>({
  'order/not-found': notFound('Order not found'),
  'order/exists': conflict('Order exists'),
  'order/unknown-product': invalid('Unknown product', ['sku']),
  'order/product-discontinued': conflict('Product is discontinued', ['sku']),
  'order/invalid-user': invalid('Invalid user id'),
  'order/invalid-line-count': invalid('Invalid number of lines', ['lines']),
  'order/invalid-quantity': invalid('Invalid quantity', ['sku']),
  'order/duplicate-sku': invalid('Product on two lines', ['sku']),
  'order/mixed-currencies': invalid('Several currencies', ['sku']),
  'order/invalid-line': invalid('Invalid line', ['line']),
  'order/invalid-reference': invalid('Invalid reference'),
  'order/invalid-address': invalid('Invalid delivery address', ['field']),
  'order/invalid-metadata': invalid('Invalid metadata'),
  'order/total-too-large': invalid('Total is too large'),
  'order/invalid-reason': invalid('Invalid reason'),
  'order/payment-required': invalid('Payment is missing'),
  'order/invalid-payment': invalid('Invalid payment token'),
  'order/invalid-tracking': invalid('Invalid tracking number'),
  'order/already-rejected': conflict('Order was rejected'),
  'order/already-shipped': conflict('Order was shipped'),
  'order/not-confirmed': conflict('Order is not confirmed'),
  'order/not-shipped': conflict('Order was not shipped'),
  'order/not-refundable': conflict('Order cannot be refunded'),
  'order/already-refunded': conflict('Order was refunded'),
  'order/amount-mismatch': conflict('Payment has another amount'),
});

/** An order as a command leaves it. */
export function orderBody(id: string, state: OrderState): OrderBody {
  if (state.status === 'absent') throw absent('order');
  const { userId, status, items, totalMinor, currency, details } = state;
  const lines = items.map(({ sku, quantity }) => ({ sku, quantity }));
  const total = { amountMinor: Number(totalMinor), currency };
  const step = 'step' in state && { step: state.step };
  const reason = state.status === 'rejected' && { reason: { code: state.code, text: state.reason } };
  return { id, userId, status, ...step, ...reason, lines, total, ...details };
}

const act = actingOn({ decider: order, body: orderBody });

/**
 * Follows an order until its process has ended one way or the other. All who wait share the reader of the live streams,
 * so that waiting asks the server nothing.
 * @param wait how long at most, in milliseconds; aborted when the client has left or the service stops
 * @returns the order, or undefined when it has not ended by then, or cannot be looked at: it is placed all the same
 */
export async function settledOrder(
  { handler, live }: Pick<ServiceDeps, 'handler' | 'live'>,
  orderId: string,
  wait: { readonly ms: number; readonly signal: AbortSignal },
): Promise<Loaded<OrderState> | undefined> {
  const late = new AbortController();
  // `AbortSignal.timeout` among others is collected by Node.js 20 before its time, and then never fires.
  const timer = setTimeout(() => late.abort(), wait.ms);
  const over = AbortSignal.any([wait.signal, late.signal]);
  try {
    const opening = await live.order(orderId);
    if (!opening.opened) return undefined;
    const { stream } = opening;
    over.addEventListener('abort', () => stream.close(), { once: true });
    if (over.aborted) stream.close();
    for (let next = await stream.next(); typeof next !== 'string'; next = await stream.next()) {
      if (!next.statuses.some(isFinal)) continue;
      stream.close();
      return await handler.load(order, orderId);
    }
  } catch (error) {
    if (!(error instanceof EventStoreError)) throw error;
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

const isFinal = (status: OrderState['status']): boolean => status !== 'absent' && status !== 'placed';

const common = { tags: ['orders'], headers: ActionHeaders, querystring: NoQuery, params: OrderParams };

/** Cancels, ships, delivers and refunds orders. */
function orderActions(app: TypedApp, deps: ServiceDeps): void {
  cancelling(app, deps);
  shipping(app, deps);
  delivering(app, deps);
  refunding(app, deps);
}

function cancelling(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    ...common,
    operationId: 'cancelOrder',
    summary: 'Cancel an order',
    description:
      'Before it is shipped. Its stock is released and its payment given back. Cancelling a cancelled order changes nothing.',
    body: CancelOrder,
    response: {
      ...changed('OrderAnswer', orderIs('cancelled')),
      ...problemsOfCommand(
        'order/not-found',
        'order/invalid-reason',
        'order/already-rejected',
        'order/already-shipped',
        'order/already-refunded',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.ownOrder }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/orders/:id/cancel', options, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({
      type: 'cancel',
      reason: request.body.reason ?? '',
      by: 'customer',
      at,
    }));
  });
}

function shipping(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    ...common,
    operationId: 'shipOrder',
    summary: 'Ship an order',
    description: 'Once it is confirmed. Shipping a shipped order changes nothing.',
    body: ShipOrder,
    response: {
      ...changed('OrderAnswer', orderIs('shipped')),
      ...problemsOfCommand(
        'order/not-found',
        'order/not-confirmed',
        'order/already-refunded',
        'order/invalid-tracking',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/orders/:id/ship', options, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({
      type: 'ship',
      tracking: request.body.tracking ?? '',
      at,
    }));
  });
}

function delivering(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    ...common,
    operationId: 'deliverOrder',
    summary: 'Record the delivery of an order',
    description: 'Once it is shipped. Delivering a delivered order changes nothing.',
    body: NoFields,
    response: {
      ...changed('OrderAnswer', orderIs('delivered')),
      ...problemsOfCommand(
        'order/not-found',
        'order/not-shipped',
        'order/already-refunded',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/orders/:id/deliver', options, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({ type: 'deliver', at }));
  });
}

function refunding(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    ...common,
    operationId: 'refundOrder',
    summary: 'Refund an order',
    description:
      'Whole, once, from its confirmation on. All that was paid is given back through the payment provider, which the order shows as `payment.status`, and the customer is told then. Refunding again with the same `restock` changes nothing; another one is refused.',
    body: RefundOrder,
    response: {
      ...changed('OrderAnswer', orderIs('refunded')),
      ...problemsOfCommand(
        'order/not-found',
        'order/not-refundable',
        'order/already-refunded',
        'order/invalid-reason',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  app.post('/v1/orders/:id/refund', { schema, config: { access: ACCESS.admin } }, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({ type: 'refund', ...request.body, at }));
  });
}

const tags = ['orders'];

/** Shows orders: those that are found, and one as it is or was. */
function reading(app: TypedApp, deps: ServiceDeps): void {
  listing(app, deps);
  showing(app, deps);
}

function listing(app: TypedApp, { views, log }: ServiceDeps): void {
  const queries = orderQueries(views);
  const schema = {
    tags,
    operationId: 'listOrders',
    summary: 'Find orders',
    description:
      'By when they were placed, newest first, or by total. A page may be shorter than `limit` and not the last one, when orders have just been changed. docs/api.md lists which filters go together; others are answered 400 with that list. An admin finds all, a user only its own.',
    headers: ReadHeaders,
    querystring: OrdersQuery,
    response: { ...foundBy('OrderPage'), ...problemsOfList('user/not-found') },
  };
  app.get(
    '/v1/orders',
    { schema, config: { access: ACCESS.ordersOfUserInQuery } },
    async (request, reply) => {
      const { limit = DEFAULT_LIMIT, cursor } = request.query;
      const filter = orderFilterOf(request.query);
      const options = { ...(await readOptionsOf(request, reply, log)), limit, cursor };
      return sendPage(request, reply, await queries.orders(filter, options));
    },
  );
}

/** What a query asks for. @throws RequestRefused naming each parameter that makes no sense */
function orderFilterOf(query: Type.Static<typeof OrdersQuery>): OrderFilter {
  const { status, user, sku, currency, placedFrom, placedTo, totalMin, totalMax } = query;
  const externalReference =
    query.externalReference && normaliseText(query.externalReference, LONGEST.externalReference);
  const times = { placedFrom: timeIn(placedFrom), placedTo: timeIn(placedTo) };
  const byTotal = query.sort === 'total' || totalMin !== undefined || totalMax !== undefined;
  const names = Object.keys(query);
  const wrong = (name: string, detail: string): Violation => ({ in: 'query', pointer: `/${name}`, detail });
  const errors = [
    ...(byTotal && currency === undefined
      ? [wrong('currency', 'is required where totals are asked for')]
      : []),
    ...(byTotal
      ? ['placedFrom', 'placedTo']
          .filter((name) => names.includes(name))
          .map((name) => wrong(name, 'cannot be combined with totals'))
      : []),
    ...(byTotal && query.sort === '-placedAt'
      ? [wrong('sort', 'must be total where totals are asked for')]
      : []),
    ...(query.externalReference !== undefined && externalReference === undefined
      ? [wrong('externalReference', 'must be visible characters on one line')]
      : []),
    ...Object.entries(times).flatMap(([name, time]) =>
      time === 'no time' ? [wrong(name, 'is no time; write it like 2026-01-15T09:30:00Z')] : [],
    ),
  ];
  const { placedFrom: from, placedTo: below } = times;
  if (errors.length > 0 || from === 'no time' || below === 'no time') {
    throw new RequestRefused({ code: 'request/invalid', errors });
  }
  const equal = { status, user, sku, externalReference, currency };
  if (!byTotal) return { ...equal, sort: 'placedAt', from, below };
  return {
    ...equal,
    sort: 'total',
    from: totalMin,
    below: totalMax === undefined ? undefined : totalMax + 1,
  };
}

function timeIn(text: string | undefined): number | undefined | 'no time' {
  return text === undefined ? undefined : (timeOf(text) ?? 'no time');
}

function showing(app: TypedApp, deps: ServiceDeps): void {
  const orders = orderQueries(deps.views);
  const waitsFor = whatOrdersWaitFor(deps);
  const schema = {
    tags,
    operationId: 'getOrder',
    summary: 'Show an order',
    description:
      'From the read model, which follows the commands within a moment. With `consistency=strong` as it is now, with `version` or `at` as it was then (404 when it did not exist yet): folded from the event log, in the shape in which commands answer.',
    headers: EntityHeaders,
    querystring: PastQuery,
    params: OrderParams,
    response: { ...found('Order', 'OrderAnswer'), ...problemsOfQuery('order/not-found') },
  };
  app.get('/v1/orders/:id', { schema, config: { access: ACCESS.ownOrder } }, async (request, reply) => {
    const { id } = request.params;
    const missing = 'order/not-found';
    if (asksTheLog(request.query)) {
      const exists = ({ status }: OrderState) => status !== 'absent';
      const body = (state: OrderState) => orderBody(id, state);
      const more = (state: OrderState, version: number) => waitsFor(letterOf(id, state, version));
      return sendFromLog(deps, request, reply, { decider: order, id, exists, body, more, absent: missing });
    }
    const row = await orders.order(id, await readOptionsOf(request, reply, deps.log));
    return sendRow(request, reply, row, missing, await waitsFor(row && letterOfRow(id, row)));
  });
}

/** The reaction that takes an order through its steps. */
export const ORDER_PROCESS = 'order-process';
const UNSETTLED = /"status":"(placed|refunded)"/;

/**
 * Names the dead letter for which an order may stand still: a placed one for that of its last event, a refunded one
 * that was not repaid for any.
 */
function letterOf(id: string, state: OrderState, version: number): string | undefined {
  if (state.status === 'placed') return `${id}/${version}`;
  return state.status === 'refunded' && !state.paymentReturned ? id : undefined;
}

function letterOfRow(id: string, { json, position }: ReadRow): string | undefined {
  const text = Buffer.from(json).toString();
  // Most orders are neither, and need not be parsed.
  if (!UNSETTLED.test(text)) return undefined;
  const { status, payment } = JSON.parse(text) as OrderRow;
  if (status === 'placed') return `${id}/${versionAt(position)}`;
  return status === 'refunded' && payment.status !== 'refunded' ? id : undefined;
}

/** How long what was read of the dead letters is good enough, and how long it is waited for, in milliseconds. */
const LOOK_AGAIN_MS = 1_000;
const NONE: ReadonlySet<string> = new Set();

/** Says what an order waits for, beside what its row says. */
type WaitsFor = (letter: string | undefined) => Promise<{ readonly waitsFor: 'operator' } | undefined>;

/**
 * Whether an order stands still because of a dead letter, or of waiting behind one. No event tells, so the dead letters
 * are asked, at most once a second for all orders. Who cannot be asked is not waited for: the order is shown without it.
 */
function whatOrdersWaitFor({ admin, runtime }: Pick<ServiceDeps, 'admin' | 'runtime'>): WaitsFor {
  let readAt = Number.NEGATIVE_INFINITY;
  let stuck: Promise<ReadonlySet<string>> = Promise.resolve(NONE);
  const read = async (): Promise<ReadonlySet<string>> => {
    try {
      const found = await admin.parked.list({ consumer: ORDER_PROCESS });
      return new Set(found.flatMap(({ id, position }) => [id, `${id}/${versionAt(position)}`]));
    } catch (error) {
      if (error instanceof EventStoreError) return NONE;
      throw error;
    }
  };
  return async (letter) => {
    if (letter === undefined) return undefined;
    const now = runtime.now();
    if (now - readAt >= LOOK_AGAIN_MS) {
      readAt = now;
      stuck = Promise.race([read(), delay(LOOK_AGAIN_MS, NONE, { ref: false })]);
    }
    return (await stuck).has(letter) ? { waitsFor: 'operator' } : undefined;
  };
}

/** What happened to an order, and what happens. */
const events = eventsOf({
  source: order,
  path: '/v1/orders/:id',
  params: OrderParams,
  access: ACCESS.ownOrder,
  tag: 'orders',
  absent: 'order/not-found',
  examples: { id: ORDER_ID, fields: orderFields },
  twoForms: { status: OrderStatus },
});

/** Places and shows orders, changes them, and shows their history. */
export const orderApi: ApiModule = {
  tag: { name: 'orders', description: 'Orders and their history' },
  components: [Order, OrderAnswer, OrderPage, ...events.components],
  routes: (app, deps) => {
    placing(app, deps);
    reading(app, deps);
    orderActions(app, deps);
    events.routes(app, deps);
  },
};

/** Aborted when the client has left, or the other signal is. */
function leftOr(reply: FastifyReply, signal: AbortSignal): AbortSignal {
  const left = new AbortController();
  reply.raw.once('close', () => left.abort());
  if (reply.raw.destroyed) left.abort();
  return AbortSignal.any([left.signal, signal]);
}

function placing(app: TypedApp, deps: ServiceDeps): void {
  const { useCases, runtime } = deps;
  const closing = new AbortController();
  app.addHook('preClose', async () => closing.abort());
  const schema = {
    tags,
    operationId: 'createOrder',
    summary: 'Place an order',
    description:
      "Names and prices are those of the products at this moment. Customer, stock and payment are checked afterwards: the order shows how far it is, and where and why it failed; with `Prefer: wait=N` the answer waits for that. A user's token orders for itself only: any other `userId` is answered like an unknown one (404).",
    headers: PlaceHeaders,
    querystring: NoQuery,
    body: CreateOrder,
    response: {
      ...created('OrderAnswer', { ...orderIs('placed'), step: 'customer_validation' }),
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
        'order/invalid-reference',
        'order/invalid-address',
        'order/invalid-metadata',
        'order/payment-required',
        'order/invalid-payment',
        'idempotency/key-reused',
      ),
    },
  };
  app.post('/v1/orders', { schema, config: { access: ACCESS.placeOrder } }, async (request, reply) => {
    const { meta, creationId: orderId } = commandOf(request, runtime);
    const { userId, lines, payment, ...details } = request.body;
    const asked = { orderId, userId, lines, paymentToken: payment?.token, details };
    const result = await useCases.placeOrder(asked, meta);
    const wait = waitSecondsOf(request.headers.prefer) ?? 0;
    const ended =
      wait > 0 && (result.outcome === 'accepted' || result.outcome === 'unchanged')
        ? await settledOrder(deps, orderId, { ms: wait * 1_000, signal: leftOr(reply, closing.signal) })
        : undefined;
    if (ended !== undefined) reply.header('preference-applied', `wait=${wait}`);
    return answer(request, reply, ended === undefined ? result : { ...result, ...ended }, {
      created: `/v1/orders/${orderId}`,
      body: (state) => orderBody(orderId, state),
    });
  });
}
