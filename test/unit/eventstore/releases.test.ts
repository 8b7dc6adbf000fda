import { describe, expect, it } from 'vitest';
import {
  foldsOf,
  type Release,
  type Releases,
  readReleases,
  releaseId,
  unusedFolds,
  withoutFolds,
  writeReleases,
} from '../../../src/eventstore/snapshots/releases.ts';
import {
  type RemakeSettings,
  type SnapshotArchive,
  startRemake,
} from '../../../src/eventstore/snapshots/remake.ts';
import { counter } from '../../../src/testing/contracts/toy.ts';
import { createMemoryBucketStore } from '../../../src/testing/memory-bucket.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { manualRuntime, mapStore, rest } from './kernel.ts';

const DAY = 24 * 3_600_000;
const NOW = 100 * DAY;

function releaseOf(fold: string, more: Partial<Release> = {}): Release {
  const standing = { floor: 0, next: 1, top: 0, remade: 0, former: [] };
  return { folds: { counter: fold }, since: 0, at: NOW, owner: 'a', beat: 1, ...standing, ...more };
}

describe('former folds', () => {
  const all: Releases = {
    new: releaseOf('c', { former: ['counter.a', 'counter.b', 'counter.c', 'counter.x'] }),
    canary: releaseOf('b', { at: NOW - DAY / 2 }),
    gone: releaseOf('a', { at: NOW - 2 * DAY }),
  };

  it('go only when no release with a sign of late has them, and never its own', () => {
    expect(unusedFolds(all, 'new', NOW - DAY)).toEqual(['counter.a', 'counter.x']);
  });

  it('take the standing of their release with them, and no other', () => {
    const left = withoutFolds(all, 'new', ['counter.a', 'counter.x']);
    expect(Object.keys(left).sort()).toEqual(['canary', 'new']);
    expect(left.new?.former).toEqual(['counter.b', 'counter.c']);
  });
});

describe('a release', () => {
  it('is its folds and the incarnation of the log, in whatever order they are named', () => {
    expect(releaseId('log-1', { a: '1', b: '2' })).toBe(releaseId('log-1', { b: '2', a: '1' }));
    expect(releaseId('log-2', { a: '1', b: '2' })).not.toBe(releaseId('log-1', { a: '1', b: '2' }));
    expect(releaseId('log-1', { a: '1', b: '3' })).not.toBe(releaseId('log-1', { a: '1', b: '2' }));
  });
});

/** The row of a bucket in memory; without its `fence` the last write wins. */
function rowsOf(fence: boolean): SnapshotArchive['rows'] {
  const bucket = createMemoryBucketStore('snapshots');
  return {
    get: async (key) => {
      await rest();
      return bucket.last(key);
    },
    write: async (row) => {
      await rest();
      const expectedRevision = fence ? row.expectedRevision : (bucket.last(row.key)?.revision ?? 0);
      const revision = bucket.put([{ ...row, expectedRevision }]);
      return revision === undefined ? { written: false } : { written: true, revision };
    },
  };
}

/** How many of two processes that begin at the same moment take the work for theirs. */
async function ownersAmongTwo(rows: SnapshotArchive['rows']): Promise<number> {
  const archive = {
    rows,
    end: async () => 0,
    keys: async () => [],
    held: async () => new Set<string>(),
    drop: async () => undefined,
  };
  const log = createMemoryLog();
  const settings: Partial<RemakeSettings> = { leaseMs: 30_000 };
  let owners = 0;
  const processes = ['a', 'b'].map((name) => {
    const runtime = { ...manualRuntime(), id: () => name, sleep: () => new Promise<void>(() => undefined) };
    const observer = { owns: () => owners++ };
    return startRemake({ deciders: [counter], store: mapStore(), archive, log, runtime, settings, observer });
  });
  for (let i = 0; i < 50; i++) await rest();
  await Promise.all(processes.map((each) => each.stop()));
  return owners;
}

describe('the owner of a release', () => {
  it('is one, also when two begin at the same moment; without the fence there would be two', async () => {
    expect(await ownersAmongTwo(rowsOf(true))).toBe(1);
    expect(await ownersAmongTwo(rowsOf(false))).toBe(2);
  });

  it('reads what others wrote, and does not write over it', async () => {
    const rows = rowsOf(true);
    const mine = { [releaseId('log-1', foldsOf([counter]))]: releaseOf('c') };
    expect(await writeReleases(rows, mine, 0)).toBe(true);
    expect(await writeReleases(rows, {}, 0)).toBe(false);
    expect((await readReleases(rows)).releases).toEqual(mine);
  });
});

it('former folds are told as dropped once, also where another gives a sign at the same moment', async () => {
  const stored = rowsOf(true);
  const log = createMemoryLog();
  const id = releaseId(log.incarnation, foldsOf([counter]));
  const own = releaseOf('own', { folds: foldsOf([counter]), endedAt: 1, former: ['counter.x'] });
  await writeReleases(stored, { [id]: own }, 0);
  let drops = 0;
  let refused = 0;
  const rows: SnapshotArchive['rows'] = {
    get: stored.get,
    write: async (row) => (drops === 1 && refused++ === 0 ? { written: false } : stored.write(row)),
  };
  const archive = {
    rows,
    end: async () => 0,
    keys: async () => [],
    held: async () => new Set<string>(),
    drop: async () => void drops++,
  };
  let now = NOW;
  const sleep = async (ms: number): Promise<void> => {
    now += ms;
    await rest();
  };
  const runtime = { ...manualRuntime(), id: () => 'a', now: () => now, sleep };
  const told: string[] = [];
  const observer = { dropped: (folds: readonly string[]) => void told.push(...folds) };
  const settings: Partial<RemakeSettings> = { leaseMs: 3_000, keepMs: 24_000 };
  const remake = startRemake({
    deciders: [counter],
    store: mapStore(),
    archive,
    log,
    runtime,
    settings,
    observer,
  });
  for (let i = 0; i < 200; i++) await rest();
  await remake.stop();
  expect([refused > 0, told]).toEqual([true, ['counter.x']]);
});
