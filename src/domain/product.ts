import { create } from '@bufbuild/protobuf';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  ProductPriceChangedSchema,
  ProductRenamedSchema,
} from '../gen/jetledger/product/v1/product_pb.ts';
import { type Decider, type Rejection, rejected, type Timed } from './decider.ts';
import { isCurrency, isPrice } from './money.ts';
import {
  evolveProduct,
  type ListedProduct,
  noProduct,
  type ProductEvent,
  type ProductState,
  productEvents,
} from './product-state.ts';
import { DISCONTINUED, decideStock, type StockCommand, type StockRejection } from './product-stock.ts';
import { isSku } from './sku.ts';
import { normaliseName } from './text.ts';

/** What can be asked of a product. Prices are minor units of the currency, which is fixed by the listing. */
export type ProductCommand =
  | Timed<{ type: 'list'; sku: string; name: string; priceMinor: bigint; currency: string }>
  /** What is given changes, all at once or not at all. */
  | Timed<{ type: 'change'; name?: string; priceMinor?: bigint; discontinue?: boolean }>
  | StockCommand;

type CommandOf<Type extends ProductCommand['type']> = Extract<ProductCommand, { type: Type }>;

interface OfferRejection extends Rejection {
  readonly code:
    | 'product/not-found'
    | 'product/exists'
    | 'product/invalid-sku'
    | 'product/invalid-name'
    | 'product/invalid-price'
    | 'product/unknown-currency';
}

export type ProductRejection = OfferRejection | StockRejection;

type Outcome = readonly ProductEvent[] | ProductRejection;

function decide(command: ProductCommand, state: ProductState): Outcome {
  if (command.type === 'list') return list(command, state);
  if (state.status === 'absent')
    return rejected('product/not-found', 'There is no such product; list it first.');
  return command.type === 'change' ? change(command, state) : decideStock(command, state);
}

function list(command: CommandOf<'list'>, state: ProductState): Outcome {
  const { sku, priceMinor, currency, at } = command;
  const name = normaliseName(command.name);
  if (state.status !== 'absent') {
    const first = state.firstOffer;
    return first.name === name && first.priceMinor === priceMinor && first.currency === currency
      ? []
      : rejected('product/exists', 'A product with this SKU exists; change it, or list under another SKU.');
  }
  if (!isSku(sku)) {
    return rejected('product/invalid-sku', 'Give a SKU of 1 to 64 capital letters, digits and hyphens.');
  }
  if (name === undefined) return INVALID_NAME;
  if (!isPrice(priceMinor)) return INVALID_PRICE;
  if (!isCurrency(currency)) {
    return rejected('product/unknown-currency', 'Give an active ISO 4217 currency code such as EUR.');
  }
  return [create(ProductListedSchema, { sku, name, priceMinor, currency, listedAt: BigInt(at) })];
}

function change(command: CommandOf<'change'>, product: ListedProduct): Outcome {
  const name = command.name === undefined ? product.name : normaliseName(command.name);
  const priceMinor = command.priceMinor ?? product.priceMinor;
  if (name === undefined) return INVALID_NAME;
  if (!isPrice(priceMinor)) return INVALID_PRICE;
  const renamed = name !== product.name;
  const repriced = priceMinor !== product.priceMinor;
  const discontinued = product.status === 'discontinued';
  if (discontinued && (renamed || repriced)) return DISCONTINUED;

  const at = BigInt(command.at);
  const { priceMinor: previousPriceMinor, currency } = product;
  const changes: ProductEvent[] = [];
  if (renamed) changes.push(create(ProductRenamedSchema, { name, renamedAt: at }));
  if (repriced) {
    const price = { priceMinor, previousPriceMinor, currency };
    changes.push(create(ProductPriceChangedSchema, { ...price, changedAt: at }));
  }
  if (command.discontinue === true && !discontinued) {
    changes.push(create(ProductDiscontinuedSchema, { discontinuedAt: at }));
  }
  return changes;
}

const INVALID_NAME = rejected('product/invalid-name', 'Give a name of 1 to 200 characters on one line.');
const INVALID_PRICE = rejected(
  'product/invalid-price',
  'Give a price in minor units, a whole number from 1 to 9,007,199,254,740,991.',
);

/** An article for sale, its price and its stock. Its id is the SKU, and a SKU is never used for a second article. */
export const product: Decider<ProductState, ProductCommand, ProductEvent, ProductRejection> = {
  category: 'product',
  events: productEvents,
  initial: noProduct,
  evolve: evolveProduct,
  decide,
};
