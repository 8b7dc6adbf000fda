import { expect, it } from 'vitest';
import { positionOf } from '../../eventstore/position.ts';
import { type BucketUnderTest, row, shown, written } from './bucket-support.ts';

/** What `get` and `write` promise. */
export function singleRows(under: () => BucketUnderTest): void {
  it('knows nothing of a key that was never written', async () => {
    expect(await under().bucket.get('never')).toBeUndefined();
    expect(await under().bucket.get('never', { leader: true })).toBeUndefined();
  });

  it('writes a new key expecting 0, and reads it back with its revision and position', async () => {
    const { bucket } = under();
    const revision = await written(bucket, row('new', 'one', 0, 17));
    expect(shown(await bucket.get('new', { leader: true }))).toEqual({
      key: 'new',
      text: 'one',
      revision,
      position: 17,
    });
  });

  it('replaces a value only when its revision is the expected one', async () => {
    const { bucket } = under();
    const first = await written(bucket, row('replace', 'one', 0, 1));
    for (const wrong of [0, first + 1, first + 100]) {
      expect(await bucket.write(row('replace', 'wrong', wrong, 2))).toEqual({ written: false });
    }
    const second = await written(bucket, row('replace', 'two', first, 2));
    expect(second).toBeGreaterThan(first);
    expect(await bucket.write(row('replace', 'late', first, 3))).toEqual({ written: false });
    expect(shown(await bucket.get('replace', { leader: true }))).toMatchObject({
      text: 'two',
      revision: second,
    });
  });

  it('refuses a revision for a key that was never written', async () => {
    expect(await under().bucket.write(row('absent', 'x', 1, 1))).toEqual({ written: false });
    expect(await under().bucket.get('absent', { leader: true })).toBeUndefined();
  });

  it('has another stamp after each write and removal, whoever made it, and the same one in between', async () => {
    const { bucket, openSecond } = under();
    const second = await openSecond();
    const stamps = [await bucket.stamp()];
    const first = await written(second, row('stamped', 'x', 0, 1));
    stamps.push(await bucket.stamp());
    await written(bucket, row('stamped', undefined, first, 2));
    stamps.push(await second.stamp());
    expect(new Set(stamps).size).toBe(3);
    expect(await bucket.write(row('stamped', 'late', first, 3))).toEqual({ written: false });
    expect(await bucket.stamp()).toBe(stamps[2]);
  });

  it('counts revisions over the whole bucket', async () => {
    const { bucket } = under();
    const a = await written(bucket, row('count-a', 'x', 0, 1));
    const b = await written(bucket, row('count-b', 'x', 0, 1));
    expect(b).toBe(a + 1);
    expect(await written(bucket, row('count-a', 'y', a, 2))).toBe(b + 1);
  });

  it('removes a row and leaves a tombstone that carries the position and fences the next write', async () => {
    const { bucket } = under();
    const first = await written(bucket, row('gone', 'x', 0, 5));
    const removed = await written(bucket, row('gone', undefined, first, 9));
    const tombstone = await bucket.get('gone', { leader: true });
    expect(shown(tombstone)).toEqual({ key: 'gone', text: '', revision: removed, position: 9 });
    expect(await bucket.write(row('gone', 'again', 0, 10))).toEqual({ written: false });
    await written(bucket, row('gone', 'again', removed, 10));
    expect(shown(await bucket.get('gone', { leader: true }))).toMatchObject({ text: 'again', position: 10 });
  });

  it('shows a write to another process that asks the leader, at once', async () => {
    const { bucket, openSecond } = under();
    const second = await openSecond();
    let revision = 0;
    for (let i = 1; i <= 20; i++) {
      revision = await written(i % 2 === 0 ? bucket : second, row('shared', `v${i}`, revision, i));
      const seen = await (i % 2 === 0 ? second : bucket).get('shared', { leader: true });
      expect(shown(seen)).toEqual({ key: 'shared', text: `v${i}`, revision, position: i });
    }
  });

  it('lets exactly one of many writers with the same expectation through', async () => {
    const { bucket, openSecond } = under();
    const second = await openSecond();
    let revision = 0;
    for (let round = 0; round < 5; round++) {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 === 0 ? bucket : second).write(row('race', `${round}-${i}`, revision, round)),
        ),
      );
      const winners = results.flatMap((result) => (result.written ? [result.revision] : []));
      expect(winners).toHaveLength(1);
      revision = winners[0] ?? 0;
    }
  });

  it('refuses keys that could form a wildcard or a broken subject', async () => {
    const { bucket } = under();
    for (const key of ['', '*', 'a.*', '>', 'a b', 'a..b', '.a', 'a.', 'é', 'x'.repeat(257)]) {
      const refused = { code: 'bucket/invalid-key' };
      await expect(bucket.write(row(key, 'x', 0, 1)), key).rejects.toMatchObject(refused);
      await expect(bucket.get(key), key).rejects.toMatchObject(refused);
    }
  });

  it('keeps any bytes and the keys of the read models', async () => {
    const { bucket } = under();
    const value = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const key of ['a.b.c', 'A_-=9', 'user.0190-ab']) {
      await bucket.write({ key, value, expectedRevision: 0, position: positionOf(2 ** 40) });
      const stored = await bucket.get(key, { leader: true });
      expect([...(stored?.value ?? [])]).toEqual([...value]);
      expect(stored?.position).toBe(2 ** 40);
    }
  });
}

/** What `writeAll` promises. */
export function batches(under: () => BucketUnderTest): void {
  it('writes all rows of a batch, up to 1,000, or is `undefined` where there are no batches', async () => {
    const { bucket } = under();
    if (bucket.writeAll === undefined) return;
    const rows = Array.from({ length: 1000 }, (_, i) => row(`bulk-${i}`, `v${i}`, 0, i + 1));
    const result = await bucket.writeAll(rows);
    expect(result.written).toBe(true);
    const last = result.written ? result.lastRevision : 0;
    for (const i of [0, 499, 999]) {
      expect(shown(await bucket.get(`bulk-${i}`, { leader: true }))).toMatchObject({
        text: `v${i}`,
        position: i + 1,
        revision: last - 999 + i,
      });
    }
  });

  it('writes none of a batch when one row is not as expected', async () => {
    const { bucket } = under();
    if (bucket.writeAll === undefined) return;
    const revision = await written(bucket, row('held', 'x', 0, 1));
    const rows = [row('none-1', 'x', 0, 2), row('held', 'y', revision + 5, 2), row('none-2', 'x', 0, 2)];
    expect(await bucket.writeAll(rows)).toEqual({ written: false });
    for (const key of ['none-1', 'none-2']) expect(await bucket.get(key, { leader: true })).toBeUndefined();
    expect(shown(await bucket.get('held', { leader: true }))).toMatchObject({ text: 'x', revision });
  });

  it('mixes new, replaced and removed rows in a batch', async () => {
    const { bucket } = under();
    if (bucket.writeAll === undefined) return;
    const a = await written(bucket, row('mix-a', 'x', 0, 1));
    const b = await written(bucket, row('mix-b', 'x', 0, 1));
    const rows = [row('mix-a', 'y', a, 2), row('mix-b', undefined, b, 2), row('mix-c', 'z', 0, 2)];
    expect(await bucket.writeAll(rows)).toMatchObject({ written: true });
    const seen = await Promise.all(
      ['mix-a', 'mix-b', 'mix-c'].map((key) => bucket.get(key, { leader: true })),
    );
    expect(seen.map((r) => shown(r)?.text)).toEqual(['y', '', 'z']);
  });

  it('takes a batch of one, and refuses none or more than 1,000 rows', async () => {
    const { bucket } = under();
    if (bucket.writeAll === undefined) return;
    expect(await bucket.writeAll([row('only', 'x', 0, 1)])).toMatchObject({ written: true });
    expect(await bucket.writeAll([row('only', 'y', 0, 1)])).toEqual({ written: false });
    await expect(bucket.writeAll([])).rejects.toThrow(RangeError);
    const tooMany = Array.from({ length: 1001 }, (_, i) => row(`many-${i}`, 'x', 0, 1));
    await expect(bucket.writeAll(tooMany)).rejects.toThrow(RangeError);
    expect(await bucket.get('many-0', { leader: true })).toBeUndefined();
  });
}
