import { expect, it } from 'vitest';
import type { Log } from '../../eventstore/log.ts';
import {
  BEGINNING,
  before,
  isAfter,
  numberOf,
  type Position,
  positionOf,
} from '../../eventstore/position.ts';
import { type ListedStream, listStreams } from '../../eventstore/reading/list-streams.ts';
import {
  type SubscribedEvent,
  type SubscribeOptions,
  subscribe,
} from '../../eventstore/reading/subscribe.ts';
import { all, appendMany, type LogUnderTest, versionOf } from './log-support.ts';
import { added, type CounterEvent, counter, counterRef, noted, toyCommit } from './toy.ts';

const other = { ...counter, category: 'other' };
const sources = [counter];

/** The first `count` events of a subscription, which then ends. */
async function take(log: Log, count: number, options: Partial<SubscribeOptions>) {
  const found: SubscribedEvent<CounterEvent>[] = [];
  for await (const event of subscribe<CounterEvent>(log, { sources, from: 'beginning', ...options })) {
    found.push(event);
    if (found.length === count) break;
  }
  return found;
}

/** All that is stored now and wanted: a subscription that ends once it has caught up. */
async function stored(log: Log, options: Partial<SubscribeOptions> = {}) {
  const end = new AbortController();
  const found: SubscribedEvent<CounterEvent>[] = [];
  const caughtUp = () => end.abort();
  const asked = { sources, from: 'beginning', ...options, signal: end.signal, caughtUp } as const;
  for await (const event of subscribe<CounterEvent>(log, asked)) found.push(event);
  return found;
}

const places = (events: readonly SubscribedEvent[]) => events.map((e) => [numberOf(e.position), e.index]);

/** What `subscribe` and `listStreams` promise. */
export function subscribing(under: () => LogUnderTest): void {
  it('says at once that it has caught up with an empty log, and ends when its signal fires', async () => {
    expect(await stored(under().log)).toEqual([]);
  });

  it('resumes behind every place, also within a commit', async () => {
    const { log } = under();
    const versions: number[] = [];
    for (let i = 1; i <= 4; i++) {
      const commit = toyCommit(`r-${i}`, [added(i), noted('x')], [added(-i)]);
      versions.push(versionOf(await log.append(counterRef('resume'), versions.at(-1) ?? 0, commit)));
    }
    const whole = await stored(log);
    expect(whole).toHaveLength(12);
    for (const [i, { position, index }] of whole.entries()) {
      expect(places(await stored(log, { from: { position, index } }))).toEqual(places(whole.slice(i + 1)));
      const behind = whole.filter((event) => isAfter(event.position, position));
      expect(places(await stored(log, { from: { position } }))).toEqual(places(behind));
    }
  });

  it('gives one aggregate, one category, several, or some types of events, and nothing else', async () => {
    const { log } = under();
    await log.append({ category: 'other', id: 'o' }, 0, toyCommit('o-1', [noted('o')]));
    await log.append(counterRef('alone'), 0, toyCommit('alone-1', [noted('a'), added(5)]));
    const values = async (options: Partial<SubscribeOptions>) =>
      (await stored(log, options)).map(({ event }) => event.value);
    expect(await values({ id: 'alone' })).toEqual(['a', 5]);
    expect(await values({ id: 'nobody' })).toEqual([]);
    expect(await values({ sources: [other] })).toEqual(['o']);
    expect((await stored(log, { sources: [counter, other] })).map(({ stream }) => stream.id)).toEqual([
      ...Array(12).fill('resume'),
      'o',
      'alone',
      'alone',
    ]);
    expect(await values({ types: ['StringValue'], sources: [other, counter] })).toEqual([
      ...['x', 'x', 'x', 'x'],
      ...['o', 'a'],
    ]);
    expect(await values({ types: ['Nothing'] })).toEqual([]);
  });

  it('begins with what is stored after it, at a position or with the first event of a time', async () => {
    const { log } = under();
    const caughtUp: Promise<Position> = new Promise((resolve) => {
      void take(log, 1, {
        from: 'now',
        caughtUp: () => void log.append(counterRef('now'), 0, toyCommit('now-1', [added(77)])),
      }).then(([event]) => resolve(event?.position ?? BEGINNING));
    });
    const position = await caughtUp;
    expect(
      (await stored(log, { from: { position: before(position) } })).map(({ event }) => event.value),
    ).toEqual([77]);
    const time = 1_900_000_000_000;
    expect(await stored(log, { from: { time } })).toEqual(await stored(log));
    expect(await stored(log, { from: { time: time + 1 } })).toEqual([]);
  });

  it('loses and repeats nothing from catching up to live, and keeps the order, under 8 writers', async () => {
    const { log, openSecond } = under();
    const PER_WRITER = 30;
    const from = { position: await log.head() };
    await appendMany(log, counterRef('w-before'), 10);
    const subscriptions = [0, 1].map(() => take(log, 10 + 8 * PER_WRITER, { from }));
    const second = await openSecond();
    await Promise.all(
      Array.from({ length: 8 }, (_, w) => appendMany(w % 2 ? log : second, counterRef(`w-${w}`), PER_WRITER)),
    );
    const [first, again] = await Promise.all(subscriptions);
    expect(places(again ?? [])).toEqual(places(first ?? []));
    const positions = (first ?? []).map(({ position }) => numberOf(position));
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
    for (let w = 0; w < 8; w++) {
      const own = (first ?? []).filter(({ stream }) => stream.id === `w-${w}`);
      expect(own.map(({ event }) => event.value)).toEqual(
        Array.from({ length: PER_WRITER }, (_, i) => i + 1),
      );
    }
  }, 30_000);

  it('lists the aggregates of a category by when they came into being, in pages that writes do not disturb', async () => {
    const { log } = under();
    const created: string[] = [];
    for await (const { id } of listStreams(log, 'counter')) created.push(id);
    expect(created.slice(0, 4)).toEqual(['resume', 'alone', 'now', 'w-before']);
    expect(created.slice(4).sort()).toEqual(Array.from({ length: 8 }, (_, w) => `w-${w}`));
    const paged: string[] = [];
    for (let after: Position | undefined = BEGINNING; after !== undefined; ) {
      const page: ListedStream[] = await all(listStreams(log, 'counter', { after, limit: 3 }));
      paged.push(...page.map(({ id }) => id));
      const last = page.at(-1)?.position;
      after = page.length < 3 ? undefined : last;
      const commit = toyCommit(`more-${paged.length}`, [added(1)]);
      await log.append(counterRef(`z-${paged.length}`), 0, commit);
    }
    expect(paged.slice(0, created.length)).toEqual(created);
    expect(paged.slice(created.length)).toEqual(
      ['z-3', 'z-6', 'z-9', 'z-12', 'z-15'].slice(0, paged.length - created.length),
    );
    expect(await all(listStreams(log, 'nothing'))).toEqual([]);
    const [one] = await all(listStreams(log, 'other'));
    expect(one).toEqual({ id: 'o', position: positionOf(5), createdAt: 1_900_000_000_000 });
  });

  it.each([
    [{ sources: [] }, /sources names no category/],
    [{ sources: [counter, other], id: 'a' }, /id asks for one aggregate/],
  ])('refuses what is no subscription, by the name of the option: %#', async (options, message) => {
    await expect(stored(under().log, options)).rejects.toThrow(message);
  });
}
