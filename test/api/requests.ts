import type { LightMyRequestResponse } from 'fastify';
import { type OrderCommand, order } from '../../src/domain/order.ts';
import type { MemoryService } from '../support/memory-service.ts';

type Headers = Readonly<Record<string, string>>;

/** Short forms of the requests that tests make. */
export function clientOf({ app, log }: Pick<MemoryService, 'app' | 'log'>) {
  const send =
    (method: 'POST' | 'PATCH' | 'DELETE') =>
    (url: string, payload?: object, headers: Headers = {}) =>
      app.inject({ method, url, headers, ...(payload && { payload }) });
  return {
    /** Shows everything that was written before. */
    get: async (url: string, headers: Headers = {}) =>
      app.inject({ method: 'GET', url, headers: { 'min-position': String(await log.head()), ...headers } }),
    post: send('POST'),
    patch: send('PATCH'),
    remove: send('DELETE'),
  };
}

export type Client = ReturnType<typeof clientOf>;

/** Registers a user and answers its id. */
export async function registered(client: Client, email = 'ada@example.com'): Promise<string> {
  const response = await client.post('/v1/users', { email, name: 'Ada' });
  return String(field(response, 'id'));
}

/** Lists a product at 12.90 EUR unless told otherwise. */
export function list(client: Client, sku: string, price = { amountMinor: 1290, currency: 'EUR' }) {
  return client.post('/v1/products', { sku, name: `Product ${sku}`, price });
}

/** Places an order for two pieces and answers its id. */
export async function ordered(client: Client, userId: string, sku: string): Promise<string> {
  const response = await client.post('/v1/orders', { userId, lines: [{ sku, quantity: 2 }] });
  return String(field(response, 'id'));
}

/** A field of a JSON body. */
export function field(response: LightMyRequestResponse, name: string): unknown {
  return response.json<Record<string, unknown>>()[name];
}

/** Takes an order through the steps of the order process. */
export async function confirm({ deps }: Pick<MemoryService, 'deps'>, id: string): Promise<void> {
  const { state } = await deps.handler.load(order, id);
  if (state.status !== 'placed') throw new Error(`the order is ${state.status}`);
  const money = { paymentId: 'pay-1', amountMinor: state.totalMinor, currency: state.currency };
  const at = deps.runtime.now();
  const steps: OrderCommand[] = [
    { type: 'recordCustomerValidated', directoryPosition: 1, at },
    { type: 'recordStockReserved', at },
    { type: 'recordAuthorised', ...money, at },
    { type: 'recordCaptured', ...money, at },
  ];
  for (const step of steps) {
    const meta = { commandId: deps.runtime.id(), actor: 'order-process' };
    const { outcome } = await deps.handler.execute(order, id, step, meta);
    if (outcome !== 'accepted') throw new Error(`${step.type}: ${outcome}`);
  }
}

/** Places an order and takes it through the steps of the order process. */
export async function confirmedOrder(
  service: Pick<MemoryService, 'deps'>,
  client: Client,
  userId: string,
  sku: string,
): Promise<string> {
  const id = await ordered(client, userId, sku);
  await confirm(service, id);
  return id;
}
