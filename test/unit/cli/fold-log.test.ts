import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { size } from '../../../src/cli/command.ts';
import { compareSummaries, summarise } from '../../../src/cli/copies/fold-log.ts';
import { user } from '../../../src/domain/user.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { CommitSchema, DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { UserCreatedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { createMemoryLog, createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';

async function logOf(...names: readonly string[]): Promise<Log> {
  const log = createMemoryLog();
  for (const [n, name] of names.entries()) await append(log, n, name);
  return log;
}

async function append(log: Log, n: number, name: string): Promise<void> {
  const id = `u${n}`;
  const event = create(UserCreatedSchema, { userId: id, email: `${id}@example.com`, name, createdAt: 1n });
  const events = [codecOf(user).encode(event)];
  const decision = create(DecisionSchema, { commandId: id, actor: 'test', time: 1n, events });
  await log.append(
    { category: 'user', id },
    0,
    create(CommitSchema, { commitId: id, decisions: [decision] }),
  );
}

describe('the fold of a log', () => {
  it('counts aggregates, commits and events of each category, up to a position', async () => {
    const log = await logOf('Ada', 'Bob', 'Eve');
    const figures = { category: 'user', aggregates: 2, commits: 2, events: 2, lastPosition: 2 };
    expect(await summarise(log, { through: positionOf(2) })).toMatchObject({
      last: 2,
      categories: [figures],
    });
    expect(await summarise(await logOf())).toMatchObject({ last: 0, categories: [] });
  });

  it('is the same for the same history, and sees another state behind the same commits', async () => {
    const here = await summarise(await logOf('Ada', 'Bob'));
    expect(compareSummaries(here, await summarise(await logOf('Ada', 'Bob')))).toEqual([]);
    const changed = compareSummaries(here, await summarise(await logOf('Ada', 'Bobby')));
    expect(changed.map(({ category, figure }) => [category, figure])).toEqual([['user', 'states']]);
    const missing = compareSummaries(here, await summarise(await logOf()));
    expect(missing).toContainEqual({ category: 'user', figure: 'aggregates', here: 2, there: 'none' });
  });

  it('tells of foreign messages and damaged commits, and goes on with everything else', async () => {
    const store = createMemoryStore();
    const log = openMemoryLog(store);
    await append(log, 0, 'Ada');
    store.put({ category: 'user', id: 'u0' }, 1, Uint8Array.of(0x78));
    store.put({ category: 'nonsense', id: 'x' }, 0, Uint8Array.of(0x78));
    store.put({ category: 'user', id: 'u1' }, 0, Uint8Array.of(0x78), 'ours');
    store.put({ category: 'user', id: 'u1' }, 4, Uint8Array.of(0x78), 'behind');
    await append(log, 2, 'Eve');
    const found = await summarise(log);
    expect(found.foreign.first.map(({ position }) => position)).toEqual([2, 3]);
    expect(found.foreign.first[0]?.detail).toMatch(/^on memory\.user\.\d\.\d\.\d\.u0$/);
    expect(found.damaged.first.map(({ position }) => position)).toEqual([4, 5]);
    expect(found.damaged).toMatchObject({ count: 2 });
    expect(found.unknown).toEqual([]);
    expect(found.categories).toMatchObject([{ category: 'user', aggregates: 3, commits: 5, events: 2 }]);
  });

  it('that is interrupted says so, and is never taken for whole', async () => {
    const log = await logOf('Ada', 'Bob');
    await expect(summarise(log, { signal: AbortSignal.abort() })).rejects.toThrow('interrupted');
  });
});

it.each([
  [0, '0 bytes'],
  [999, '999 bytes'],
  [1_500, '1.5 KB'],
  [2_340_000_000, '2.3 GB'],
])('%d bytes read as %s', (bytes, text) => {
  expect(size(bytes)).toBe(text);
});
