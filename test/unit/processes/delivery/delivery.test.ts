import { describe, expect, it } from 'vitest';
import { type Bucket, type Lineage, LogUnavailable } from '../../../../src/eventstore/index.ts';
import { until } from '../../../../src/testing/until.ts';
import { createShelf, type Shelf } from './shelf.ts';
import { deliveryWorld, type Sent } from './world.ts';

const ids = (sent: readonly Sent[], receiver: string): string[] =>
  sent.filter((one) => one.receiver === receiver).map(({ event }) => event.id);
const range = (from: number, to: number, name = 'orders'): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${name}-${from + index}`);
const fill = (shelf: Shelf, count: number, subjects = 5): void => {
  for (let n = 0; n < count; n++) shelf.put(`s${n % subjects}`);
};

describe('delivery', () => {
  it('hands each receiver what it wants, of every source, once and in order, before and after it has caught up', async () => {
    const [orders, users] = [createShelf('orders'), createShelf('users')];
    fill(orders, 250);
    const { set, start, sent } = deliveryWorld([orders, users]);
    set('all', { ordered: true });
    set('some', { wants: ({ subject }) => subject === 's1' });
    const engine = start('a');
    await until('the backlog is delivered', () => ids(sent, 'all').length === 250);
    fill(orders, 50);
    fill(users, 20);
    await until('what comes is delivered', () => ids(sent, 'all').length === 320);
    await until('to the one that wants little, too', () => ids(sent, 'some').length === 64);
    await engine.stop();
    expect(ids(sent, 'all').filter((id) => id.startsWith('users'))).toHaveLength(20);
    for (const subject of ['s0', 's1', 's2', 's3', 's4']) {
      const got = sent.filter(({ receiver, event }) => receiver === 'all' && event.subject === subject);
      const places = got
        .filter(({ event }) => event.id.startsWith('orders'))
        .map(({ event }) => event.position);
      expect(places).toEqual([...places].sort((a, b) => a - b));
    }
  });

  it('goes on where it was after a restart and repeats nothing that was stored', async () => {
    const orders = createShelf();
    fill(orders, 30);
    const { set, start, sent } = deliveryWorld([orders]);
    set('one');
    const first = start('a');
    await until('it is delivered', () => sent.length === 30);
    await first.stop();
    fill(orders, 10);
    const second = start('b');
    await until('what came meanwhile is delivered', () => sent.length === 40);
    await second.stop();
    expect(ids(sent, 'one')).toEqual(range(1, 40));
  });

  it('goes on at the end of a source that was made anew, says so, and skips nothing that comes to lie where it was', async () => {
    const [before, restored] = [createShelf(), createShelf()];
    fill(before, 10);
    fill(restored, 6);
    let [current, life] = [before, 'first'];
    const source: Shelf = {
      ...before,
      lineage: async () => ({ incarnation: life, former: [] }),
      head: () => current.head(),
      page: (after, subject) => current.page(after, subject),
      at: (position) => current.at(position),
      before: (time) => current.before(time),
      follow: (after, signal) => current.follow(after, signal),
    };
    const { set, start, sent, troubles } = deliveryWorld([source]);
    set('one');
    const first = start('a');
    await until('it is delivered', () => sent.length === 10);
    await first.stop();
    [current, life] = [restored, 'second'];
    const second = start('b');
    await until('it is said', () => troubles.length > 0);
    fill(restored, 4);
    await until('what comes is delivered', () => sent.length === 14);
    await second.stop();
    expect(String(troubles[0])).toContain('orders was made anew');
    expect(ids(sent, 'one').slice(10)).toEqual(range(7, 10));
  });

  it('goes on where it was in a source that came back from a copy, with what was open, and skips nothing behind the copy', async () => {
    const [before, restored] = [createShelf(), createShelf()];
    fill(before, 10);
    fill(restored, 6);
    let [current, lineage]: [Shelf, Lineage] = [before, { incarnation: 'first', former: [] }];
    const source: Shelf = {
      ...before,
      lineage: async () => lineage,
      head: () => current.head(),
      page: (after) => current.page(after),
      at: (position) => current.at(position),
      before: (time) => current.before(time),
      follow: (after, signal) => current.follow(after, signal),
    };
    let failing = true;
    const fails = ({ event: { position } }: Sent) =>
      failing && (position === 4 || position === 9) ? { taken: false, error: 'busy' } : undefined;
    const { set, start, sent, troubles } = deliveryWorld([source], fails);
    set('one');
    const first = start('a');
    await until('it is delivered', () => new Set(ids(sent, 'one')).size === 10);
    await first.stop();
    const stillOpen = sent.length;
    [current, lineage] = [restored, { incarnation: 'second', former: [{ incarnation: 'first', last: 6 }] }];
    failing = false;
    fill(restored, 4);
    const second = start('b');
    await until('what is open and what comes is delivered', () => sent.length === stillOpen + 5);
    await second.stop();
    expect(ids(sent, 'one').slice(stillOpen).sort()).toEqual([...range(4, 4), ...range(7, 10)].sort());
    expect(troubles).toEqual([]);
  });

  it('is shared by instances, and another one goes on where one was that is cut off', async () => {
    const orders = createShelf();
    const { set, start, sent } = deliveryWorld([orders]);
    for (let n = 0; n < 8; n++) set(`r${n}`);
    let away = false;
    const cutOff = (bucket: Bucket): Bucket => ({
      ...bucket,
      write: async (row) => {
        if (away) throw new LogUnavailable('cut off');
        return bucket.write(row);
      },
    });
    const first = start('a', {}, cutOff);
    const second = start('b');
    fill(orders, 20);
    await until('everybody has everything', () => sent.length === 160);
    away = true;
    fill(orders, 20);
    await until('everybody has the rest', () =>
      [...Array(8).keys()].every((n) => new Set(ids(sent, `r${n}`)).size === 40),
    );
    await second.stop();
    away = false;
    await first.stop();
  });

  it('goes on from its place as it is stored when somebody else has written it, and stores it again', async () => {
    const orders = createShelf();
    const { set, start, sent, places } = deliveryWorld([orders]);
    set('one');
    const engine = start('a');
    fill(orders, 20);
    await until('it is delivered', () => sent.length === 20);
    await until('the place is stored', async () => (await places()).high('one') === 20);
    await (await places()).write('one', 30);
    // What it stores next is refused, and that tells it.
    fill(orders, 20);
    await until('it goes on', () => ids(sent, 'one').includes('orders-40'));
    await until('it stores again', async () => (await places()).high('one') === 40);
    await engine.stop();
    expect(ids(sent, 'one').slice(-10)).toEqual(range(31, 40));
  });

  it('takes a place over also when an earlier owner writes it in between', async () => {
    const orders = createShelf();
    const { set, start, sent } = deliveryWorld([orders]);
    set('one');
    fill(orders, 5);
    let first = true;
    const engine = start('a', {}, (bucket) => ({
      ...bucket,
      write: async (row) => {
        if (first && row.key === 'receiver.one') {
          first = false;
          await bucket.write({ ...row, value: Buffer.from('{"sources":{},"owner":"an earlier one"}') });
        }
        return bucket.write(row);
      },
    }));
    await until('it delivers', () => sent.length === 5);
    await engine.stop();
  });

  it('lets a receiver that hangs delay nobody else', async () => {
    const orders = createShelf();
    const { set, start, sent } = deliveryWorld([orders], ({ receiver }) =>
      receiver === 'dead' ? new Promise(() => undefined) : undefined,
    );
    set('dead');
    set('well');
    const engine = start('a');
    fill(orders, 300);
    await until('the other one has everything', () => ids(sent, 'well').length === 300);
    expect(ids(sent, 'dead').length).toBeLessThanOrEqual(16);
    await engine.stop();
  });

  it('keeps a place and no events for a receiver that takes nothing, and gives it all once it does', async () => {
    const orders = createShelf();
    let away = true;
    const world = deliveryWorld([orders], () => (away ? { taken: false, error: 'status 500' } : undefined));
    world.set('one', { ordered: false });
    const engine = world.start('a', { giveUpMs: 60_000 });
    fill(orders, 5_000);
    await until('it is tried', () => world.sent.length > 20);
    expect(engine.status()[0]?.lag).toBeLessThanOrEqual(600);
    away = false;
    const got = () =>
      new Set(world.sent.filter(({ event }) => event.position > 0).map(({ event }) => event.id)).size;
    await until('it has everything', () => got() === 5_000, 20_000);
    await engine.stop();
  });

  it('gives up one event that is never taken, and disables a receiver that takes nothing', async () => {
    const orders = createShelf();
    const world = deliveryWorld([orders], ({ receiver, event }) =>
      receiver === 'dead' || event.position === 3 ? { taken: false, error: 'status 500' } : undefined,
    );
    world.set('dead');
    world.set('well', { ordered: true });
    const engine = world.start('a', { giveUpMs: 150 });
    const feeding = setInterval(() => orders.put(`s${orders.all.length % 5}`), 10);
    await until('one event is given up', () => world.givenUp.length > 0);
    await until('the dead one is disabled', () => world.disabled.length > 0);
    clearInterval(feeding);
    await engine.stop();
    expect(world.givenUp[0]).toMatchObject({ receiver: 'well', error: 'status 500', event: { position: 3 } });
    expect(world.disabled).toContain('dead failing');
    expect(world.givenUp.every(({ receiver }) => receiver === 'well')).toBe(true);
  });

  it('holds, in order, only the aggregate whose event nobody takes, however many follow it, and goes on with it once that is given up', async () => {
    const orders = createShelf();
    orders.put('bad');
    const world = deliveryWorld([orders], ({ event }) =>
      event.position === 1 ? { taken: false, error: 'status 400' } : undefined,
    );
    world.set('one', { ordered: true });
    const engine = world.start('a', { giveUpMs: 1_500, maxOpen: 20 });
    await until('it is tried', () => world.sent.length > 0);
    for (let n = 0; n < 300; n++) orders.put(n % 3 === 0 ? `well-${n}` : 'bad');
    const got = (subject: string) =>
      world.sent.map(({ event }) => event).filter((event) => event.subject.startsWith(subject));
    await until('the others are sent', () => got('well').length === 100);
    expect(new Set(got('bad').map(({ position }) => position))).toEqual(new Set([1]));
    await until('all that waits is counted', () => engine.status()[0]?.lag === 201);
    await until('the rest is sent', () => got('bad').at(-1)?.position === 301);
    await until('nothing is left', () => engine.status()[0]?.lag === 0);
    await engine.stop();
    expect(world.givenUp.map(({ event }) => event.position)).toEqual([1]);
    expect(world.disabled).toEqual([]);
    const places = got('bad')
      .map(({ position }) => position)
      .filter((position) => position > 1);
    expect(places).toEqual(
      orders.all.flatMap(({ subject, position }) => (subject === 'bad' && position > 1 ? [position] : [])),
    );
  });

  it('gives up whatever has waited too long for a receiver that stays and takes nothing, read or not, and loses none of the rest', async () => {
    const orders = createShelf();
    fill(orders, 300);
    let away = true;
    const failed = { taken: false, error: 'status 500' };
    const world = deliveryWorld([orders], () => (away ? failed : undefined), { disables: false });
    world.set('one');
    const engine = world.start('a', { giveUpMs: 150, maxOpen: 40 });
    await until('what is old is given up', () => world.givenUp.length >= 300);
    fill(orders, 200);
    away = false;
    const got = () =>
      new Set([...world.givenUp.map(({ event }) => event.id), ...ids(world.sent, 'one').slice(-200)]);
    await until('the rest is sent', () => got().size === 500);
    await engine.stop();
    expect(world.disabled).toEqual([]);
    expect(world.givenUp.filter(({ attempts }) => attempts === 0).length).toBeGreaterThan(200);
  });

  it('passes over what turns out to be unwanted: that neither counts against a receiver nor says that it is back', async () => {
    const orders = createShelf();
    fill(orders, 30);
    let away = true;
    const answer = ({ event }: Sent) => {
      if (event.position % 2 === 0) return { taken: false, unwanted: true };
      return away ? { taken: false, error: 'status 500' } : undefined;
    };
    const world = deliveryWorld([orders], answer, { disables: false });
    world.set('one');
    const engine = world.start('a', { giveUpMs: 60_000, pauseCapMs: 10 });
    await until('it is tried in vain', () => world.sent.length > 40);
    away = false;
    const taken = () =>
      world.sent.filter(({ event }) => event.position % 2 === 1).map(({ event }) => event.id);
    await until('the others are sent', () => new Set(taken()).size === 15);
    await until('nothing is open', () => engine.status()[0]?.lag === 0);
    await engine.stop();
    expect(ids(world.sent, 'one').filter((id) => Number(id.slice(7)) % 2 === 0)).toHaveLength(15);
  });

  it('gives up again what was a dead letter, was asked for again, and is not taken', async () => {
    const orders = createShelf();
    fill(orders, 3);
    const world = deliveryWorld([orders], () => ({ taken: false, error: 'status 500' }));
    const [again, asked] = [orders.all[1], orders.all[2]];
    const place = { source: 'orders', position: 2 };
    world.set('one', {
      enabled: false,
      requests: [
        { requestId: 'again', kind: 'event', eventId: again?.id ?? '', place, at: 0 },
        { requestId: 'asked', kind: 'event', eventId: asked?.id ?? '', place: undefined, at: 0 },
      ],
    });
    const engine = world.start('a');
    await until('both are through', () => world.completed.length === 2);
    await engine.stop();
    expect(world.givenUp).toMatchObject([{ receiver: 'one', event: { position: 2 }, error: 'status 500' }]);
  });

  it('sends what is asked for: a test also to one that is disabled, one event, and those of a period', async () => {
    let clock = 1_000;
    const orders = createShelf('orders', () => clock++);
    fill(orders, 20);
    const world = deliveryWorld([orders], ({ event }) =>
      event.position === 7 ? { taken: false } : undefined,
    );
    const at = 0;
    world.set('one', {
      enabled: false,
      createdAt: 5_000,
      requests: [
        { requestId: 'test-1', kind: 'test', at },
        { requestId: 'event-1', kind: 'event', eventId: 'orders-4', place: undefined, at },
        { requestId: 'event-2', kind: 'event', eventId: 'unknown', place: undefined, at },
        { requestId: 'period-1', kind: 'period', since: 1_005, until: 1_010, at },
      ],
    });
    const engine = world.start('a');
    await until('all of it is through', () => world.completed.length === 4);
    await engine.stop();
    expect(world.completed).toEqual([
      { id: 'one', requestId: 'test-1', delivered: 1, failed: 0 },
      { id: 'one', requestId: 'event-1', delivered: 1, failed: 0 },
      { id: 'one', requestId: 'event-2', delivered: 0, failed: 1 },
      { id: 'one', requestId: 'period-1', delivered: 4, failed: 1 },
    ]);
    expect(ids(world.sent, 'one')).toEqual(['test-1', 'orders-4', ...range(6, 10)]);
  });
});
