import { beforeAll, expect, it } from 'vitest';
import { BEGINNING, isAfter, numberOf, positionOf } from '../../eventstore/position.ts';
import type { Control } from '../../eventstore/stream.ts';
import { appendMany, history, type LogUnderTest, scanAll } from './log-support.ts';
import { counterRef } from './toy.ts';

const KINDS: readonly Control[] = ['fence', 'marks'];

/** Every reader passes the log's own messages, as positions without a commit. */
export function controls(under: () => LogUnderTest): void {
  const commits: number[] = [];
  const own: number[] = [];
  let end = 0;
  beforeAll(async () => {
    const { log, putControl } = under();
    const put = async (): Promise<void> => {
      for (const kind of KINDS) own.push(await putControl(kind));
    };
    await put();
    for (const id of ['a', 'b', 'c']) {
      commits.push(...(await appendMany(log, counterRef(id), 2)));
      await put();
    }
    end = numberOf(await log.head());
  });

  it('the end of the log is its last position, whatever is there', () => {
    expect(end).toBe(own.at(-1));
  });

  it('a scan delivers the commits only, and says how far it came', async () => {
    let through = BEGINNING;
    for await (const batch of under().log.scan({ after: BEGINNING })) {
      expect(batch.through).toBeGreaterThan(numberOf(through));
      expect(batch.commits.some(({ position }) => isAfter(position, batch.through))).toBe(false);
      through = batch.through;
    }
    expect(through).toBe(end);
    expect((await scanAll(under().log, { after: BEGINNING })).map(({ position }) => position)).toEqual(
      commits,
    );
  });

  it('a scan that follows passes what comes later', async () => {
    const { log, putControl } = under();
    const stop = new AbortController();
    let through = 0;
    let put: Promise<number> | undefined;
    for await (const batch of log.scan({ after: positionOf(end), follow: true, signal: stop.signal })) {
      put ??= putControl('fence');
      expect(batch.commits).toEqual([]);
      through = numberOf(batch.through);
      if (through > end) stop.abort();
    }
    expect(through).toBe(await put);
    end = through;
  });

  it('a scan of a category or a share meets none of them', async () => {
    for (const filter of [{ category: 'counter' }, { group: { count: 4, index: 0 } }] as const) {
      for await (const { commits, through } of under().log.scan({ after: BEGINNING, filter })) {
        expect(through).toBe(commits.at(-1)?.position ?? BEGINNING);
      }
    }
  });

  it('there is no commit at their positions, and the next one lies behind them', async () => {
    const { log } = under();
    for (const position of own.map(positionOf)) {
      expect(await log.at(position)).toBeUndefined();
      const next = commits.find((commit) => isAfter(positionOf(commit), position));
      expect((await log.next(position))?.position).toBe(next);
    }
    for (const position of commits.map(positionOf))
      expect((await log.next(position))?.position).toBe(position);
    expect(await log.next(positionOf(end + 1))).toBeUndefined();
  });

  it('an aggregate is read and appended to as if they were not there', async () => {
    const { log } = under();
    const read = await history(log, counterRef('b'));
    expect(read.map(({ position }) => position)).toEqual(commits.slice(2, 4));
    expect(read.map(({ previous }) => previous)).toEqual([0, commits[2]]);
  });
}
