import { create, type MessageShape } from '@bufbuild/protobuf';
import { type ProductEvent, product } from '../../domain/product.ts';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  ProductPriceChangedSchema,
  ProductRenamedSchema,
} from '../../gen/jetledger/public/catalogue/v1/catalogue_pb.ts';
import type { PublicContract } from '../engine/index.ts';

const events = [
  ProductListedSchema,
  ProductRenamedSchema,
  ProductPriceChangedSchema,
  ProductDiscontinuedSchema,
] as const;

/** The catalogue: what is sold at which price. How much of it is there stays with us. */
export const catalogue: PublicContract<ProductEvent, MessageShape<(typeof events)[number]>> = {
  context: 'catalogue',
  version: 1,
  tells: 'what is sold, and at which price',
  source: product,
  events,
  toPublic: {
    'jetledger.product.v1.ProductListed': ({ name, priceMinor, currency, listedAt }, { id: sku }) =>
      create(ProductListedSchema, { sku, name, priceMinor, currency, listedAt }),
    'jetledger.product.v1.ProductRenamed': ({ name, renamedAt }, { id: sku }) =>
      create(ProductRenamedSchema, { sku, name, renamedAt }),
    'jetledger.product.v1.ProductPriceChanged': (event, { id: sku }) => {
      const { priceMinor, previousPriceMinor, currency, changedAt } = event;
      return create(ProductPriceChangedSchema, { sku, priceMinor, previousPriceMinor, currency, changedAt });
    },
    'jetledger.product.v1.ProductDiscontinued': ({ discontinuedAt }, { id: sku }) =>
      create(ProductDiscontinuedSchema, { sku, discontinuedAt }),
    'jetledger.product.v1.StockReceived': 'private',
    'jetledger.product.v1.StockReserved': 'private',
    'jetledger.product.v1.StockReleased': 'private',
    'jetledger.product.v1.StockShipped': 'private',
    'jetledger.product.v1.StockCorrected': 'private',
    'jetledger.product.v1.StockReturned': 'private',
  },
};
