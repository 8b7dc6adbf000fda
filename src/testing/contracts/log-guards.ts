import { expect, it } from 'vitest';
import { positionOfVersion } from '../../eventstore/position.ts';
import { appendMany, history, type LogUnderTest, scanAll } from './log-support.ts';
import { added, counterRef, toyCommit } from './toy.ts';

/** What guards of `appendAll` promise. */
export function guards(under: () => LogUnderTest): void {
  const commit = (id: string) => toyCommit(id, [added(1)]);

  it('stores while every guard holds, and leaves what they name as it was', async () => {
    const { log } = under();
    const [version = 0] = await appendMany(log, counterRef('g1'), 1);
    const entries = ['t1', 't2'].map((id) => ({
      stream: counterRef(id),
      expected: 0,
      commit: commit('both'),
    }));
    const held = [
      { stream: counterRef('g1'), version },
      { stream: counterRef('absent'), version: 0 },
    ];
    const result = await log.appendAll(entries, held);
    expect(result).toEqual({ appended: true, versions: [version + 1, version + 2] });
    expect((await history(log, counterRef('t2'))).map((c) => c.position)).toEqual([version + 2]);
    expect((await log.last(counterRef('g1')))?.position).toBe(version);
    expect(await log.last(counterRef('absent'))).toBeUndefined();
    // The messages that carry them are the log's own.
    expect(await log.at(positionOfVersion(version + 3))).toBeUndefined();
    expect(await log.head()).toBeGreaterThanOrEqual(version + 4);
    const after = positionOfVersion(version);
    expect((await scanAll(log, { after })).map(({ stream }) => stream.id)).toEqual(['t1', 't2']);
  });

  it('stores nothing where a guard does not hold, and names the aggregate', async () => {
    const { log, openSecond } = under();
    const [first = 0] = await appendMany(log, counterRef('g2'), 2);
    const entry = { stream: counterRef('t3'), expected: 0, commit: commit('c3') };
    for (const version of [0, first]) {
      const refused = await (await openSecond()).appendAll([entry], [{ stream: counterRef('g2'), version }]);
      expect(refused).toEqual({ appended: false, conflict: counterRef('g2') });
    }
    const absent = [{ stream: counterRef('nobody'), version: first }];
    expect(await log.appendAll([entry], absent)).toMatchObject({ appended: false });
    expect(await log.last(counterRef('t3'))).toBeUndefined();
  });

  it('refuses a guard that is also written to, or whose version is none, before anything is sent', async () => {
    const { log } = under();
    const entry = { stream: counterRef('t4'), expected: 0, commit: commit('c4') };
    const invalid = { code: 'commit/invalid' };
    const itself = [{ stream: counterRef('t4'), version: 0 }];
    await expect(log.appendAll([entry], itself)).rejects.toMatchObject(invalid);
    const none = [{ stream: counterRef('g4'), version: -1 }];
    await expect(log.appendAll([entry], none)).rejects.toMatchObject(invalid);
    const wildcard = [{ stream: counterRef('*'), version: 0 }];
    await expect(log.appendAll([entry], wildcard)).rejects.toMatchObject({ code: 'stream/invalid-id' });
    expect(await log.last(counterRef('t4'))).toBeUndefined();
  });
}
