import { type Bucket, systemRuntime } from '../../../../src/eventstore/index.ts';
import type {
  Deliverable,
  DeliverySettings,
  GivenUpEvent,
  Receiver,
  Tried,
} from '../../../../src/processes/delivery/port.ts';
import type { StoredReceiver } from '../../../../src/processes/delivery/receiver.ts';
import { deliveryBucket, deliveryWorker, type Receivers } from '../../../../src/processes/delivery/worker.ts';
import { type Buckets, startEngine } from '../../../../src/processes/engine/index.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../../src/testing/memory-bucket.ts';
import { createMemoryLog } from '../../../../src/testing/memory-log.ts';
import type { Shelf } from './shelf.ts';

export interface Sent {
  readonly receiver: string;
  readonly event: Deliverable;
  readonly attempt: number;
}

/** Answers a try; undefined = taken. */
type Answer = (sent: Sent) => Tried | Promise<Tried> | undefined;

const TAKEN: Tried = { taken: true };

/** Receivers in memory, what they were sent, and engines that share them. */
export function deliveryWorld(
  shelves: readonly Shelf[],
  answer: Answer = () => undefined,
  { disables = true } = {},
) {
  const receivers = new Map<string, Receiver>();
  const watchers = new Set<(id: string) => void>();
  const sent: Sent[] = [];
  const [givenUp, disabled, completed, troubles]: [GivenUpEvent[], string[], unknown[], unknown[]] = [
    [],
    [],
    [],
    [],
  ];
  const stores = createMemoryBucketStores();
  const log = createMemoryLog();
  const told = (id: string): void => {
    for (const changed of watchers) changed(id);
  };
  const set = (id: string, of: Partial<Receiver> = {}): void => {
    const before = receivers.get(id);
    const deliver = async (event: Deliverable, attempt: number): Promise<Tried> => {
      const one = { receiver: id, event, attempt };
      sent.push(one);
      return (await answer(one)) ?? TAKEN;
    };
    receivers.set(id, {
      ...{ id, enabled: true, ordered: false, createdAt: 0, renewedAt: 0, requests: [] },
      wants: () => true,
      deliver,
      ...before,
      ...of,
    });
    told(id);
  };
  const directory: Receivers = {
    all: () => receivers.values(),
    get: (id) => receivers.get(id),
    watch: (changed, signal) => {
      watchers.add(changed);
      signal.addEventListener('abort', () => watchers.delete(changed), { once: true });
    },
  };
  const disable = async (id: string, cause: string): Promise<void> => {
    disabled.push(`${id} ${cause}`);
    set(id, { enabled: false });
  };
  const start = (
    instance: string,
    settings: Partial<DeliverySettings> = {},
    wrap: (bucket: Bucket) => Bucket = (bucket) => bucket,
  ) => {
    const opened = openMemoryBuckets(stores, (store) => wrap(openMemoryBucket(store)));
    const buckets: Buckets = opened;
    const worker = deliveryWorker({
      ...{ name: 'webhooks', buckets, prefix: 'jl', runtime: systemRuntime, sources: shelves },
      receivers: directory,
      settings: { retryBaseMs: 5, retryCapMs: 20, pauseCapMs: 20, storeMs: 10, stopMs: 200, ...settings },
      outlet: {
        giveUp: async (given) => void givenUp.push(given),
        ...(disables && { disable }),
        complete: async (id, requestId, counts) => {
          completed.push({ id, requestId, ...counts });
          const { requests } = receivers.get(id) as Receiver;
          set(id, { requests: requests.filter((request) => request.requestId !== requestId) });
        },
        testEvent: (requestId, at) => ({
          ...{ source: '', position: 0, id: requestId, type: 'test', subject: '', time: at },
          body: () => '{}',
        }),
        find: async (_id, eventId) => {
          for (const shelf of shelves)
            for (const { id, position } of shelf.all)
              if (id === eventId) return { source: shelf.name, position };
          return undefined;
        },
        trouble: (_what, error) => troubles.push(error),
      },
    });
    return startEngine({
      ...{ log, buckets, runtime: systemRuntime, consumers: [], workers: [worker] },
      settings: { prefix: 'jl', instance, ttlMs: 400, stopMs: 300 },
    });
  };
  /** The places of the first shelf as they are stored. */
  const places = async () => {
    const bucket = await openMemoryBuckets(stores, (store) => openMemoryBucket(store)).create(
      deliveryBucket('jl'),
      { durable: true },
    );
    const [shelf] = shelves as readonly [Shelf];
    const rows = new Map<string, { readonly value: StoredReceiver; readonly revision: number }>();
    for await (const { key, value, revision } of bucket.rows({ prefix: 'receiver.' }))
      rows.set(key, { value: JSON.parse(Buffer.from(value).toString('utf8')) as StoredReceiver, revision });
    return {
      high: (id: string) => rows.get(`receiver.${id}`)?.value.sources[shelf.name]?.high,
      write: async (id: string, high: number) => {
        const row = rows.get(`receiver.${id}`);
        const sources = { [shelf.name]: { incarnation: 'first', high, open: [] } };
        const value = Buffer.from(JSON.stringify({ ...row?.value, sources, owner: 'another' }));
        await bucket.write({ key: `receiver.${id}`, value, expectedRevision: row?.revision ?? 0 });
      },
    };
  };
  return { receivers, sent, givenUp, disabled, completed, troubles, places, set, start };
}
