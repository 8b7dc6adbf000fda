import { beforeAll, expect, it } from 'vitest';
import { ahead, BEGINNING, numberOf, positionOf } from '../../eventstore/position.ts';
import { appendMany, history, type LogUnderTest, scanAll, versionOf } from './log-support.ts';
import { added, counterRef, noted, toyCommit, toyValues } from './toy.ts';

/** What `read`, `at`, `head` and `incarnation` promise. */
export function reading(under: () => LogUnderTest): void {
  it('answers an empty log with head 0, no commit at 1 and an empty scan', async () => {
    const { log } = under();
    expect(await log.head()).toBe(0);
    expect(await log.at(positionOf(1))).toBeUndefined();
    expect(await scanAll(log, { after: BEGINNING })).toEqual([]);
  });

  it('reads an aggregate that does not exist as an empty page, confirmed or not', async () => {
    const { log } = under();
    const confirmed = await log.read(counterRef('nobody'), { after: 0, confirm: true });
    expect(confirmed).toMatchObject({ commits: [], confirmedEnd: true, more: false });
    const page = await log.read(counterRef('nobody'), { after: 0, confirm: false });
    expect([page.commits, page.more]).toEqual([[], false]);
  });

  it('reads only commits after the given version, whichever version is given', async () => {
    const { log } = under();
    const stream = counterRef('tail');
    const versions = await appendMany(log, stream, 6);
    await appendMany(log, counterRef('tail-other'), 2);
    for (const [index, after] of [0, ...versions].entries()) {
      const seen = await history(log, stream, after);
      expect(seen.map((c) => c.position)).toEqual(versions.slice(index));
    }
    expect(await history(log, stream, (versions.at(-1) ?? 0) + 100)).toEqual([]);
  });

  it('sees with `confirm` every commit that another process was told to be stored', async () => {
    const { log, openSecond } = under();
    const second = await openSecond();
    const stream = counterRef('two-processes');
    let version = 0;
    for (let i = 1; i <= 20; i++) {
      const writer = i % 2 === 0 ? log : second;
      const reader = i % 2 === 0 ? second : log;
      const previous = version;
      version = versionOf(await writer.append(stream, version, toyCommit(`two-${i}`, [added(i)])));
      const page = await reader.read(stream, { after: previous, confirm: true });
      expect(page.commits.map((c) => c.commitId)).toEqual([`two-${i}`]);
      expect(await reader.head()).toBeGreaterThanOrEqual(version);
      expect(await reader.confirm()).toBeGreaterThanOrEqual(version);
      expect((await reader.at(positionOf(version)))?.commitId).toBe(`two-${i}`);
    }
  });

  it('gives both processes the same incarnation, and it is not empty', async () => {
    const { log, openSecond } = under();
    expect(log.incarnation).not.toBe('');
    expect((await openSecond()).incarnation).toBe(log.incarnation);
  });

  it('finds the commit at a position, with its aggregate and content, and nothing behind the head', async () => {
    const { log } = under();
    const stream = counterRef('at');
    const version = versionOf(await log.append(stream, 0, toyCommit('at-1', [added(7)])));
    const commit = await log.at(positionOf(version));
    expect(commit).toMatchObject({ stream, position: version, previous: 0, commitId: 'at-1' });
    expect(toyValues([...(commit?.decisions ?? [])])).toEqual([7]);
    expect(await log.at(ahead(await log.head(), 1))).toBeUndefined();
  });
}

/** What `read` promises of a history of many pages. */
export function longHistories(under: () => LogUnderTest): void {
  const stream = counterRef('long');
  const LENGTH = 2_500;
  let versions: number[] = [];
  beforeAll(async () => {
    versions = await appendMany(under().log, stream, LENGTH);
  }, 60_000);

  it('pages through 2,500 commits without gap or repetition and confirms the end', async () => {
    const commits = await history(under().log, stream);
    expect(commits.map((c) => c.position)).toEqual(versions);
    expect(commits.map((c) => c.previous)).toEqual([0, ...versions.slice(0, -1)]);
    expect(commits.map((c) => toyValues([...c.decisions])[0])).toEqual(versions.map((_, i) => i + 1));
  });

  it('pages through them unconfirmed as well, and says `more` until the last page', async () => {
    const { log } = under();
    const positions: number[] = [];
    for (let more = true; more; ) {
      const page = await log.read(stream, { after: positions.at(-1) ?? 0, confirm: false });
      if (page.more) expect(page.commits.length).toBeGreaterThan(0);
      positions.push(...page.commits.map(({ position }) => numberOf(position)));
      more = page.more;
    }
    expect(positions).toEqual(versions.slice(0, positions.length));
    expect(positions.length).toBeGreaterThan(LENGTH - 100);
  });

  it('never says both `more` and `confirmedEnd`, and confirms no end that it did not reach', async () => {
    const { log } = under();
    const page = await log.read(stream, { after: 0, confirm: true });
    expect(page.confirmedEnd && page.more).toBe(false);
    expect(page.confirmedEnd).toBe(page.commits.at(-1)?.position === versions.at(-1));
  });

  it('reads a tail of any length whose commits lie far apart, from a version of the aggregate or any other', async () => {
    const { log } = under();
    const sparse = counterRef('sparse');
    const found: number[] = [];
    for (let i = 1; i <= 22; i++) {
      const between = Array.from({ length: 32 }, (_, n) =>
        appendMany(log, counterRef(`between-${i}-${n}`), 5),
      );
      await Promise.all(between);
      found.push(versionOf(await log.append(sparse, found.at(-1) ?? 0, toyCommit(`s-${i}`, [added(i)]))));
    }
    for (const [index, after] of [0, ...found].entries()) {
      for (const from of after === 0 ? [0] : [after, after + 1]) {
        const commits = await history(log, sparse, from);
        expect(commits.map((c) => c.position)).toEqual(found.slice(index));
        expect(commits.map((c) => c.previous)).toEqual([0, ...found].slice(index, -1));
      }
    }
  });

  it.each([5, 70])('reads %i commits whose last one lies far behind the others', async (count) => {
    const { log } = under();
    const late = counterRef(`late-${count}`);
    const found = await appendMany(log, late, count);
    await Promise.all(
      Array.from({ length: 11 }, (_, n) => appendMany(log, counterRef(`far-${count}-${n}`), 100)),
    );
    found.push(versionOf(await log.append(late, found.at(-1) ?? 0, toyCommit('late', [added(1)]))));
    const commits = await history(log, late);
    expect(commits.map((c) => c.position)).toEqual(found);
    expect(commits.map((c) => c.previous)).toEqual([0, ...found.slice(0, -1)]);
    const unconfirmed = await log.read(late, { after: 0, confirm: false });
    expect(unconfirmed.commits.map((c) => c.position)).toEqual(found.slice(0, unconfirmed.commits.length));
    expect(unconfirmed.commits.length).toBeGreaterThan(0);
  });

  it('pages through commits of many bytes', async () => {
    const { log } = under();
    const large = counterRef('large');
    const text = 'x'.repeat(300_000);
    const found: number[] = [];
    for (let i = 1; i <= 6; i++) {
      const commit = toyCommit(`large-${i}`, [noted(text)]);
      found.push(versionOf(await log.append(large, found.at(-1) ?? 0, commit)));
    }
    const commits = await history(log, large);
    expect(commits.map((c) => c.position)).toEqual(found);
    expect(commits.map((c) => toyValues([...c.decisions])[0])).toEqual(found.map(() => text));
  });

  it('reads a tail from the middle', async () => {
    const middle = versions[LENGTH - 301] ?? 0;
    const commits = await history(under().log, stream, middle);
    expect(commits.map((c) => c.position)).toEqual(versions.slice(-300));
  });
}
