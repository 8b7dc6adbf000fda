import { create, type Message, toBinary } from '@bufbuild/protobuf';
import { order } from '../../../src/domain/order.ts';
import { product } from '../../../src/domain/product.ts';
import { user } from '../../../src/domain/user.ts';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { OrderConfirmedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { ProductPriceChangedSchema } from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import { UserRenamedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { followLog } from '../../../src/ledger/follower.ts';
import type { Projection } from '../../../src/projections/engine/projection.ts';
import { rebuild } from '../../../src/projections/engine/rebuild/rebuild.ts';
import { type Projections, startProjections } from '../../../src/projections/engine/start.ts';
import { orders } from '../../../src/projections/views/orders.ts';
import { ordersByUser } from '../../../src/projections/views/orders-by-user.ts';
import { products } from '../../../src/projections/views/products.ts';
import { users } from '../../../src/projections/views/users.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import type { World } from '../../../src/testing/world.ts';
import { createReadModels, type ReadModels } from '../../support/read-models.ts';
import { orderPlaced, productListed, userCreated } from '../../unit/projections/shop-world.ts';

export const USERS = ['u1', 'u2', 'u3'];
const SKUS = ['TEA-1', 'TEA-2'];
const VIEWS: readonly Projection[] = [users, products, orders, ordersByUser];

/** What one commit of the history says; its place in the history is its position, counted from 1. */
export type Said =
  | { readonly of: 'user'; readonly id: string; readonly name: string }
  | { readonly of: 'product'; readonly id: string; readonly price: number }
  | {
      readonly of: 'order';
      readonly id: string;
      readonly userId: string;
      readonly status: 'placed' | 'confirmed';
    };

/** A process that answers queries. */
export interface Reader {
  readonly reads: ReadModels;
  stop(): Promise<void>;
}

/** A log that somebody writes, and processes of one world that keep the views or only read them. */
export interface TokensWorld {
  readonly history: readonly Said[];
  /** Stores one more commit. */
  write(): void;
  reader(actor: string, keeps: boolean): Reader;
  /** Builds some view anew and switches to it. */
  rebuild(actor: string): Promise<unknown>;
}

/** What is planted in those who read. */
export interface TokensPlant {
  readonly around?: (bucket: Bucket) => Bucket;
  readonly coveredBy?: Projections['coveredBy'];
}

export function createTokensWorld(
  world: World,
  { around = (bucket) => bucket, coveredBy }: TokensPlant = {},
): TokensWorld {
  const store = createMemoryStore();
  const shared = createMemoryBucketStores();
  const history: Said[] = [];
  const settings = {
    ...{ prefix: 't', checkpointMs: 50, resolveMs: 200, graceMs: 2_000, joinDistance: 10 },
    ...{ maxInFlight: 4, cacheRows: 3, maxBacklog: 20, backoffBaseMs: 10, backoffCapMs: 100, stopMs: 2_000 },
  };
  const put = <Event extends Message>(
    said: Said,
    source: Parameters<typeof codecOf<Event>>[0],
    event: Event,
  ) => {
    const stream = { category: said.of, id: said.id };
    const commitId = `c${store.head() + 1}`;
    const { data, ...about } = codecOf(source).encode(event);
    const decisions = [{ commandId: commitId, events: [{ ...about, data: Uint8Array.from(data) }] }];
    const bytes = toBinary(CommitSchema, create(CommitSchema, { commitId, decisions }));
    store.put(stream, store.version(stream), bytes, commitId);
    history.push(said);
  };
  const oneOf = (all: readonly string[]) => all[Math.floor(world.random() * all.length)] ?? '';
  const place = (actor: string) => ({ world, actor });
  const bucketsOf = (actor: string, change: typeof around = (bucket) => bucket) =>
    openMemoryBuckets(shared, (opened) => change(openMemoryBucket(opened, place(actor))));

  const writers: (() => void)[] = [
    () => {
      const id = oneOf(USERS);
      const known = history.some((said) => said.of === 'user' && said.id === id);
      const name = known ? `name ${history.length}` : id;
      put({ of: 'user', id, name }, user, known ? create(UserRenamedSchema, { name }) : userCreated(id));
    },
    () => {
      const id = oneOf(SKUS);
      const known = history.some((said) => said.of === 'product' && said.id === id);
      const price = known ? 1_000 + history.length : 100;
      const changed = create(ProductPriceChangedSchema, { priceMinor: BigInt(price), currency: 'EUR' });
      put({ of: 'product', id, price }, product, known ? changed : productListed(id));
    },
    () => {
      const [id, userId] = [`o${history.length}`, oneOf(USERS)];
      put({ of: 'order', id, userId, status: 'placed' }, order, orderPlaced(id, userId));
    },
    () => {
      const all = history.filter((said) => said.of === 'order');
      const open = all.filter(({ id }) => all.filter((said) => said.id === id).length === 1);
      const chosen = open[Math.floor(world.random() * open.length)];
      if (chosen !== undefined)
        put({ ...chosen, status: 'confirmed' }, order, create(OrderConfirmedSchema, { confirmedAt: 1n }));
    },
  ];

  return {
    history,
    write: () => writers[Math.floor(world.random() * writers.length)]?.(),
    reader: (actor, keeps) => {
      const log = openMemoryLog(store, place(actor));
      const runtime = world.runtime(actor);
      const views = keeps
        ? startProjections({ log, buckets: bucketsOf(actor), projections: VIEWS, runtime, settings })
        : undefined;
      const following = { backoffBaseMs: 10, backoffCapMs: 100 };
      const follower = keeps ? undefined : followLog({ log, runtime, views: VIEWS, settings: following });
      const reads = createReadModels({
        log,
        buckets: bucketsOf(actor, around),
        runtime,
        settings,
        requestCheckpoint: views?.requestCheckpoint,
        coveredBy: coveredBy ?? views?.coveredBy ?? follower?.coveredBy,
      });
      return {
        reads,
        stop: async () => {
          await reads.stop();
          follower?.stop();
          await views?.stop();
        },
      };
    },
    rebuild: (actor) =>
      rebuild({
        log: openMemoryLog(store, place(actor)),
        buckets: bucketsOf(actor),
        runtime: world.runtime(actor),
        settings,
        projection: VIEWS[Math.floor(world.random() * VIEWS.length)] ?? users,
      }),
  };
}
