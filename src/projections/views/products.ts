import { type ProductEvent, product } from '../../domain/product.ts';
import { versionAt } from '../../eventstore/index.ts';
import type {
  Page,
  PageRequest,
  Projection,
  ReadOptions,
  ReadRow,
  ViewIndex,
  ViewReader,
} from '../engine/index.ts';

import { listOf } from './filters.ts';
import { exactNumber } from './json.ts';
import { folded, namesFrom } from './names.ts';

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
        version: versionAt(position),
      };
    }
    return row === undefined ? undefined : { ...changed(row, event), version: versionAt(position) };
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
    case 'jetledger.product.v1.StockCorrected':
    case 'jetledger.product.v1.StockReturned':
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

const BY_SKU = [[], ['status'], ['inStock'], ['inStock', 'status']].map((equal) => ({ equal, sort: 'sku' }));

/** What products are found by. */
export const productIndex: ViewIndex<ProductRow> = {
  view: products,
  version: 1,
  columns: { status: 'text', inStock: 'integer', sku: 'text', name: 'text' },
  lists: [...BY_SKU, ...BY_SKU.map(({ equal }) => ({ equal, sort: 'name' }))],
  entryOf: ({ sku, name, status, available }) => ({
    sku,
    name: folded(name),
    status,
    inStock: Number(available > 0),
  }),
};

/** Which products are wanted. */
export interface ProductFilter {
  /** Only products whose name begins like this, whatever the case, sorted by name; default: all, sorted by SKU. */
  readonly namePrefix?: string | undefined;
  readonly status?: ProductRow['status'] | undefined;
  /** Whether some are on hand and not reserved. */
  readonly inStock?: boolean | undefined;
}

/** What can be asked of the view. @throws ViewBehind, LogUnavailable, InvalidCursor */
export interface ProductQueries {
  product(sku: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** By SKU, or by name, ascending. @throws ListNotBuilt */
  products(filter: ProductFilter, page: PageRequest): Promise<Page>;
}

export function productQueries(views: ViewReader): ProductQueries {
  return {
    product: (sku, options) => views.row(products, sku, options),
    products: async ({ namePrefix, status, inStock }, page) => {
      const equal = { status, inStock: inStock === undefined ? undefined : Number(inStock) };
      if (namePrefix === undefined) return views.page(productIndex, listOf(productIndex, 'sku', equal), page);
      const names = namesFrom(namePrefix);
      return views.page(productIndex, { ...listOf(productIndex, 'name', equal), ...names }, page);
    },
  };
}
