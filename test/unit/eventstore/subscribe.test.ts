import { StringValueSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { OutcomeUnknown } from '../../../src/eventstore/errors.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { type SubscribeOptions, subscribe } from '../../../src/eventstore/reading/subscribe.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { appendMany } from '../../../src/testing/contracts/log-support.ts';
import {
  added,
  type CounterEvent,
  counter,
  counterRef,
  toyCommit,
} from '../../../src/testing/contracts/toy.ts';
import { createMemoryBucketStore, openMemoryBucket } from '../../../src/testing/memory-bucket.ts';
import { createMemoryLog, createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { until } from '../../../src/testing/until.ts';

async function world(events = 10) {
  const log = createMemoryLog();
  await appendMany(log, counterRef('a'), events);
  const bucket = openMemoryBucket(createMemoryBucketStore('subscriptions'));
  const open = (more: Partial<SubscribeOptions> = {}) =>
    subscribe<CounterEvent>(log, {
      sources: [counter],
      from: 'beginning',
      progress: { bucket, name: 'mails', everyMs: 1 },
      ...more,
    });
  /** Handles so many events, as a process that then ends. */
  const handle = async (count: number, more: Partial<SubscribeOptions> = {}) => {
    const signal = new AbortController();
    const values: unknown[] = [];
    for await (const { event } of open({ signal: signal.signal, ...more })) {
      values.push(event.value);
      if (values.length === count) signal.abort();
    }
    return values;
  };
  /** Waits until the place of the n-th event is stored. */
  const storedUpTo = (n: number) =>
    until(`the place of ${n} is stored`, async () => {
      const row = await bucket.get('subscription.mails');
      const text = Buffer.from(row?.value ?? []).toString();
      return text.includes(`"position":${n},"index":0`);
    });
  return { log, bucket, open, handle, storedUpTo };
}

describe('a subscription that keeps its progress', () => {
  it('goes on behind the last event that was handled, wherever it begins now', async () => {
    const { handle } = await world();
    expect(await handle(4)).toEqual([1, 2, 3, 4]);
    expect(await handle(3, { from: 'now' })).toEqual([5, 6, 7]);
    expect(await handle(3)).toEqual([8, 9, 10]);
  });

  it('goes on within a commit', async () => {
    const { log, handle } = await world(1);
    await log.append(counterRef('b'), 0, toyCommit('b', [added(2), added(3), added(4)]));
    expect(await handle(2)).toEqual([1, 2]);
    expect(await handle(2)).toEqual([3, 4]);
  });

  it('resolves where it begins once: what comes before the second start is not lost', async () => {
    const { log, handle } = await world();
    expect(await handle(0, { from: 'now', caughtUp: () => undefined, signal: AbortSignal.abort() })).toEqual(
      [],
    );
    await appendMany(log, counterRef('later'), 2);
    expect(await handle(2, { from: 'now' })).toEqual([1, 2]);
  });

  it('hands out again what was not handled when its process died, and nothing before', async () => {
    const { open, handle, storedUpTo } = await world();
    const dies = open();
    for (let i = 1; i <= 3; i++) expect((await dies.next()).value?.event.value).toBe(i);
    await storedUpTo(2);
    // It never asks for another one.
    expect(await handle(8)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("is one process's: who had it before is refused at its next event", async () => {
    const { open, handle, storedUpTo } = await world();
    const former = open();
    for (let i = 1; i <= 2; i++) await former.next();
    await storedUpTo(1);
    await handle(2);
    const rest = async () => {
      for (;;) {
        await former.next();
        await systemRuntime.sleep(5);
      }
    };
    await expect(rest()).rejects.toThrow(/Another process goes on with the subscription mails/);
  });

  it('keeps its place through writes whose answer is lost, and loses none when the bucket is away for a while', async () => {
    const { bucket, open, handle, storedUpTo } = await world();
    const { write } = bucket;
    let calls = 0;
    Object.assign(bucket, {
      write: async (row: Parameters<typeof write>[0]) => {
        // Of three writes one goes through, one is stored without an answer, one is lost.
        const kind = calls++ % 3;
        const result = kind < 2 ? await write(row) : undefined;
        if (kind > 0 || result === undefined) throw new OutcomeUnknown('the row', 1);
        return result;
      },
    });
    const dies = open();
    for (let i = 1; i <= 7; i++) expect((await dies.next()).value?.event.value).toBe(i);
    await storedUpTo(6);
    Object.assign(bucket, { write });
    expect(await handle(4)).toEqual([7, 8, 9, 10]);
  });

  it('is refused for another incarnation of the log, and for a name that is none', async () => {
    const { bucket, handle, open } = await world();
    await handle(1);
    const restored = openMemoryLog(createMemoryStore({ incarnation: 'restored' }));
    const progress = { bucket, name: 'mails' };
    const anew = subscribe(restored, { sources: [counter], from: 'beginning', progress });
    await expect(anew.next()).rejects.toThrow(/another incarnation/);
    await expect(open({ progress: { bucket, name: 'a b' } }).next()).rejects.toThrow(
      /progress.name is no name/,
    );
  });
});

it('a subscription decodes no event of a type that nobody wants', async () => {
  const log = createMemoryLog();
  await log.append(counterRef('a'), 0, toyCommit('a', [added(1)]));
  const reader = { category: 'counter', events: [StringValueSchema] };
  const signal = new AbortController();
  const wanted = { sources: [reader], from: { position: positionOf(0) }, types: ['StringValue'] } as const;
  const found: unknown[] = [];
  const asked = { ...wanted, signal: signal.signal, caughtUp: () => signal.abort() };
  for await (const event of subscribe(log, asked)) found.push(event);
  expect(found).toEqual([]);
});
