import { create, type Message, toBinary } from '@bufbuild/protobuf';
import { order } from '../../../src/domain/order.ts';
import { product } from '../../../src/domain/product.ts';
import { user } from '../../../src/domain/user.ts';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { numberOf, type Position } from '../../../src/eventstore/position.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { OrderPlacedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { ProductListedSchema } from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import { UserCreatedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import type { Buckets } from '../../../src/projections/engine/aliases.ts';
import type { Projection } from '../../../src/projections/engine/projection.ts';
import type { ProjectionSettings } from '../../../src/projections/engine/settings.ts';
import { type Projections, startProjections } from '../../../src/projections/engine/start.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld, type World } from '../../../src/testing/world.ts';

const sources = new Map([user, product, order].map((source) => [source.category, source]));

/** A log, buckets and virtual time for one test. */
export interface ShopWorld {
  readonly world: World;
  readonly runtime: Runtime;
  readonly store: MemoryStore;
  readonly log: Log;
  readonly buckets: Buckets;
  readonly settings: Pick<
    ProjectionSettings,
    'prefix' | 'graceMs' | 'joinDistance' | 'rebuildHint' | 'skipHint'
  >;
  /** Appends one commit and returns its position. */
  append(category: string, id: string, ...events: readonly Message[]): number;
  /** Appends an event whose type nobody knows. */
  appendUnknown(category: string, id: string): number;
  start(projections: readonly Projection[], onError?: (view: string, error: unknown) => void): Projections;
  /** The JSON of a row of a bucket. */
  json(bucket: string, key: string): Promise<unknown>;
}

/** `around` wraps every bucket that is opened, to count or to break its calls. */
export function createShopWorld(
  options: { seed?: number; incarnation?: string; around?: (bucket: Bucket) => Bucket } = {},
): ShopWorld {
  const { around = (bucket) => bucket } = options;
  const world = createWorld(options.seed ?? 1, { maxSteps: 1_000_000 });
  const runtime = world.runtime('main');
  const store = createMemoryStore({ incarnation: options.incarnation ?? 'life-1' });
  const place = { world, actor: 'main' };
  const log = openMemoryLog(store, place);
  const buckets = openMemoryBuckets(createMemoryBucketStores(), (opened) =>
    around(openMemoryBucket(opened, place)),
  );
  const rebuildHint = (view: string): string => `Rebuild ${view}, please.`;
  const skipHint = (position: Position): string => `Skip ${numberOf(position)}, please.`;
  const settings = { prefix: 's', graceMs: 3_000, joinDistance: 200, rebuildHint, skipHint };

  const put = (
    category: string,
    id: string,
    events: { type: string; schemaVersion: number; data: Uint8Array }[],
  ) => {
    const stream = { category, id };
    const commitId = `c${store.head() + 1}`;
    const decisions = [
      {
        commandId: commitId,
        events: events.map((event) => ({ ...event, data: Uint8Array.from(event.data) })),
      },
    ];
    const bytes = toBinary(CommitSchema, create(CommitSchema, { commitId, decisions }));
    return store.put(stream, store.version(stream), bytes, commitId) ?? 0;
  };

  return {
    world,
    runtime,
    store,
    log,
    buckets,
    settings,
    append: (category, id, ...events) => {
      const source = sources.get(category);
      if (source === undefined) throw new Error(`no category ${category}`);
      const codec = codecOf<Message>(source);
      return put(
        category,
        id,
        events.map((event) => codec.encode(event)),
      );
    },
    appendUnknown: (category, id) =>
      put(category, id, [{ type: 'FromTheFuture', schemaVersion: 1, data: new Uint8Array() }]),
    start: (projections, onError) =>
      startProjections({ log, buckets, projections, runtime, settings, ...(onError && { onError }) }),
    json: async (bucket, key) => {
      const row = await (await buckets.open(bucket))?.get(key, { leader: true });
      return row === undefined || row.value.length === 0
        ? undefined
        : JSON.parse(Buffer.from(row.value).toString('utf8'));
    },
  };
}

export const userCreated = (userId: string) =>
  create(UserCreatedSchema, {
    userId,
    email: `${userId}@example.org`,
    name: userId,
    createdAt: 1_900_000_000_000n,
  });

export const productListed = (sku: string) =>
  create(ProductListedSchema, {
    sku,
    name: sku,
    priceMinor: 100n,
    currency: 'EUR',
    listedAt: 1_900_000_000_000n,
  });

export const orderPlaced = (orderId: string, userId: string) =>
  create(OrderPlacedSchema, {
    orderId,
    userId,
    lines: [{ sku: 'TEA', name: 'Tea', quantity: 1n, unitPriceMinor: 100n, lineTotalMinor: 100n }],
    currency: 'EUR',
    totalMinor: 100n,
    placedAt: 1_900_000_000_000n,
  });
