import { deleteKey, emptyKeyMap, getKey, type KeyMap, putKey } from './key-map.ts';
import { addKey, emptyKeySet, hasKey, type KeySet } from './key-set.ts';

/** How many ended reservations one generation holds; between this many and twice as many are remembered. */
export const ENDED_GENERATION = 2_000;

/**
 * What is promised to orders, by order id, and which order ids may not reserve any more. Bounded however long a
 * product is sold: of the ended ones two generations are kept, and the older one is dropped when the newer is full.
 * Dropping is safe because the order process also looks at every `StockReserved` and releases it when its order is
 * final already (protocol 10); remembering only spares the stock from being held for that moment.
 */
export interface Reservations {
  readonly open: KeyMap<bigint>;
  readonly ended: KeySet;
  readonly endedCount: number;
  readonly endedBefore: KeySet;
}

/** Of a product that nobody ordered. */
export const noReservations: Reservations = {
  open: emptyKeyMap,
  ended: emptyKeySet,
  endedCount: 0,
  endedBefore: emptyKeySet,
};

/** How many pieces are reserved for an order; undefined when none are. */
export function reservedFor({ open }: Reservations, orderId: string): bigint | undefined {
  return getKey(open, orderId);
}

/** Whether an order's reservation has ended, as far as that is remembered. */
export function isEnded({ ended, endedBefore }: Reservations, orderId: string): boolean {
  return hasKey(ended, orderId) || hasKey(endedBefore, orderId);
}

/** With pieces reserved for an order. */
export function openReservation(reservations: Reservations, orderId: string, quantity: bigint): Reservations {
  return { ...reservations, open: putKey(reservations.open, orderId, quantity) };
}

/** Without the order's reservation, whether there was one or not; the order is barred. */
export function endReservation(reservations: Reservations, orderId: string): Reservations {
  const open = deleteKey(reservations.open, orderId);
  if (isEnded(reservations, orderId)) return { ...reservations, open };
  const { ended, endedCount, endedBefore } = reservations;
  if (endedCount < ENDED_GENERATION) {
    return { open, ended: addKey(ended, orderId), endedCount: endedCount + 1, endedBefore };
  }
  return { open, ended: addKey(emptyKeySet, orderId), endedCount: 1, endedBefore: ended };
}
