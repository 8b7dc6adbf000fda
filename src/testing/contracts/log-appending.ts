import { expect, it } from 'vitest';
import { CommitTooLarge, InvalidId } from '../../eventstore/errors.ts';
import { numberOf } from '../../eventstore/position.ts';
import { history, type LogUnderTest, versionOf } from './log-support.ts';
import { added, counterRef, noted, toyCommit, toyValues } from './toy.ts';

/** What `append` promises. */
export function appending(under: () => LogUnderTest): void {
  it('stores a first commit when the aggregate does not exist, and its version is its position', async () => {
    const { log } = under();
    const before = numberOf(await log.head());
    const result = await log.append(counterRef('first'), 0, toyCommit('first-1', [added(1)]));
    expect(result).toEqual({ appended: true, version: before + 1 });
    expect(await log.head()).toBe(before + 1);
  });

  it('chains versions: each commit knows the version before it, and versions are positions of the whole log', async () => {
    const { log } = under();
    const one = versionOf(await log.append(counterRef('chain'), 0, toyCommit('chain-1', [added(1)])));
    await log.append(counterRef('between'), 0, toyCommit('between-1', [added(1)]));
    const two = versionOf(await log.append(counterRef('chain'), one, toyCommit('chain-2', [added(2)])));
    expect(two).toBe(one + 2);
    const commits = await history(log, counterRef('chain'));
    expect(commits.map((c) => [c.previous, c.position, c.commitId])).toEqual([
      [0, one, 'chain-1'],
      [one, two, 'chain-2'],
    ]);
  });

  it('answers a conflict that names the aggregate when the expectation is too low, too high or zero', async () => {
    const { log } = under();
    const stream = counterRef('expectations');
    const one = versionOf(await log.append(stream, 0, toyCommit('expectations-1', [added(1)])));
    const two = versionOf(await log.append(stream, one, toyCommit('expectations-2', [added(1)])));
    for (const wrong of [0, one, two + 1, two + 1000]) {
      const result = await log.append(stream, wrong, toyCommit(`expectations-wrong-${wrong}`, [added(9)]));
      expect(result).toEqual({ appended: false, conflict: stream });
    }
    expect((await history(log, stream)).map((c) => c.position)).toEqual([one, two]);
  });

  it('answers a conflict when a version is expected of an aggregate that does not exist', async () => {
    const { log } = under();
    const result = await log.append(counterRef('absent'), 1, toyCommit('absent-1', [added(1)]));
    expect(result).toEqual({ appended: false, conflict: counterRef('absent') });
  });

  it('does not take the version of another aggregate for an expectation', async () => {
    const { log } = under();
    const other = versionOf(await log.append(counterRef('mine'), 0, toyCommit('mine-1', [added(1)])));
    const result = await log.append(counterRef('yours'), other, toyCommit('yours-1', [added(1)]));
    expect(result.appended).toBe(false);
  });

  it('keeps aggregates of the same id in different categories apart', async () => {
    const { log } = under();
    const a = await log.append({ category: 'counter', id: 'same' }, 0, toyCommit('same-1', [added(1)]));
    const b = await log.append({ category: 'other', id: 'same' }, 0, toyCommit('same-2', [added(2)]));
    expect([a.appended, b.appended]).toEqual([true, true]);
    expect((await history(log, { category: 'other', id: 'same' })).map((c) => c.commitId)).toEqual([
      'same-2',
    ]);
  });

  it('stores several decisions with several events as one commit, in order and unchanged', async () => {
    const { log } = under();
    const commit = toyCommit('many-1', [added(1), noted('a')], [added(2)], [noted('ö'), noted('')]);
    await log.append(counterRef('many'), 0, commit);
    const [stored] = await history(log, counterRef('many'));
    expect(stored?.decisions).toEqual(commit.decisions);
    expect(toyValues([...(stored?.decisions ?? [])])).toEqual([1, 'a', 2, 'ö', '']);
  });

  it('refuses ids that could leave their subject token, and stores nothing', async () => {
    const { log } = under();
    const before = await log.head();
    const bad = ['', '*', '>', 'a.b', 'a b', 'ä', 'a/b', 'a\n', 'x'.repeat(129)];
    for (const stream of [
      ...bad.map(counterRef),
      { category: 'Bad', id: 'a' },
      { category: 'a.b', id: 'a' },
    ]) {
      await expect(log.append(stream, 0, toyCommit('bad', [added(1)]))).rejects.toThrow(InvalidId);
      await expect(log.read(stream, { after: 0, confirm: true })).rejects.toThrow(InvalidId);
    }
    expect(await log.head()).toBe(before);
  });

  it('refuses a commit that is larger than the server takes, with its size and the limit, and stores nothing', async () => {
    const { log } = under();
    const before = await log.head();
    const huge = toyCommit('huge', [noted('x'.repeat(2_000_000))]);
    const error = await log.append(counterRef('huge'), 0, huge).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CommitTooLarge);
    expect(error).toMatchObject({ code: 'commit/too-large', retryable: false });
    expect((error as CommitTooLarge).size).toBeGreaterThan((error as CommitTooLarge).limit);
    expect(await log.head()).toBe(before);
  });

  it('takes ids of the full length and every allowed character', async () => {
    const { log } = under();
    for (const id of ['x'.repeat(128), 'AZaz09-_', '-', '_', '0']) {
      const result = await log.append(counterRef(id), 0, toyCommit(`id-${id}`, [added(1)]));
      expect(result.appended).toBe(true);
      expect((await history(log, counterRef(id)))[0]?.stream).toEqual(counterRef(id));
    }
  });
}
