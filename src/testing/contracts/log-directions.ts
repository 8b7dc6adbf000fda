import { beforeAll, expect, it } from 'vitest';
import { ahead, BEGINNING, positionOf, versionAt } from '../../eventstore/position.ts';
import { type ReadStreamOptions, readEvents, readStream } from '../../eventstore/reading/read-stream.ts';
import { all, appendMany, type LogUnderTest, versionOf } from './log-support.ts';
import { added, type CounterEvent, counter, counterRef, noted, toyCommit } from './toy.ts';

/** What `last` promises, and reading an aggregate in both directions, which is made of it. */
export function directions(under: () => LogUnderTest): void {
  const stream = counterRef('both-ways');
  /** Every version of the aggregate, somebody else's message among them. */
  let versions: number[] = [];
  let foreign = 0;
  beforeAll(async () => {
    const { log, intrude } = under();
    versions = await appendMany(log, stream, 3);
    await appendMany(log, counterRef('beside'), 5);
    foreign = await intrude(stream, Uint8Array.of(1, 2, 3));
    versions.push(foreign);
    await appendMany(log, counterRef('beside-too'), 2);
    for (let i = 1; i <= 3; i++) {
      const commit = toyCommit(`late-${i}`, [added(i), noted(`${i}`)], [added(-i)]);
      versions.push(versionOf(await log.append(stream, versions.at(-1) ?? 0, commit)));
    }
    await appendMany(log, counterRef('behind'), 2);
  });

  const read = async (options: ReadStreamOptions): Promise<number[]> => {
    const found: number[] = [];
    for await (const commit of readStream(under().log, stream, options))
      found.push(versionAt(commit.position));
    return found;
  };

  it('finds the last commit of an aggregate, and at or before any position of the log', async () => {
    const { log } = under();
    expect((await log.last(stream))?.position).toBe(versions.at(-1));
    expect(await log.last(counterRef('nobody'))).toBeUndefined();
    const end = versionAt(ahead(await log.head(), 3));
    for (let upTo = 0; upTo <= end; upTo++) {
      const last = await log.last(stream, positionOf(upTo));
      expect([upTo, last?.position]).toEqual([upTo, versions.filter((v) => v <= upTo).at(-1)]);
    }
    expect(await log.last(stream, BEGINNING)).toBeUndefined();
    expect((await log.last(stream, positionOf(foreign)))?.foreign).toBeDefined();
  });

  it('reads any part of a history in either direction, from and to any position, up to a limit', async () => {
    const end = (versions.at(-1) ?? 0) + 2;
    const bounds = [undefined, 0, 1, versions[1], foreign - 1, foreign, foreign + 1, versions[4], end];
    for (const from of bounds) {
      for (const to of bounds) {
        const forwards = versions.filter((v) => v >= (from ?? 0) && v <= (to ?? end));
        expect(await read({ from, to })).toEqual(forwards);
        const backwards = versions.filter((v) => v <= (from ?? end) && v >= (to ?? 0)).reverse();
        expect(await read({ from, to, direction: 'backwards' })).toEqual(backwards);
      }
      for (const limit of [1, 2, 100]) {
        expect(await read({ from, limit })).toEqual(versions.filter((v) => v >= (from ?? 0)).slice(0, limit));
        const below = versions.filter((v) => v <= (from ?? end)).reverse();
        expect(await read({ from, limit, direction: 'backwards' })).toEqual(below.slice(0, limit));
      }
    }
  }, 30_000);

  it('gives a page as short as it was asked for, and confirms the end where it is reached', async () => {
    const { log } = under();
    const page = await log.read(stream, { after: versions[0] ?? 0, confirm: true, limit: 1 });
    expect([page.commits.map((c) => c.position), page.more, page.confirmedEnd]).toEqual([
      [versions[1]],
      true,
      false,
    ]);
    const whole = await log.read(stream, { after: 0, confirm: true, limit: 200 });
    expect([whole.commits.length, whole.more, whole.confirmedEnd]).toEqual([versions.length, false, true]);
  });

  it('gives each event an id, a place and, from the beginning, a number; backwards the same in the other order', async () => {
    const { log } = under();
    const forwards = await all(readEvents<CounterEvent>(log, counter, stream.id));
    expect(forwards.map(({ event }) => event.value)).toEqual([1, 2, 3, 1, '1', -1, 2, '2', -2, 3, '3', -3]);
    expect(forwards.map(({ ordinal }) => ordinal)).toEqual(forwards.map((_, i) => i + 1));
    expect(forwards.slice(3, 6).map(({ position, index }) => [position, index])).toEqual([
      [versions[4], 0],
      [versions[4], 1],
      [versions[4], 2],
    ]);
    expect(new Set(forwards.map(({ id }) => id)).size).toBe(forwards.length);
    const backwards = await all(
      readEvents<CounterEvent>(log, counter, stream.id, { direction: 'backwards', limit: 5 }),
    );
    const unnumbered = forwards.map((event) => ({ ...event, ordinal: undefined }));
    expect(backwards).toEqual(unnumbered.reverse().slice(0, 5));
  });

  it.each([
    [{ limit: 0 }, /option limit is 0/],
    [{ from: -1 }, /option from is -1/],
    [{ to: 1.5 }, /option to is 1.5/],
  ])('refuses an option that is no part of a history, by its name: %j', async (options, message) => {
    await expect(read(options)).rejects.toThrow(message);
  });
}
