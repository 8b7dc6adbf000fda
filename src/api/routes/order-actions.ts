import { order } from '../../domain/order.ts';
import { answer } from '../answer.ts';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { commandOf, expectedOf } from '../meta.ts';
import { orderBody } from '../representations.ts';
import { IdParams, NoFields, NoQuery } from '../schemas/common.ts';
import { CancelOrder, ShipOrder } from '../schemas/order.ts';
import { ActionHeaders } from '../schemas/requests.ts';
import { changed, problemsOfCommand } from '../schemas/responses.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';

const common = { tags: ['orders'], headers: ActionHeaders, querystring: NoQuery, params: IdParams };

/** Cancels, ships and delivers orders. */
export function orderActions(app: TypedApp, deps: ServiceDeps): void {
  cancelling(app, deps);
  shipping(app, deps);
  delivering(app, deps);
}

function cancelling(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    ...common,
    operationId: 'cancelOrder',
    summary: 'Cancel an order',
    description:
      'Before it is shipped. Its stock is released and its payment given back. Cancelling a cancelled order changes nothing.',
    body: CancelOrder,
    response: {
      ...changed('OrderAnswer'),
      ...problemsOfCommand(
        'order/not-found',
        'order/invalid-reason',
        'order/already-rejected',
        'order/already-shipped',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.ownOrder }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/orders/:id/cancel', options, async (request, reply) => {
    const { id } = request.params;
    const { meta, at } = commandOf(request, runtime);
    const command = { type: 'cancel', reason: request.body.reason ?? '', by: 'customer', at } as const;
    const result = await handler.execute(order, id, command, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => orderBody(id, state) });
  });
}

function shipping(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    ...common,
    operationId: 'shipOrder',
    summary: 'Ship an order',
    description: 'Once it is confirmed. Shipping a shipped order changes nothing.',
    body: ShipOrder,
    response: {
      ...changed('OrderAnswer'),
      ...problemsOfCommand(
        'order/not-found',
        'order/not-confirmed',
        'order/invalid-tracking',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/orders/:id/ship', options, async (request, reply) => {
    const { id } = request.params;
    const { meta, at } = commandOf(request, runtime);
    const command = { type: 'ship', tracking: request.body.tracking ?? '', at } as const;
    const result = await handler.execute(order, id, command, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => orderBody(id, state) });
  });
}

function delivering(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    ...common,
    operationId: 'deliverOrder',
    summary: 'Record the delivery of an order',
    description: 'Once it is shipped. Delivering a delivered order changes nothing.',
    body: NoFields,
    response: {
      ...changed('OrderAnswer'),
      ...problemsOfCommand(
        'order/not-found',
        'order/not-shipped',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/orders/:id/deliver', options, async (request, reply) => {
    const { id } = request.params;
    const { meta, at } = commandOf(request, runtime);
    const result = await handler.execute(order, id, { type: 'deliver', at }, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => orderBody(id, state) });
  });
}
