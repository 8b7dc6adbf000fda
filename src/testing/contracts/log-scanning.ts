import { beforeAll, expect, it } from 'vitest';
import type { LogBatch, ScanOptions } from '../../eventstore/log.ts';
import { BEGINNING, numberOf, positionOf } from '../../eventstore/position.ts';
import { matchesFilter, type SlotGroup, type StreamRef } from '../../eventstore/stream.ts';
import { appendMany, type LogUnderTest, scanAll } from './log-support.ts';
import { counterRef } from './toy.ts';

/** What `scan` promises. */
export function scanning(under: () => LogUnderTest): void {
  const ids = Array.from({ length: 120 }, (_, i) => `scan-${i}`);
  const all: { stream: StreamRef; position: number }[] = [];
  beforeAll(async () => {
    const { log } = under();
    for (const [index, id] of ids.entries()) {
      const stream = { category: index % 3 === 0 ? 'other' : 'counter', id };
      const versions = await appendMany(log, stream, 1 + (index % 4));
      all.push(...versions.map((position) => ({ stream, position })));
    }
  });
  const positionsOf = async (options: ScanOptions): Promise<number[]> =>
    (await scanAll(under().log, options)).map((commit) => numberOf(commit.position));

  it('yields every commit of the log once, in order, with its aggregate', async () => {
    const commits = await scanAll(under().log, { after: BEGINNING });
    expect(commits.map(({ stream, position }) => ({ stream, position }))).toEqual(all);
  });

  it('starts behind the given position', async () => {
    for (const after of [1, 57, all.length - 1, all.length, all.length + 10]) {
      expect(await positionsOf({ after: positionOf(after) })).toEqual(
        all.map((c) => c.position).filter((p) => p > after),
      );
    }
  });

  it('filters by category', async () => {
    const expected = all.filter((c) => c.stream.category === 'other').map((c) => c.position);
    expect(await positionsOf({ after: BEGINNING, filter: { category: 'other' } })).toEqual(expected);
    expect(await positionsOf({ after: BEGINNING, filter: { category: 'absent' } })).toEqual([]);
  });

  for (const count of [1, 4, 16, 64] as const) {
    it(`partitions the log exactly into ${count} groups, each in order`, async () => {
      const seen: number[] = [];
      for (let index = 0; index < count; index++) {
        const filter = { group: { count, index } satisfies SlotGroup };
        const positions = await positionsOf({ after: BEGINNING, filter });
        const expected = all.filter((c) => matchesFilter(filter, c.stream)).map((c) => c.position);
        expect(positions).toEqual(expected);
        seen.push(...positions);
      }
      expect(seen.sort((a, b) => a - b)).toEqual(all.map((c) => c.position));
    });
  }

  it('filters by category and group together', async () => {
    const filter = { category: 'counter', group: { count: 4, index: 2 } } as const;
    const expected = all.filter((c) => matchesFilter(filter, c.stream)).map((c) => c.position);
    expect(await positionsOf({ after: BEGINNING, filter })).toEqual(expected);
    expect(expected.length).toBeGreaterThan(0);
  });

  it('counts down what is pending to zero at the end', async () => {
    const pending: number[] = [];
    let seen = 0;
    for await (const batch of under().log.scan({ after: BEGINNING })) {
      seen += batch.commits.length;
      pending.push(batch.pending);
      expect(batch.pending).toBe(all.length - seen);
    }
    expect(pending.at(-1)).toBe(0);
  });

  it('ends, without `follow`, where the log ended when it began', async () => {
    const { log } = under();
    const end = await log.head();
    let last = BEGINNING;
    let appended = false;
    for await (const batch of log.scan({ after: BEGINNING })) {
      if (!appended) await appendMany(log, counterRef('during-scan'), 5);
      appended = true;
      last = batch.commits.at(-1)?.position ?? last;
    }
    expect(last).toBe(end);
    all.push(
      ...(await scanAll(log, { after: end })).map(({ stream, position }) => ({
        stream,
        position: numberOf(position),
      })),
    );
  });

  it('says at once, when it follows and nothing is there, that it is at the end', async () => {
    const { log } = under();
    const stop = new AbortController();
    const after = await log.head();
    for await (const batch of log.scan({ after, follow: true, signal: stop.signal })) {
      expect(batch).toEqual({ commits: [], through: after, pending: 0 });
      stop.abort();
    }
  });

  it('follows: later appends of other processes arrive in order, until the signal ends it without throwing', async () => {
    const { log, openSecond } = under();
    const second = await openSecond();
    const stop = new AbortController();
    const from = await log.head();
    const seen: number[] = [];
    const expected: number[] = [];
    let writing: Promise<void> | undefined;
    const write = async (): Promise<void> => {
      for (let i = 0; i < 4; i++) {
        expected.push(...(await appendMany(second, counterRef(`follow-${i}`), 3)));
      }
    };
    for await (const batch of log.scan({ after: from, follow: true, signal: stop.signal })) {
      writing ??= write();
      seen.push(...batch.commits.map(({ position }) => numberOf(position)));
      if (seen.length === 12) stop.abort();
    }
    await writing;
    expect(seen).toEqual(expected);
  });

  it('follows with a filter: what does not match is not delivered', async () => {
    const { log } = under();
    const stop = new AbortController();
    const from = await log.head();
    await appendMany(log, { category: 'unwanted', id: 'a' }, 3);
    const [wanted] = await appendMany(log, { category: 'wanted', id: 'a' }, 1);
    const seen: number[] = [];
    const filter = { category: 'wanted' };
    for await (const batch of log.scan({ after: from, filter, follow: true, signal: stop.signal })) {
      seen.push(...batch.commits.map(({ position }) => numberOf(position)));
      if (seen.length > 0) stop.abort();
    }
    expect(seen).toEqual([wanted]);
  });

  it('yields nothing when the signal has already fired', async () => {
    const batches: LogBatch[] = [];
    const scan = under().log.scan({ after: BEGINNING, follow: true, signal: AbortSignal.abort() });
    for await (const batch of scan) batches.push(batch);
    expect(batches).toEqual([]);
  });
}
