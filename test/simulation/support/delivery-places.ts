import type { MemoryBucketStores } from '../../../src/testing/memory-bucket.ts';
import { simulatedSettings } from './engine-world.ts';

/** The keys of places. */
export const PLACE = 'receiver.';
const BUCKET = `${simulatedSettings.prefix}_deliveries`;
/** A receiver's place as it is stored now. */
export const placeIn = (stores: MemoryBucketStores, receiver: string) =>
  stores.stores.get(BUCKET)?.store.last(`${PLACE}${receiver}`);

/** Copies the places of receivers. @returns to be called to put them back */
export function copyPlaces(stores: MemoryBucketStores, names: readonly string[]): () => void {
  const copied = names.map((name) => [`${PLACE}${name}`, placeIn(stores, name)?.value] as const);
  return () => {
    const store = stores.stores.get(BUCKET)?.store;
    for (const [key, value] of copied)
      store?.put([{ key, value, expectedRevision: store.last(key)?.revision ?? 0 }]);
  };
}
