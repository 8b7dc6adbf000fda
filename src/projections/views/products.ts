import { type ProductEvent, product } from '../../domain/product.ts';
import type { Projection } from '../projection.ts';
import { exactNumber } from './json.ts';

/** A product as the API serves it. */
export interface ProductRow {
  readonly sku: string;
  readonly name: string;
  readonly price: { readonly amountMinor: number; readonly currency: string };
  readonly onHand: number;
  readonly status: 'listed' | 'discontinued';
  readonly version: number;
}

/** One row per product, by SKU. */
export const products: Projection<ProductRow, ProductEvent> = {
  name: 'products',
  version: 1,
  sources: [product],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { stream, position }) => {
    if (event.$typeName === 'jetledger.product.v1.ProductListed') {
      const price = { amountMinor: exactNumber(event.priceMinor), currency: event.currency };
      return { sku: stream.id, name: event.name, price, onHand: 0, status: 'listed', version: position };
    }
    return row === undefined ? undefined : { ...changed(row, event), version: position };
  },
  schema: {
    type: 'object',
    required: ['sku', 'name', 'price', 'onHand', 'status', 'version'],
    additionalProperties: false,
    properties: {
      sku: { type: 'string' },
      name: { type: 'string' },
      price: {
        type: 'object',
        required: ['amountMinor', 'currency'],
        additionalProperties: false,
        properties: { amountMinor: { type: 'integer' }, currency: { type: 'string' } },
      },
      onHand: { type: 'integer', minimum: 0 },
      status: { enum: ['listed', 'discontinued'] },
      version: { type: 'integer' },
    },
  },
};

type LaterEvent = Exclude<ProductEvent, { $typeName: 'jetledger.product.v1.ProductListed' }>;

function changed(row: ProductRow, event: LaterEvent): ProductRow {
  switch (event.$typeName) {
    case 'jetledger.product.v1.ProductRenamed':
      return { ...row, name: event.name };
    case 'jetledger.product.v1.ProductPriceChanged':
      return { ...row, price: { amountMinor: exactNumber(event.priceMinor), currency: event.currency } };
    case 'jetledger.product.v1.StockReceived':
      return { ...row, onHand: exactNumber(event.onHand) };
    case 'jetledger.product.v1.ProductDiscontinued':
      return { ...row, status: 'discontinued' };
    default:
      return event satisfies never;
  }
}
