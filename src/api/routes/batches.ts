import type { FastifyReply } from 'fastify';
import { product } from '../../domain/product.ts';
import { ACCESS } from '../auth/access.ts';
import { executeBatch, refuseRepeated } from '../batch.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { commandOf } from '../meta.ts';
import { type AnsweredItem, BatchAnswer, CreateProducts, ReceiveReceipts } from '../schemas/batch.ts';
import { NoQuery } from '../schemas/common.ts';
import { tea } from '../schemas/examples.ts';
import { CreateHeaders } from '../schemas/requests.ts';
import { plain, problemsOfCommand } from '../schemas/responses.ts';
import type { TypedApp } from './app-type.ts';
import { listingOf, receiptOf } from './products.ts';

/** A thousand products with the longest names take a little more than half of it. */
const BODY_LIMIT_BYTES = 2 * 1_048_576;

/** From when on no further item of a batch is begun, in milliseconds: what asks for one must not wait for ever. */
const BEGIN_WITHIN_MS = 20_000;

const EACH_BY_ITSELF =
  'Up to 1,000, each by itself and answered as if it had been sent alone; a body of the wrong form is refused whole. With an `Idempotency-Key` each item is known by caller, key and SKU: a batch whose answer was lost, or of which some items could not be tried (503), is sent again under its key, and what was done is answered as before.';

/** Lists products and takes in deliveries, many at a time. */
export const batchApi: ApiModule = {
  components: [BatchAnswer],
  routes: (app, deps) => {
    listingMany(app, deps);
    receivingMany(app, deps);
  },
};

const common = {
  tags: ['products'],
  headers: CreateHeaders,
  querystring: NoQuery,
};

/** @param status of the item in the example */
const responseOf = (status: number) => ({
  ...plain(200, 'BatchAnswer', 'What became of each item; the batch as a whole has no outcome.', {
    items: [{ sku: tea.sku, status, version: tea.version, position: tea.position }],
  }),
  ...problemsOfCommand('idempotency/key-reused'),
});

const optionsOf = ({ settings }: ServiceDeps) => ({
  bodyLimit: Math.max(BODY_LIMIT_BYTES, settings.bodyLimitBytes),
  config: { access: ACCESS.changeCatalogue, batch: true },
});

function listingMany(app: TypedApp, deps: ServiceDeps): void {
  const { handler, runtime } = deps;
  const schema = {
    ...common,
    operationId: 'createManyProducts',
    summary: 'List many products for sale',
    description: EACH_BY_ITSELF,
    body: CreateProducts,
    response: responseOf(201),
  };
  app.post('/v1/batches/products', { schema, ...optionsOf(deps) }, async (request, reply) => {
    const { products } = request.body;
    refuseRepeated('products', products);
    const items = await executeBatch({
      items: products,
      accepted: 201,
      goesOn: whileAwaited(reply),
      execute: (item) => {
        const { meta, at } = commandOf(request, runtime, { name: item.sku, content: item });
        return handler.execute(product, item.sku, listingOf(item, at), meta, { assumeNew: true });
      },
    });
    return send(reply, items);
  });
}

function receivingMany(app: TypedApp, deps: ServiceDeps): void {
  const { handler, runtime } = deps;
  const schema = {
    ...common,
    operationId: 'receiveManyReceipts',
    summary: 'Take in many deliveries',
    description: EACH_BY_ITSELF,
    body: ReceiveReceipts,
    response: responseOf(200),
  };
  app.post('/v1/batches/receipts', { schema, ...optionsOf(deps) }, async (request, reply) => {
    const { receipts } = request.body;
    refuseRepeated('receipts', receipts);
    const items = await executeBatch({
      items: receipts,
      accepted: 200,
      goesOn: whileAwaited(reply),
      execute: (item) => {
        const { meta, at } = commandOf(request, runtime, { name: item.sku, content: item });
        return handler.execute(product, item.sku, receiptOf(item, at), meta);
      },
    });
    return send(reply, items);
  });
}

/** Nobody reads the answer of a client that has left; it sends the batch again. */
function whileAwaited({ raw }: FastifyReply): () => boolean {
  const end = performance.now() + BEGIN_WITHIN_MS;
  return () => !raw.destroyed && performance.now() < end;
}

function send(reply: FastifyReply, items: readonly AnsweredItem[]): FastifyReply {
  const position = Math.max(0, ...items.map((item) => item.position ?? 0));
  if (position > 0) reply.header('position', String(position));
  return reply.send({ items });
}
