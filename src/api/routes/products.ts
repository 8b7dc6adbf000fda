import type Type from 'typebox';
import {
  type ProductCommand,
  type ProductRejection,
  type ProductState,
  product,
} from '../../domain/product.ts';
import { productQueries } from '../../projections/views/products.ts';
import { actingOn } from '../act.ts';
import { absent, answer } from '../answers.ts';
import { ACCESS } from '../auth/access.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { eventsOf } from '../events/routes.ts';
import { commandOf } from '../meta.ts';
import { conflict, describeProblems, invalid, notFound } from '../problems.ts';
import { asksTheLog, readOptionsOf, sendFromLog, sendPage, sendRow } from '../reading.ts';
import { NoQuery, SkuParams } from '../schemas/common.ts';
import { productFields, tea } from '../schemas/examples.ts';
import {
  CorrectStock,
  CreateProduct,
  Product,
  ProductAnswer,
  type ProductBody,
  ProductPage,
  ReceiveStock,
  UpdateProduct,
} from '../schemas/product.ts';
import { DEFAULT_LIMIT, ProductsQuery, ReadQuery } from '../schemas/queries.ts';
import {
  ActionHeaders,
  CreateHeaders,
  EntityHeaders,
  PatchHeaders,
  ReadHeaders,
} from '../schemas/requests.ts';
import {
  changed,
  created,
  found,
  foundBy,
  problemsOfCommand,
  problemsOfList,
  problemsOfQuery,
} from '../schemas/responses.ts';
import type { TypedApp } from './app-type.ts';

describeProblems<ProductRejection['code']>({
  'product/not-found': notFound('Product not found'),
  'product/exists': conflict('Product exists'),
  'product/discontinued': conflict('Product is discontinued'),
  'product/receipt-conflict': conflict('Receipt was booked with another quantity', ['quantity']),
  'product/stock-overflow': conflict('Stock would be too large'),
  'product/invalid-sku': invalid('Invalid SKU'),
  'product/invalid-name': invalid('Invalid name'),
  'product/invalid-price': invalid('Invalid price'),
  'product/invalid-receipt': invalid('Invalid receipt id'),
  'product/invalid-quantity': invalid('Invalid quantity'),
  'product/insufficient-stock': conflict('Not enough stock'),
  'product/reservation-conflict': conflict('Another quantity is reserved'),
  'product/reservation-released': conflict('Reservation has ended'),
  'product/invalid-correction': invalid('Invalid correction id'),
  'product/invalid-reason': invalid('Invalid reason'),
  'product/correction-conflict': conflict('Another correction was booked under this id'),
  'product/below-reserved': conflict('Less than what is promised to orders', ['reserved']),
  'product/unknown-currency': invalid('Unknown currency'),
});

/** A product as a command leaves it; amounts are within JSON's exact integers by the domain's rules. */
export function productBody(sku: string, state: ProductState): ProductBody {
  if (state.status === 'absent') throw absent('product');
  const { name, priceMinor, currency, status } = state;
  const [onHand, reserved] = [Number(state.onHand), Number(state.reserved)];
  const stock = { onHand, reserved, available: onHand - reserved };
  return { sku, name, price: { amountMinor: Number(priceMinor), currency }, status, ...stock };
}

const act = actingOn({ decider: product, body: productBody });

const tags = ['products'];

/** What happened to a product, and what happens. It tells whose orders took stock: no business of customers. */
const events = eventsOf({
  source: product,
  path: '/v1/products/:sku',
  params: SkuParams,
  access: ACCESS.catalogueHistory,
  tag: 'products',
  absent: 'product/not-found',
  examples: { id: tea.sku, fields: productFields },
});

/** Lists, shows and changes products and takes in stock. */
export const productApi: ApiModule = {
  tag: { name: 'products', description: 'The catalogue and its stock' },
  components: [Product, ProductAnswer, ProductPage, ...events.components],
  routes: (app, deps) => {
    listing(app, deps);
    catalogue(app, deps);
    showing(app, deps);
    change(app, deps);
    stock(app, deps);
    correction(app, deps);
    events.routes(app, deps);
  },
};

function listing(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'createProduct',
    summary: 'List a product for sale',
    description: 'Its SKU is its id, for ever. The same listing again changes nothing.',
    headers: CreateHeaders,
    querystring: NoQuery,
    body: CreateProduct,
    response: {
      ...created('ProductAnswer', tea),
      ...problemsOfCommand(
        'product/exists',
        'product/invalid-sku',
        'product/invalid-name',
        'product/invalid-price',
        'product/unknown-currency',
        'idempotency/key-reused',
      ),
    },
  };
  app.post('/v1/products', { schema, config: { access: ACCESS.changeCatalogue } }, async (request, reply) => {
    const { sku } = request.body;
    const { meta, at } = commandOf(request, runtime);
    const command = listingOf(request.body, at);
    const result = await handler.execute(product, sku, command, meta, { assumeNew: true });
    return answer(request, reply, result, {
      created: `/v1/products/${sku}`,
      body: (state) => productBody(sku, state),
    });
  });
}

/** The command of a listing. @param at milliseconds since the Unix epoch */
export function listingOf(
  { sku, name, price }: Type.Static<typeof CreateProduct>,
  at: number,
): ProductCommand {
  return { type: 'list', sku, name, priceMinor: BigInt(price.amountMinor), currency: price.currency, at };
}

/** The command of a delivery. @param at milliseconds since the Unix epoch */
export function receiptOf(
  { receiptId, quantity }: Type.Static<typeof ReceiveStock>,
  at: number,
): ProductCommand {
  return { type: 'receiveStock', receiptId, quantity, at };
}

function catalogue(app: TypedApp, { views, log }: ServiceDeps): void {
  const { products } = productQueries(views);
  const schema = {
    tags,
    operationId: 'listProducts',
    summary: 'List products',
    description: 'By SKU, or with `namePrefix` by name; ascending.',
    headers: ReadHeaders,
    querystring: ProductsQuery,
    response: { ...foundBy('ProductPage'), ...problemsOfList() },
  };
  app.get('/v1/products', { schema, config: { access: ACCESS.readCatalogue } }, async (request, reply) => {
    const { limit = DEFAULT_LIMIT, cursor, namePrefix, status, inStock } = request.query;
    const filter = { namePrefix, status, inStock: inStock === undefined ? undefined : inStock === 'true' };
    const options = { ...(await readOptionsOf(request, reply, log)), limit, cursor };
    return sendPage(request, reply, await products(filter, options));
  });
}

function showing(app: TypedApp, deps: ServiceDeps): void {
  const products = productQueries(deps.views);
  const schema = {
    tags,
    operationId: 'getProduct',
    summary: 'Show a product',
    description:
      'From the read model, which follows the commands within a moment; with `consistency=strong` from the event log.',
    headers: EntityHeaders,
    querystring: ReadQuery,
    params: SkuParams,
    response: { ...found('Product', 'ProductAnswer'), ...problemsOfQuery('product/not-found') },
  };
  app.get(
    '/v1/products/:sku',
    { schema, config: { access: ACCESS.readCatalogue } },
    async (request, reply) => {
      const { sku } = request.params;
      const missing = 'product/not-found';
      if (asksTheLog(request.query)) {
        const exists = ({ status }: ProductState) => status !== 'absent';
        const body = (state: ProductState) => productBody(sku, state);
        return sendFromLog(deps, request, reply, {
          decider: product,
          id: sku,
          exists,
          body,
          absent: missing,
        });
      }
      const row = await products.product(sku, await readOptionsOf(request, reply, deps.log));
      return sendRow(request, reply, row, missing);
    },
  );
}

function change(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'updateProduct',
    summary: 'Rename, reprice or discontinue a product',
    description: 'Changes the fields that are given, all of them in one step or none.',
    headers: PatchHeaders,
    querystring: NoQuery,
    params: SkuParams,
    body: UpdateProduct,
    response: {
      ...changed('ProductAnswer', {
        ...tea,
        name: 'Earl Grey, loose, 100 g',
        price: { amountMinor: 1390, currency: 'EUR' },
      }),
      ...problemsOfCommand(
        'product/not-found',
        'product/discontinued',
        'product/invalid-name',
        'product/invalid-price',
        'command/version-mismatch',
      ),
    },
  };
  app.patch(
    '/v1/products/:sku',
    { schema, config: { access: ACCESS.changeCatalogue } },
    async (request, reply) => {
      const { name, price, discontinued } = request.body;
      return act(deps, [request, reply], request.params.sku, (at) => ({
        type: 'change',
        at,
        ...(name !== undefined && { name }),
        ...(price !== undefined && { priceMinor: BigInt(price.amountMinor) }),
        ...(price?.currency !== undefined && { currency: price.currency }),
        ...(discontinued === true && { discontinue: true }),
      }));
    },
  );
}

function stock(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'receiveStock',
    summary: 'Take in a delivery',
    description: 'Adds to the stock on hand, once per receipt id, for ever.',
    headers: ActionHeaders,
    querystring: NoQuery,
    params: SkuParams,
    body: ReceiveStock,
    response: {
      ...changed('ProductAnswer', { ...tea, onHand: 50, available: 50 }),
      ...problemsOfCommand(
        'product/not-found',
        'product/discontinued',
        'product/receipt-conflict',
        'product/stock-overflow',
        'product/invalid-receipt',
        'product/invalid-quantity',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  app.post(
    '/v1/products/:sku/stock',
    { schema, config: { access: ACCESS.changeCatalogue } },
    async (request, reply) => {
      return act(deps, [request, reply], request.params.sku, (at) => receiptOf(request.body, at));
    },
  );
}

function correction(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'correctStock',
    summary: 'Correct the stock on hand',
    description:
      'Once per correction id, for ever; never below what is promised to orders. A count says what is on hand now: with `If-Match` it counts only if nothing has changed since the version that was counted.',
    headers: ActionHeaders,
    querystring: NoQuery,
    params: SkuParams,
    body: CorrectStock,
    response: {
      ...changed('ProductAnswer', { ...tea, onHand: 47, available: 47 }),
      ...problemsOfCommand(
        'product/not-found',
        'product/below-reserved',
        'product/correction-conflict',
        'product/invalid-correction',
        'product/invalid-quantity',
        'product/invalid-reason',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  app.post(
    '/v1/products/:sku/corrections',
    { schema, config: { access: ACCESS.changeCatalogue } },
    async (request, reply) => {
      return act(deps, [request, reply], request.params.sku, (at) => ({
        type: 'correctStock',
        ...request.body,
        at,
      }));
    },
  );
}
