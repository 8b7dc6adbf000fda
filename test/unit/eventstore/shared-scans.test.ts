import { afterEach, expect, test } from 'vitest';
import type { Log, LogBatch, ScanOptions } from '../../../src/eventstore/log.ts';
import { BEGINNING, numberOf, type Position } from '../../../src/eventstore/position.ts';
import { type KeptEnd, shareScans } from '../../../src/eventstore/reading/shared-scans.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import type { LogFilter } from '../../../src/eventstore/stream.ts';
import { added, toyCommit } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { until } from '../../../src/testing/until.ts';

const KEPT: KeptEnd = { commits: 8, bytes: 1e6 };

let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

/** A log that counts who reads it, and whoever follows it. */
function openShared(kept: KeptEnd = KEPT) {
  const log = createMemoryLog();
  const readers = new Set<ScanOptions>();
  let asked = 0;
  const scan: Log['scan'] = async function* (options) {
    asked++;
    readers.add(options);
    try {
      yield* log.scan(options);
    } finally {
      readers.delete(options);
    }
  };
  const shared = shareScans({ log: { head: log.head, scan }, runtime: systemRuntime, kept });
  const versions = new Map<string, number>();
  return {
    readers,
    asked: () => asked,
    append: async (category: string, id = 'a'): Promise<number> => {
      const expected = versions.get(category + id) ?? 0;
      const commit = toyCommit(`${category}-${id}-${expected}`, [added(1)]);
      const result = await log.append({ category, id }, expected, commit);
      if (!result.appended) throw new Error('a conflict');
      versions.set(category + id, result.version);
      return result.version;
    },
    follow: (filter?: LogFilter, after: Position = BEGINNING): Following => {
      const stop = new AbortController();
      ends.push(() => stop.abort());
      return following(shared({ after, follow: true, signal: stop.signal, ...(filter && { filter }) }), stop);
    },
  };
}

interface Following {
  readonly seen: number[];
  readonly batches: LogBatch[];
  /** Takes nothing more until it is called again. */
  pause(on: boolean): void;
  stop(): Promise<void>;
}

function following(batches: AsyncIterable<LogBatch>, stop: AbortController): Following {
  const seen: number[] = [];
  const all: LogBatch[] = [];
  let goOn: (() => void) | undefined;
  let paused: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    for await (const batch of batches) {
      all.push(batch);
      seen.push(...batch.commits.map(({ position }) => numberOf(position)));
      await paused;
    }
  };
  const running = run();
  return {
    seen,
    batches: all,
    pause: (on) => {
      if (on)
        paused = new Promise((resolve) => {
          goOn = resolve;
        });
      else goOn?.();
    },
    stop: () => {
      stop.abort();
      return running;
    },
  };
}

test('whoever follows the log beside one who follows all of it reads it together with them, each commit once', async () => {
  const { append, follow, readers, asked } = openShared();
  const all = follow();
  const [a, b, both] = [follow({ category: 'a' }), follow({ category: 'b' }), follow({ category: 'a' })];
  const expected = { a: [] as number[], b: [] as number[] };
  for (let n = 0; n < 20; n++) {
    const category = n % 3 === 0 ? 'b' : 'a';
    expected[category].push(await append(category));
    if (n % 5 === 0) await until('they have come up', () => all.seen.length === n + 1);
  }
  await until('all is seen', () => all.seen.length === 20 && b.seen.length === 7 && a.seen.length === 13);
  expect(all.seen).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  expect([a.seen, b.seen, both.seen]).toEqual([expected.a, expected.b, expected.a]);
  expect([readers.size, asked()]).toEqual([1, 1]);
  const firstOf = ({ batches }: Following) => batches.flatMap(({ commits }) => commits)[0];
  expect(firstOf(b)).toBe(firstOf(all));
});

test('who is slower than what is kept reads alone until it has come up, and misses nothing', async () => {
  const { append, follow, readers } = openShared();
  const all = follow();
  const slow = follow({ category: 'a' });
  await append('a');
  await until('both are there', () => all.seen.length === 1 && slow.seen.length === 1);
  slow.pause(true);
  for (let n = 0; n < 50; n++) await append('a');
  await until('the other has come up', () => all.seen.length === 51);
  slow.pause(false);
  await until('the slow one has come up', () => slow.seen.length === 51);
  await append('a');
  await until('it has seen the last', () => slow.seen.length === 52);
  expect(slow.seen).toEqual(Array.from({ length: 52 }, (_, n) => n + 1));
  expect(readers.size).toBe(1);
});

test('what is kept is bounded in bytes, too', async () => {
  const { append, follow, readers } = openShared({ commits: 1_000, bytes: 1 });
  const all = follow();
  for (let n = 0; n < 10; n++) await append('a');
  await until('all is seen', () => all.seen.length === 10);
  const late = follow({ category: 'a' });
  await until('it has read alone', () => late.seen.length === 10);
  expect(readers.size).toBe(1);
});

test('without somebody who follows all of it nobody is made to read more than it asks for', async () => {
  const { append, follow, readers } = openShared();
  const [a, b] = [follow({ category: 'a' }), follow({ category: 'b' })];
  await append('a');
  await until('it is seen', () => a.seen.length === 1 && readers.size === 2);
  expect([...readers].map(({ filter }) => filter?.category).sort()).toEqual(['a', 'b']);
  const all = follow();
  await append('b');
  await append('a');
  await until('they read together', () => a.seen.length === 2 && b.seen.length === 1 && readers.size === 1);
  await all.stop();
  await append('a');
  await append('b');
  await until('each reads alone again', () => a.seen.length === 3 && b.seen.length === 2);
  expect(readers.size).toBe(2);
});

test('who finds nothing is told so at once, and from time to time how far it is', async () => {
  const { append, follow } = openShared();
  const all = follow();
  const none = follow({ category: 'none' });
  await until('both are told', () => all.batches.length > 0 && none.batches.length > 0);
  expect(none.batches).toEqual([{ commits: [], through: BEGINNING, pending: 0 }]);
  for (let n = 0; n < 10; n++) await append('a');
  await until('it has come far', () => none.batches.length > 1);
  expect(numberOf(none.batches.at(-1)?.through ?? BEGINNING)).toBeGreaterThanOrEqual(2);
  expect(none.batches.length).toBeLessThan(7);
});
