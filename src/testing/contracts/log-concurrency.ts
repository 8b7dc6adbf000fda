import { expect, it } from 'vitest';
import type { Log } from '../../eventstore/log.ts';
import { numberOf, versionAt } from '../../eventstore/position.ts';
import type { StreamRef } from '../../eventstore/stream.ts';
import { history, type LogUnderTest } from './log-support.ts';
import { added, counterRef, toyCommit } from './toy.ts';

/** What several writers at once may rely on. */
export function concurrency(under: () => LogUnderTest): void {
  it('lets exactly one of many appends with the same expectation through', async () => {
    const { log, openSecond } = under();
    const second = await openSecond();
    let version = 0;
    for (let round = 0; round < 10; round++) {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 === 0 ? log : second).append(
            counterRef('race'),
            version,
            toyCommit(`race-${round}-${i}`, [added(i)]),
          ),
        ),
      );
      const winners = results.flatMap((result) => (result.appended ? [result.version] : []));
      expect(winners).toHaveLength(1);
      version = winners[0] ?? 0;
    }
    expect((await history(log, counterRef('race'))).at(-1)?.position).toBe(version);
  });

  it('loses and repeats nothing when 50 writers work on 10 aggregates', async () => {
    const { log, openSecond } = under();
    const second = await openSecond();
    const acknowledged = new Map<string, number>();
    const writer = async (w: number): Promise<void> => {
      const own = w % 2 === 0 ? log : second;
      const stream = counterRef(`busy-${w % 10}`);
      for (let i = 0; i < 4; i++) {
        const commitId = `busy-${w}-${i}`;
        acknowledged.set(commitId, await appendEventually(own, stream, commitId));
      }
    };
    await Promise.all(Array.from({ length: 50 }, (_, w) => writer(w)));
    const stored = new Map<string, number>();
    for (let a = 0; a < 10; a++) {
      const commits = await history(log, counterRef(`busy-${a}`));
      expect(commits).toHaveLength(20);
      expect(commits.map((c) => c.previous)).toEqual([0, ...commits.slice(0, -1).map((c) => c.position)]);
      for (const commit of commits) stored.set(commit.commitId, numberOf(commit.position));
    }
    expect(new Map([...stored].sort())).toEqual(new Map([...acknowledged].sort()));
  }, 30_000);
}

async function appendEventually(log: Log, stream: StreamRef, commitId: string): Promise<number> {
  let version = 0;
  for (let attempt = 0; attempt < 500; attempt++) {
    const result = await log.append(stream, version, toyCommit(commitId, [added(1)]));
    if (result.appended) return result.version;
    const last = (await history(log, stream, version)).at(-1);
    if (last !== undefined) version = versionAt(last.position);
  }
  throw new Error(`${commitId} met 500 conflicts`);
}
