import {
  addKey,
  emptyKeySet,
  hasKey,
  type KeySet,
  type PackedKeys,
  packKeys,
  unpackKeys,
} from './key-map.ts';
import {
  emptySectionedMap,
  lookUp,
  type PackedMap,
  packMap,
  type SectionedMap,
  type SectionLimits,
  setIn,
  unpackMap,
} from './sectioned-map.ts';

/** How many ended reservations one generation holds; between this many and twice as many are remembered. */
export const ENDED_GENERATION = 2_000;

/** 100,000 open reservations are then sections of 780, about 37 KB each; a million still fit. */
const OPEN_LIMITS: SectionLimits = { inOnePiece: 1_000, sections: 128, generation: 2_000 };

/**
 * What is promised to orders, by order id, and which order ids may not reserve any more. Bounded however long a
 * product is sold: of the ended ones two generations are kept, and the older one is dropped when the newer is full.
 * Dropping is safe because the order process also looks at every `StockReserved` and releases it when its order is
 * final already (protocol 10); remembering only spares the stock from being held for that moment.
 */
export interface Reservations {
  /** However many there are, a command needs the section of its own order only. */
  readonly open: SectionedMap<bigint>;
  readonly ended: KeySet;
  readonly endedCount: number;
  readonly endedBefore: KeySet;
}

/** Of a product that nobody ordered. */
export const noReservations: Reservations = {
  open: emptySectionedMap(OPEN_LIMITS),
  ended: emptyKeySet,
  endedCount: 0,
  endedBefore: emptyKeySet,
};

/** How many pieces are reserved for an order; undefined when none are. */
export function reservedFor({ open }: Reservations, orderId: string): bigint | undefined {
  return lookUp(open, orderId);
}

/** Whether an order's reservation has ended, as far as that is remembered. */
export function isEnded({ ended, endedBefore }: Reservations, orderId: string): boolean {
  return hasKey(ended, orderId) || hasKey(endedBefore, orderId);
}

/** With pieces reserved for an order. */
export function openReservation(reservations: Reservations, orderId: string, quantity: bigint): Reservations {
  return { ...reservations, open: setIn(reservations.open, orderId, quantity) };
}

/** Without the order's reservation, whether there was one or not; the order is barred. */
export function endReservation(reservations: Reservations, orderId: string): Reservations {
  const open = setIn(reservations.open, orderId, null);
  if (isEnded(reservations, orderId)) return { ...reservations, open };
  const { ended, endedCount, endedBefore } = reservations;
  if (endedCount < ENDED_GENERATION) {
    return { open, ended: addKey(ended, orderId), endedCount: endedCount + 1, endedBefore };
  }
  return { open, ended: addKey(emptyKeySet, orderId), endedCount: 1, endedBefore: ended };
}

/** Reservations without the sections of the open ones, as few bytes. */
export interface PackedReservations {
  readonly open: PackedMap<bigint>;
  readonly ended: PackedKeys<true>;
  readonly endedCount: number;
  readonly endedBefore: PackedKeys<true>;
}

/** What a snapshot holds of them. */
export function packReservations(reservations: Reservations): PackedReservations {
  const { open, ended, endedCount, endedBefore } = reservations;
  return { open: packMap(open), ended: packKeys(ended), endedCount, endedBefore: packKeys(endedBefore) };
}

/** The reservations in a snapshot. */
export function unpackReservations(packed: PackedReservations): Reservations {
  const { open, ended, endedCount, endedBefore } = packed;
  return {
    open: unpackMap(open),
    ended: unpackKeys(ended),
    endedCount,
    endedBefore: unpackKeys(endedBefore),
  };
}
