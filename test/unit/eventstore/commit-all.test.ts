import { describe, expect, it } from 'vitest';
import { part } from '../../../src/eventstore/commit-all.ts';
import type { Handler } from '../../../src/eventstore/handler.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { type CounterCommand, counter } from '../../../src/testing/contracts/toy.ts';
import { add, meta, note, service, valuesOf } from './kernel.ts';

const both = (handler: Handler, id: string, a: CounterCommand, b: CounterCommand) =>
  handler.commitAll([part(counter, 'a', a), part(counter, 'b', b)], meta(id, JSON.stringify([a, b])));

describe('a commit of several aggregates', () => {
  it('stores one commit on each, under one commit id, and tells the versions in the order of the parts', async () => {
    const { handler, log } = service();
    expect(await both(handler, 'c1', add(5), note('x'))).toEqual({
      outcome: 'accepted',
      versions: [1, 2],
      repeated: false,
    });
    expect([await valuesOf(log, 'a'), await valuesOf(log, 'b')]).toEqual([[[5]], [['x']]]);
    expect((await log.at(positionOf(1)))?.commitId).toBe((await log.at(positionOf(2)))?.commitId);
  });

  it('stores nothing anywhere when one aggregate rejects, and names it', async () => {
    const { handler, log } = service();
    expect(await both(handler, 'c1', add(5), add(-1))).toMatchObject({
      outcome: 'rejected',
      category: 'counter',
      id: 'b',
      rejection: { code: 'counter/below-zero' },
    });
    expect(await log.head()).toBe(0);
  });

  it('confirms a rejection on the tail before it gives it', async () => {
    const { handler, start } = service();
    const other = start();
    await handler.execute(counter, 'b', add(1), meta('c0'));
    await other.load(counter, 'b');
    await handler.execute(counter, 'b', add(9), meta('c1'));
    expect(await both(other, 'c2', add(1), add(-10))).toMatchObject({ outcome: 'accepted' });
  });

  it('confirms "nothing to do" on the tail, also when the others have something to do', async () => {
    const { handler, start, log } = service();
    const unnoted = {
      ...counter,
      sections: undefined,
      decide: (by: number, s: typeof counter.initial) => counter.decide(add(by - s.total), s),
    };
    const set = (h: Handler, id: string, to: number) =>
      h.commitAll([part(counter, 'a', add(1)), part(unnoted, 'b', to)], meta(id));
    await handler.execute(unnoted, 'b', 5, meta('c0'));
    const other = start();
    await other.load(unnoted, 'b');
    await handler.execute(unnoted, 'b', 7, meta('c1'));
    expect(await set(other, 'c2', 5)).toEqual({ outcome: 'accepted', versions: [3, 4], repeated: false });
    expect(await valuesOf(log, 'b')).toEqual([[5], [2], [-2]]);
  });

  it('is unchanged when nobody has anything to do, and writes only where somebody has', async () => {
    const { handler, log } = service();
    expect(await both(handler, 'c1', add(0), add(0))).toEqual({ outcome: 'unchanged' });
    expect(await both(handler, 'c2', add(0), add(4))).toEqual({
      outcome: 'accepted',
      versions: [0, 1],
      repeated: false,
    });
    expect(await log.head()).toBe(1);
  });

  it('is decided again on the tails when others were faster', async () => {
    const { handler, start, log } = service();
    await both(handler, 'c1', add(1), add(1));
    const other = start();
    await both(other, 'c2', add(1), add(1));
    expect(await both(handler, 'c3', add(1), add(1))).toMatchObject({
      outcome: 'accepted',
      versions: [5, 6],
    });
    expect((await handler.load(counter, 'b')).state.total).toBe(3);
    expect(await log.head()).toBe(6);
  });

  it('names the aggregate, what was expected and what is there when an expectation does not hold', async () => {
    const { handler, start, log } = service();
    const rest = start();
    await rest.load(counter, 'b');
    await handler.execute(counter, 'b', add(1), meta('c0'));
    const parts = (expected: 'none' | 'exists' | number) => [
      part(counter, 'a', add(1)),
      part(counter, 'b', add(1), expected),
    ];
    const conflict = { outcome: 'conflict', category: 'counter', id: 'b', actual: 1 };
    expect(await rest.commitAll(parts('none'), meta('c1'))).toEqual({ ...conflict, expected: 'none' });
    expect(await handler.commitAll(parts(7), meta('c2'))).toEqual({ ...conflict, expected: 7 });
    expect(await log.head()).toBe(1);
    expect(await rest.commitAll(parts(1), meta('c3'))).toMatchObject({
      outcome: 'accepted',
      versions: [2, 3],
    });
  });

  it('is decided again until its deadline when others are faster, and never answered as a conflict', async () => {
    const { handler, log } = service();
    const crowd = service({ log }).handler;
    await handler.execute(counter, 'b', add(1), meta('c0'));
    const { appendAll } = log;
    let rivals = 0;
    let last = 20;
    Object.assign(log, {
      appendAll: async (entries: Parameters<typeof appendAll>[0]) => {
        if (rivals < last) await crowd.execute(counter, 'b', add(1), meta(`rival-${++rivals}`));
        return appendAll(entries);
      },
    });
    const crowded = [part(counter, 'a', add(1)), part(counter, 'b', add(1), 'exists')];
    const { handler: own } = service({ log, settings: { deadlineMs: 1_000 } });
    expect(await own.commitAll(crowded, meta('c1'))).toMatchObject({ outcome: 'accepted' });
    expect(rivals).toBe(20);
    last = 1_000;
    await expect(own.commitAll(crowded, meta('c2'))).rejects.toMatchObject({ code: 'command/deadline' });
    expect(await valuesOf(log, 'a')).toEqual([[1]]);
  });

  it('is refused when it names an aggregate twice, or none', async () => {
    const { handler, log } = service();
    const twins = [part(counter, 'a', add(1)), part(counter, 'b', add(1)), part(counter, 'a', add(2))];
    await expect(handler.commitAll(twins, meta('c1'))).rejects.toThrow('counter/a twice');
    await expect(handler.commitAll([], meta('c1'))).rejects.toMatchObject({ code: 'commit/invalid' });
    expect(await log.head()).toBe(0);
  });

  it('fails with the error of a decider that throws, and stores nothing', async () => {
    const { handler, log } = service();
    const buggy = {
      ...counter,
      decide: (): never => {
        throw new TypeError('a bug');
      },
    };
    const parts = [part(counter, 'a', add(1)), part(buggy, 'b', add(1))];
    await expect(handler.commitAll(parts, meta('c1'))).rejects.toThrow('a bug');
    expect(await log.head()).toBe(0);
  });
});

describe('a commit of several aggregates that is repeated', () => {
  it('gets the same versions again, from the same process and after a restart', async () => {
    const { handler, start, log } = service();
    await both(handler, 'c1', add(1), add(2));
    await both(handler, 'c2', add(3), add(4));
    const again = { outcome: 'accepted', versions: [1, 2], repeated: true };
    expect(await both(handler, 'c1', add(1), add(2))).toEqual(again);
    expect(await both(start(), 'c1', add(1), add(2))).toEqual(again);
    expect(await log.head()).toBe(4);
  });

  it('gets them from a process that had cached one of the aggregates before', async () => {
    const { handler, start } = service();
    await handler.execute(counter, 'b', add(1), meta('c0'));
    const other = start();
    await other.load(counter, 'b');
    await both(handler, 'c1', add(1), add(2));
    expect(await both(other, 'c1', add(1), add(2))).toEqual({
      outcome: 'accepted',
      versions: [2, 3],
      repeated: true,
    });
  });

  it('gets all of them also when it is stored while the tails are being read', async () => {
    const { handler, start, log } = service();
    await handler.execute(counter, 'b', add(1), meta('c0'));
    let twin: Promise<unknown> | undefined;
    const { read } = log;
    // Only the other process reads like this: the tail of b before the commit, the tail of a after it.
    Object.assign(log, {
      read: async (...[stream, options]: Parameters<typeof read>) => {
        if (stream.id === 'a' && options.confirm) {
          twin ??= both(handler, 'c1', add(1), add(2));
          await twin;
        }
        return read(stream, options);
      },
    });
    const other = start();
    await other.load(counter, 'b');
    await handler.execute(counter, 'b', add(1), meta('c2'));
    const again = await both(other, 'c1', add(1), add(2));
    expect(again).toEqual({ outcome: 'accepted', versions: [3, 4], repeated: true });
    expect(await log.head()).toBe(4);
  });

  it('is refused with another content', async () => {
    const { handler } = service();
    await both(handler, 'c1', add(1), add(2));
    expect(await both(handler, 'c1', add(1), add(3))).toEqual({
      outcome: 'key-reused',
      category: 'counter',
      id: 'a',
      version: 1,
    });
  });

  it('sent to several processes at once is stored once', async () => {
    const { start, log } = service();
    const answers = await Promise.all([1, 2, 3, 4].map(() => both(start(), 'c1', add(1), add(2))));
    expect(await log.head()).toBe(2);
    expect(answers.map((a) => a.outcome === 'accepted' && a.versions)).toEqual(Array(4).fill([1, 2]));
  });
});
