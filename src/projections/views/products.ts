import { type ProductEvent, product } from '../../domain/product.ts';
import { type Row, versionAt } from '../../eventstore/index.ts';
import {
  PART,
  type Page,
  type PageRequest,
  type Projection,
  parseRow,
  type ReadOptions,
  type ReadRow,
  type ViewIndex,
  type ViewReader,
} from '../engine/index.ts';

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

/** Products, all of them or those whose names begin alike. */
export interface ProductPageRequest extends PageRequest {
  /** Only products whose name begins like this, whatever the case, sorted by name; default: all, sorted by SKU. */
  readonly namePrefix?: string | undefined;
}

const BY_SKU = 'sku';

const BY_NAME = 'name';

/**
 * A name as it is compared: case and composition of letters do not matter. Upper case first, for letters that have one
 * lower case and two upper ones (ß); a sigma is written differently where a word ends, which a prefix does anywhere.
 */
function folded(name: string): string {
  const lower = name.normalize('NFC').toUpperCase().toLowerCase();
  return lower.replaceAll('ς', 'σ').normalize('NFC').replaceAll(PART, ' ');
}

/** A product stands in two lists: by SKU and by name. */
function placesOf(row: Row): string[] {
  const { name } = parseRow(row.value) as ProductRow;
  return [[BY_SKU, row.key].join(PART), [BY_NAME, folded(name), row.key].join(PART)];
}

const index: ViewIndex = { view: products, placesOf };

/** What can be asked of the view. @throws ViewBehind, LogUnavailable, InvalidCursor */
export interface ProductQueries {
  product(sku: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** By SKU, or by name, ascending. */
  products(page: ProductPageRequest): Promise<Page>;
}

export function productQueries(views: ViewReader): ProductQueries {
  return {
    product: (sku, options) => views.row(products, sku, options),
    products: (page) => {
      const { namePrefix } = page;
      const prefix = namePrefix === undefined ? BY_SKU + PART : BY_NAME + PART + folded(namePrefix);
      return views.page(index, { list: `products/${prefix}`, prefix }, page);
    },
  };
}
