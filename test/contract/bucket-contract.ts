import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bucket, Row, RowWrite } from '../../src/eventstore/bucket.ts';

/** A fresh, empty bucket to test, and the way to open it as another process would. */
export interface BucketUnderTest {
  readonly bucket: Bucket;
  openSecond(): Promise<Bucket>;
  stop(): Promise<void>;
}

/** What every implementation of `Bucket` promises. Each `describe` gets a bucket of its own. */
export function bucketContract(name: string, makeBucket: () => Promise<BucketUnderTest>): void {
  const parts = { 'single rows': singleRows, batches, listing, watching };
  for (const [what, body] of Object.entries(parts)) {
    describe(`${name}: ${what}`, () => {
      let current: BucketUnderTest | undefined;
      beforeAll(async () => {
        current = await makeBucket();
      });
      afterAll(async () => {
        await current?.stop();
      });
      body(() => {
        if (current === undefined) throw new Error('the bucket did not start');
        return current;
      });
    });
  }
}

function singleRows(under: () => BucketUnderTest): void {
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

  it('keeps any bytes and the keys of the read models', async () => {
    const { bucket } = under();
    const value = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const key of ['a.b.c', 'A_-=9', 'user.0190-ab']) {
      await bucket.write({ key, value, expectedRevision: 0, position: 2 ** 40 });
      const stored = await bucket.get(key, { leader: true });
      expect([...(stored?.value ?? [])]).toEqual([...value]);
      expect(stored?.position).toBe(2 ** 40);
    }
  });
}

function batches(under: () => BucketUnderTest): void {
  it('writes all rows of a batch, up to 1,000, or is `undefined` where there are no batches', async () => {
    const { bucket } = under();
    if (bucket.writeAll === undefined) return;
    const rows = Array.from({ length: 1000 }, (_, i) => row(`bulk-${i}`, `v${i}`, 0, i + 1));
    expect(await bucket.writeAll(rows)).toEqual({ written: true });
    for (const i of [0, 499, 999]) {
      expect(shown(await bucket.get(`bulk-${i}`, { leader: true }))).toMatchObject({
        text: `v${i}`,
        position: i + 1,
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
    expect(await bucket.writeAll(rows)).toEqual({ written: true });
    const seen = await Promise.all(
      ['mix-a', 'mix-b', 'mix-c'].map((key) => bucket.get(key, { leader: true })),
    );
    expect(seen.map((r) => shown(r)?.text)).toEqual(['y', '', 'z']);
  });

  it('takes an empty batch and a batch of one', async () => {
    const { bucket } = under();
    if (bucket.writeAll === undefined) return;
    expect(await bucket.writeAll([])).toEqual({ written: true });
    expect(await bucket.writeAll([row('only', 'x', 0, 1)])).toEqual({ written: true });
    expect(await bucket.writeAll([row('only', 'y', 0, 1)])).toEqual({ written: false });
  });
}

function listing(under: () => BucketUnderTest): void {
  it('lists nothing of an empty bucket', async () => {
    expect(await listed(under().bucket)).toEqual([]);
  });

  it('lists every live row once, in the order of their last write, without removed ones', async () => {
    const { bucket } = under();
    const a = await written(bucket, row('a', '1', 0, 1));
    await written(bucket, row('b', '1', 0, 2));
    const c = await written(bucket, row('c', '1', 0, 3));
    await written(bucket, row('a', '2', a, 4));
    await written(bucket, row('c', undefined, c, 5));
    await written(bucket, row('d', '1', 0, 6));
    expect((await listed(bucket)).map((r) => [r.key, text(r.value), r.position])).toEqual([
      ['b', '1', 2],
      ['a', '2', 4],
      ['d', '1', 6],
    ]);
  });

  it('lists the rows of a prefix', async () => {
    const { bucket } = under();
    for (const key of ['p.one', 'p.two', 'q.one']) await written(bucket, row(key, 'x', 0, 1));
    expect((await listed(bucket, 'p.')).map((r) => r.key)).toEqual(['p.one', 'p.two']);
    expect(await listed(bucket, 'nothing.')).toEqual([]);
  });

  it('lists many rows completely', async () => {
    const { bucket } = under();
    const keys = Array.from({ length: 700 }, (_, i) => `many.${i}`);
    for (const key of keys) await written(bucket, row(key, key, 0, 1));
    expect((await listed(bucket, 'many.')).map((r) => r.key)).toEqual(keys);
  });

  it('ends a listing when its signal has fired, without throwing', async () => {
    const rows: Row[] = [];
    for await (const r of under().bucket.rows({ signal: AbortSignal.abort() })) rows.push(r);
    expect(rows).toEqual([]);
  });
}

function watching(under: () => BucketUnderTest): void {
  it('watches: the rows of the start, then `caughtUp` once, then each change, until the signal ends it', async () => {
    const { bucket, openSecond } = under();
    const second = await openSecond();
    const a = await written(bucket, row('w.a', '1', 0, 1));
    await written(bucket, row('w.b', '1', 0, 2));
    const stop = new AbortController();
    const seen: string[] = [];
    let change: Promise<unknown> | undefined;
    const caughtUp = (): void => {
      seen.push('caught up');
      change = written(second, row('w.a', '2', a, 3)).then((r) =>
        written(second, row('w.a', undefined, r, 4)),
      );
    };
    for await (const r of bucket.watch({ signal: stop.signal, caughtUp })) {
      seen.push(`${r.key}=${text(r.value)}@${r.position}`);
      if (r.position === 4) stop.abort();
    }
    await change;
    // A value that was overtaken before it could be delivered may be left out.
    expect(seen.filter((line) => line !== 'w.a=2@3')).toEqual(['w.a=1@1', 'w.b=1@2', 'caught up', 'w.a=@4']);
  });

  it('calls `caughtUp` for an empty bucket too', async () => {
    const { bucket } = under();
    const before = await listed(bucket);
    for (const r of before) await written(bucket, row(r.key, undefined, r.revision, r.position));
    const stop = new AbortController();
    let calls = 0;
    const caughtUp = (): void => {
      calls++;
      stop.abort();
    };
    for await (const r of bucket.watch({ signal: stop.signal, caughtUp })) expect(r.value).toHaveLength(0);
    expect(calls).toBe(1);
  });

  it('carries revisions that fence the next write', async () => {
    const { bucket } = under();
    await written(bucket, row('fence', '1', 0, 1));
    const stop = new AbortController();
    for await (const r of bucket.watch({ signal: stop.signal })) {
      if (r.key !== 'fence') continue;
      if (r.position === 1) await written(bucket, row('fence', '2', r.revision, 2));
      else stop.abort();
    }
    expect(shown(await bucket.get('fence', { leader: true }))).toMatchObject({ text: '2', position: 2 });
  });
}

const text = (value: Uint8Array): string => new TextDecoder().decode(value);

function row(key: string, value: string | undefined, expectedRevision: number, position: number): RowWrite {
  return {
    key,
    value: value === undefined ? undefined : new TextEncoder().encode(value),
    expectedRevision,
    position,
  };
}

function shown(
  r: Row | undefined,
): { key: string; text: string; revision: number; position: number } | undefined {
  return r && { key: r.key, text: text(r.value), revision: r.revision, position: r.position };
}

async function written(bucket: Bucket, write: RowWrite): Promise<number> {
  const result = await bucket.write(write);
  if (!result.written) throw new Error(`the write of ${write.key} should go through`);
  return result.revision;
}

async function listed(bucket: Bucket, prefix?: string): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const r of bucket.rows(prefix === undefined ? {} : { prefix })) rows.push(r);
  return rows;
}
