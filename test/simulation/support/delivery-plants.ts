import type { Bucket } from '../../../src/eventstore/bucket.ts';
import type { Lineage } from '../../../src/eventstore/log.ts';
import type { DeliveryOutlet, DeliverySource, Receiver } from '../../../src/processes/delivery/port.ts';
import type { StoredReceiver } from '../../../src/processes/delivery/receiver.ts';
import { toBytes } from '../../../src/processes/engine/rows.ts';
import type { Worker } from '../../../src/processes/engine/worker.ts';
import type { MemoryBucketStores } from '../../../src/testing/memory-bucket.ts';
import { PLACE, placeIn } from './delivery-places.ts';

/** Spoils what an instance works with; makes the fault that the simulation must find. */
export interface DeliveryPlant {
  bucket?(bucket: Bucket, stores: MemoryBucketStores): Bucket;
  source?(source: DeliverySource): DeliverySource;
  outlet?(outlet: DeliveryOutlet): DeliveryOutlet;
  worker?(worker: Worker): Worker;
  receiver?(receiver: Receiver): Receiver;
  /** What a stream that is put back says of itself. */
  lineage?(lineage: Lineage): Lineage;
  /** In which order a backup copies. */
  readonly backup?: readonly ('places' | 'dead letters')[];
}

/** What protocol 34 relies on, each switched off. */
export const deliveryPlants: Readonly<Record<string, DeliveryPlant>> = {
  'a place that forgets what is open': {
    bucket: (bucket) =>
      writing(bucket, (value) => ({
        ...value,
        sources: Object.fromEntries(
          Object.entries(value.sources).map(([name, place]) => [name, { ...place, open: [] }]),
        ),
      })),
  },
  'a place that is stored without a fence': {
    bucket: (bucket, stores) => ({
      ...bucket,
      write: async (row) => {
        const found = row.key.startsWith(PLACE) && placeIn(stores, row.key.slice(PLACE.length));
        return bucket.write(found ? { ...row, expectedRevision: found.revision } : row);
      },
    }),
  },
  'an owner that never hears that it is none': {
    worker: (worker) => ({
      ...worker,
      own: (share) => worker.own({ ...share, alive: () => true, signal: new AbortController().signal }),
    }),
  },
  'a later event that does not wait for the earlier ones': {
    receiver: (receiver) => ({ ...receiver, ordered: false }),
  },
  'an event that counts as given up before it is kept': {
    outlet: (outlet) => ({
      ...outlet,
      giveUp: async (given) => void outlet.giveUp(given).catch(() => undefined),
    }),
  },
  'a page that says more than it has seen': {
    source: (source) => ({
      ...source,
      page: async (after, subject) => {
        const { events, through } = await source.page(after, subject);
        return { events, through: subject === undefined ? await source.head() : through };
      },
    }),
  },
  'a held aggregate that is read again less far than it says': {
    source: (source) => ({
      ...source,
      page: async (after, subject) => {
        const { events, through } = await source.page(after, subject);
        return { events, through: subject === undefined ? through : await source.head() };
      },
    }),
  },
  'a place that forgets which aggregates are held': {
    bucket: (bucket) =>
      writing(bucket, (value) => ({
        ...value,
        sources: Object.fromEntries(
          Object.entries(value.sources).map(([name, { ahead, ...place }]) => [
            name,
            { ...place, high: ahead?.high ?? place.high },
          ]),
        ),
      })),
  },
  'a stream that is put back and does not say what it was': {
    lineage: (lineage) => ({ ...lineage, former: [] }),
  },
  'a backup that copies dead letters before the places': { backup: ['dead letters', 'places'] },
};

/** Changes what is stored as a place. */
function writing(bucket: Bucket, change: (value: StoredReceiver) => StoredReceiver): Bucket {
  return {
    ...bucket,
    write: (row) => {
      const value = row.value && JSON.parse(Buffer.from(row.value).toString());
      return bucket.write(row.key.startsWith(PLACE) ? { ...row, value: toBytes(change(value)) } : row);
    },
  };
}
