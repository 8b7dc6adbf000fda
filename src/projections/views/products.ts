import { product } from '../../domain/product.ts';
import type { ProductEvent } from '../../domain/product-state.ts';
import type { Projection } from '../projection.ts';
import { exactNumber } from './json.ts';

/** A product as the API serves it. */
export interface ProductRow {
  readonly sku: string;
  readonly name: string;
  readonly price: { readonly amountMinor: number; readonly currency: string };
  readonly onHand: number;
  /** Promised to orders and not shipped yet. */
  readonly reserved: number;
  /** On hand and not reserved. */
  readonly available: number;
  readonly status: 'listed' | 'discontinued';
  readonly version: number;
}

/** One row per product, by SKU. */
export const products: Projection<ProductRow, ProductEvent> = {
  name: 'products',
  version: 2,
  sources: [product],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { stream, position }) => {
    if (event.$typeName === 'jetledger.product.v1.ProductListed') {
      const price = { amountMinor: exactNumber(event.priceMinor), currency: event.currency };
      return {
        sku: stream.id,
        name: event.name,
        price,
        ...stockOf(0, 0),
        status: 'listed',
        version: position,
      };
    }
    return row === undefined ? undefined : { ...changed(row, event), version: position };
  },
  schema: {
    type: 'object',
    required: ['sku', 'name', 'price', 'onHand', 'reserved', 'available', 'status', 'version'],
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
      reserved: { type: 'integer', minimum: 0 },
      available: { type: 'integer', minimum: 0 },
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
      return { ...row, ...stockOf(exactNumber(event.onHand), row.reserved) };
    case 'jetledger.product.v1.StockReserved':
    case 'jetledger.product.v1.StockReleased':
      return { ...row, ...stockOf(row.onHand, exactNumber(event.reserved)) };
    case 'jetledger.product.v1.StockShipped':
      return { ...row, ...stockOf(exactNumber(event.onHand), exactNumber(event.reserved)) };
    case 'jetledger.product.v1.ProductDiscontinued':
      return { ...row, status: 'discontinued' };
    default:
      return event satisfies never;
  }
}

function stockOf(onHand: number, reserved: number): Pick<ProductRow, 'onHand' | 'reserved' | 'available'> {
  return { onHand, reserved, available: onHand - reserved };
}
