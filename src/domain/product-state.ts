import type { MessageShape } from '@bufbuild/protobuf';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  ProductPriceChangedSchema,
  ProductRenamedSchema,
  StockReceivedSchema,
  StockReleasedSchema,
  StockReservedSchema,
  StockShippedSchema,
} from '../gen/jetledger/product/v1/product_pb.ts';
import { emptyKeyMap, type KeyMap, putKey } from './key-map.ts';
import {
  endReservation,
  noReservations,
  openReservation,
  type Reservations,
} from './product-reservations.ts';

/** The schemas of everything that can happen to a product. */
export const productEvents = [
  ProductListedSchema,
  ProductRenamedSchema,
  ProductPriceChangedSchema,
  StockReceivedSchema,
  StockReservedSchema,
  StockReleasedSchema,
  StockShippedSchema,
  ProductDiscontinuedSchema,
] as const;

/** What can happen to a product. */
export type ProductEvent = MessageShape<(typeof productEvents)[number]>;

/** As a product is sold. The price is in minor units, the currency ISO 4217. */
export interface Offer {
  readonly name: string;
  readonly priceMinor: bigint;
  readonly currency: string;
}

/** A product that was listed. `onHand` is what is in the warehouse; what is promised to orders does not lower it. */
export interface ListedProduct extends Offer {
  readonly status: 'listed' | 'discontinued';
  /** As it was first listed: the same listing again is a repetition, whatever has changed since. */
  readonly firstOffer: Offer;
  readonly onHand: bigint;
  /** The sum of the open reservations; never more than `onHand`. */
  readonly reserved: bigint;
  readonly reservations: Reservations;
  /** Quantity by receipt id, for ever. */
  readonly receipts: KeyMap<bigint>;
}

export type ProductState = { readonly status: 'absent' } | ListedProduct;

/** Before the first event. */
export const noProduct: ProductState = { status: 'absent' };

/** What a product is after an event; total. */
export function evolveProduct(state: ProductState, event: ProductEvent): ProductState {
  if (event.$typeName === 'jetledger.product.v1.ProductListed') {
    const { name, priceMinor, currency } = event;
    const offer: Offer = { name, priceMinor, currency };
    const stock = { onHand: 0n, reserved: 0n, reservations: noReservations, receipts: emptyKeyMap };
    return { status: 'listed', ...offer, firstOffer: offer, ...stock };
  }
  if (state.status === 'absent') return state;
  const { reservations } = state;
  switch (event.$typeName) {
    case 'jetledger.product.v1.ProductRenamed':
      return { ...state, name: event.name };
    case 'jetledger.product.v1.ProductPriceChanged':
      return { ...state, priceMinor: event.priceMinor };
    case 'jetledger.product.v1.StockReceived': {
      const { receiptId, quantity, onHand } = event;
      return { ...state, onHand, receipts: putKey(state.receipts, receiptId, quantity) };
    }
    case 'jetledger.product.v1.StockReserved': {
      const { orderId, quantity, reserved } = event;
      return { ...state, reserved, reservations: openReservation(reservations, orderId, quantity) };
    }
    case 'jetledger.product.v1.StockReleased':
      return {
        ...state,
        reserved: event.reserved,
        reservations: endReservation(reservations, event.orderId),
      };
    case 'jetledger.product.v1.StockShipped': {
      const { orderId, onHand, reserved } = event;
      return { ...state, onHand, reserved, reservations: endReservation(reservations, orderId) };
    }
    case 'jetledger.product.v1.ProductDiscontinued':
      return { ...state, status: 'discontinued' };
    default:
      event satisfies never;
      return state;
  }
}
