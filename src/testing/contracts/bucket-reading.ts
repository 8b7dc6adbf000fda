import { expect, it } from 'vitest';
import type { Row } from '../../eventstore/bucket.ts';
import { numberOf } from '../../eventstore/position.ts';
import { type BucketUnderTest, listed, row, shown, text, written } from './bucket-support.ts';

/** What `rows` promises. */
export function listing(under: () => BucketUnderTest): void {
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

/** What `watch` promises. */
export function watching(under: () => BucketUnderTest): void {
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
      seen.push(`${r.key}=${text(r.value)}@${numberOf(r.position)}`);
      if (numberOf(r.position) === 4) stop.abort();
    }
    await change;
    // A value that was overtaken before it could be delivered may be left out.
    expect(seen.filter((line) => line !== 'w.a=2@3')).toEqual(['w.a=1@1', 'w.b=1@2', 'caught up', 'w.a=@4']);
  });

  it('calls `caughtUp` for an empty bucket too', async () => {
    const { bucket } = under();
    const before = await listed(bucket);
    for (const r of before) await written(bucket, row(r.key, undefined, r.revision, numberOf(r.position)));
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
      if (numberOf(r.position) === 1) await written(bucket, row('fence', '2', r.revision, 2));
      else stop.abort();
    }
    expect(shown(await bucket.get('fence', { leader: true }))).toMatchObject({ text: '2', position: 2 });
  });
}
