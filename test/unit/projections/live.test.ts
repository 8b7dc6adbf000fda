import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { UnknownEventType } from '../../../src/eventstore/errors.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { BEGINNING, numberOf, positionOf } from '../../../src/eventstore/position.ts';
import {
  CustomerValidatedSchema,
  OrderCancelledSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import type { LiveEnd, LiveOpening, LiveStream } from '../../../src/projections/views/live-fold.ts';
import {
  createLiveOrders,
  type LiveSettings,
  type RunningLiveOrders,
} from '../../../src/projections/views/live-orders.ts';
import { createShopWorld, orderPlaced, productListed, type ShopWorld } from './shop-world.ts';

interface LiveShop extends ShopWorld {
  readonly live: RunningLiveOrders;
  /** How often the log was scanned. */
  readonly scans: () => number;
  /** What is wrong with the server now. */
  readonly trouble: Trouble;
}

interface Trouble {
  /** Histories end behind this position, as a leader tells them that was paused. */
  staleAt?: number;
  /** How long the reader waits for each batch, in milliseconds. */
  lagMs?: number;
}

async function withLive(settings: Partial<LiveSettings>, play: (shop: LiveShop) => Promise<void>) {
  const shop = createShopWorld();
  let scans = 0;
  const trouble: Trouble = {};
  const log: Log = {
    ...shop.log,
    read: async (stream, options) => {
      const page = await shop.log.read(stream, options);
      const { staleAt = Number.POSITIVE_INFINITY } = trouble;
      return { ...page, commits: page.commits.filter(({ position }) => numberOf(position) <= staleAt) };
    },
    scan: async function* (options) {
      scans++;
      for await (const batch of shop.log.scan(options)) {
        if (trouble.lagMs !== undefined) await shop.runtime.sleep(trouble.lagMs);
        yield batch;
      }
    },
  };
  const live = createLiveOrders({ log, runtime: shop.runtime, settings });
  await shop.world.run(async () => {
    await play({ ...shop, live, scans: () => scans, trouble });
    live.stop();
  });
}

function opened(opening: LiveOpening): LiveStream {
  if (!opening.opened) throw new Error(opening.why);
  return opening.stream;
}

/** The next commits as `position status ...`, or why there are none. */
async function take(stream: LiveStream, count: number): Promise<(string | LiveEnd)[]> {
  const taken: string[] = [];
  for (let i = 0; i < count; i++) {
    const next = await stream.next();
    taken.push(
      typeof next === 'string' ? next : `${numberOf(next.commit.position)} ${next.statuses.join(' ')}`,
    );
  }
  return taken;
}

const validated = () => create(CustomerValidatedSchema);
const cancelled = () => create(OrderCancelledSchema, { reason: 'enough' });

test("an order's stream begins with its history, tells the status after each event, and goes on", () =>
  withLive({}, async ({ live, append }) => {
    append('order', 'o1', orderPlaced('o1', 'u1'), validated());
    append('order', 'o2', orderPlaced('o2', 'u1'));
    const stream = opened(await live.order('o1'));
    expect([stream.userId, stream.start]).toEqual(['u1', 0]);
    expect(await take(stream, 1)).toEqual(['1 placed placed']);
    append('order', 'o2', cancelled());
    append('order', 'o1', cancelled());
    expect(await take(stream, 1)).toEqual(['4 cancelled']);
    stream.close();
    expect(await take(stream, 1)).toEqual(['closed']);
  }));

test('an order that nobody placed is absent, and a place beyond the end is not in the log', () =>
  withLive({}, async ({ live, append }) => {
    append('order', 'o1', orderPlaced('o1', 'u1'));
    expect(await live.order('o9')).toEqual({ opened: false, why: 'absent' });
    expect(await live.order('o1', { position: positionOf(2) })).toEqual({ opened: false, why: 'not-in-log' });
    expect(await live.user('u1', { position: positionOf(2) })).toEqual({ opened: false, why: 'not-in-log' });
  }));

test("a user's stream begins now, and resumes behind a place, also inside a commit", () =>
  withLive({}, async ({ live, append }) => {
    append('order', 'o1', orderPlaced('o1', 'u1'));
    const stream = opened(await live.user('u1'));
    expect(stream.start).toBe(1);
    append('order', 'o2', orderPlaced('o2', 'u2'));
    append('order', 'o1', validated(), cancelled());
    append('order', 'o3', orderPlaced('o3', 'u1'));
    expect(await take(stream, 2)).toEqual(['3 placed cancelled', '4 placed']);
    expect(await take(opened(await live.user('u1', { position: positionOf(3) })), 1)).toEqual(['4 placed']);
    expect(await take(opened(await live.user('u1', { position: positionOf(3), seen: 1 })), 2)).toEqual([
      '3 placed cancelled',
      '4 placed',
    ]);
  }));

test('what a history left out because its leader was stale is read again with the next commit', () =>
  withLive({}, async ({ live, append, runtime, trouble }) => {
    append('order', 'o1', orderPlaced('o1', 'u1'));
    append('order', 'o1', validated());
    await live.user('u1');
    trouble.staleAt = 1;
    const stream = opened(await live.order('o1'));
    expect(await take(stream, 1)).toEqual(['1 placed']);
    const rest = take(stream, 2);
    await runtime.sleep(100);
    delete trouble.staleAt;
    append('order', 'o1', cancelled());
    expect(await rest).toEqual(['2 placed', '3 cancelled']);
  }));

test('a client that is ahead of the process it comes to sees nothing twice', () =>
  withLive({}, async ({ live, append, trouble }) => {
    append('order', 'o1', orderPlaced('o1', 'u1'));
    await live.user('u1');
    trouble.lagMs = 5_000;
    for (let i = 0; i < 3; i++) append('order', 'o1', validated());
    const stream = opened(await live.user('u1', { position: positionOf(3) }));
    expect(await take(stream, 1)).toEqual(['4 placed']);
  }));

test('an idle client is moved on by what it was not interested in, but never past what waits for it', () =>
  withLive({ replayCommits: 3 }, async ({ live, append, runtime }) => {
    append('order', 'o1', orderPlaced('o1', 'u1'));
    const stream = opened(await live.user('u1'));
    for (let i = 2; i < 10; i++) append('order', `o${i}`, orderPlaced(`o${i}`, 'u2'));
    await runtime.sleep(1_000);
    expect(stream.settled()).toBe(9);
    expect(await live.user('u1', { position: positionOf(1) })).toEqual({ opened: false, why: 'too-old' });
    expect((await live.user('u1', { position: stream.settled() ?? BEGINNING })).opened).toBe(true);
    append('order', 'o1', validated());
    await runtime.sleep(1_000);
    expect(stream.settled()).toBeUndefined();
    expect(await take(stream, 1)).toEqual(['10 placed']);
    expect(stream.settled()).toBe(10);
  }));

test('a process that has just started resumes what another one streamed', () =>
  withLive({ replayCommits: 5 }, async ({ live, append }) => {
    for (let i = 1; i <= 20; i++) append('order', `o${i}`, orderPlaced(`o${i}`, 'u1'));
    expect(await take(opened(await live.user('u1', { position: positionOf(16) })), 4)).toHaveLength(4);
    expect(await live.user('u1', { position: positionOf(14) })).toEqual({ opened: false, why: 'too-old' });
  }));

test.each<[string, Partial<LiveSettings>]>([
  ['events', { maxEvents: 4 }],
  ['bytes', { maxBytes: 2_000 }],
])('a client that does not read is ended at its bound of %s, and keeps what it got', (_of, settings) =>
  withLive(settings, async ({ live, append, runtime }) => {
    append('order', 'o1', orderPlaced('o1', 'u1'));
    const [slow, quick] = [opened(await live.order('o1')), opened(await live.order('o1'))];
    expect(await take(slow, 1)).toEqual(['1 placed']);
    await take(quick, 1);
    for (let position = 2; position < 12; position++) {
      append('order', 'o1', validated());
      await runtime.sleep(100);
      expect(await take(quick, 1)).toEqual([`${position} placed`]);
    }
    await slow.over;
    expect(await take(slow, 2)).toEqual(['slow', 'closed']);
    expect(await take(opened(await live.order('o1', { position: positionOf(1) })), 1)).toEqual(['2 placed']);
  }),
);

test('an event that cannot be read ends the streams that it may belong to, and no others', () =>
  withLive({}, async ({ live, append, appendUnknown }) => {
    for (const [id, user] of [
      ['o1', 'u1'],
      ['o2', 'u2'],
    ] as const)
      append('order', id, orderPlaced(id, user));
    const order = opened(await live.order('o1'));
    const other = opened(await live.order('o2'));
    const [user, otherUser] = [opened(await live.user('u1')), opened(await live.user('u2'))];
    await take(order, 1);
    await take(other, 1);
    appendUnknown('order', 'o1');
    append('order', 'o2', validated());
    await expect(order.next()).rejects.toThrow(UnknownEventType);
    await expect(user.next()).rejects.toThrow(UnknownEventType);
    expect(await take(other, 1)).toEqual(['4 placed']);
    expect(await take(otherUser, 1)).toEqual(['4 placed']);
    await expect(live.user('u1', { position: positionOf(2) })).rejects.toThrow(UnknownEventType);
    appendUnknown('order', 'o9');
    // Nobody knows whose it is.
    await expect(otherUser.next()).rejects.toThrow(UnknownEventType);
    await expect(live.order('o9')).rejects.toThrow(UnknownEventType);
  }));

test('nothing is read before the first client, then one reader serves all; its end closes every stream', () =>
  withLive({}, async ({ live, append, scans, runtime }) => {
    append('product', 'TEA', productListed('TEA'));
    for (let i = 0; i < 5; i++) append('order', `o${i}`, orderPlaced(`o${i}`, 'u1'));
    await runtime.sleep(1_000);
    expect(scans()).toBe(0);
    const streams: LiveStream[] = [];
    for (let i = 0; i < 100; i++) streams.push(opened(await live.order(`o${i % 5}`)));
    for (let i = 0; i < 100; i++) streams.push(opened(await live.user('u1')));
    expect(scans()).toBe(1);
    live.stop();
    for (const stream of streams.slice(100)) expect(await stream.next()).toBe('closed');
    await expect(live.user('u1')).rejects.toThrow('cannot be reached');
  }));

test('a foreign message is a version without events: streams pass it, and miss nothing behind it', () =>
  withLive({}, async ({ live, append, store }) => {
    const intrude = (id: string) => {
      const of = { category: 'order', id };
      store.put(of, store.version(of), Uint8Array.of(0x78));
    };
    intrude('o1');
    append('order', 'o1', orderPlaced('o1', 'u1'));
    intrude('o1');
    const [one, all] = [
      opened(await live.order('o1')),
      opened(await live.user('u1', { position: BEGINNING })),
    ];
    expect([one.userId, await take(one, 1), await take(all, 1)]).toEqual(['u1', ['2 placed'], ['2 placed']]);
    intrude('o1');
    append('order', 'o1', validated());
    intrude('o2');
    expect([await take(one, 1), await take(all, 1)]).toEqual([['5 placed'], ['5 placed']]);
    expect(await live.order('o2')).toEqual({ opened: false, why: 'absent' });
  }));
