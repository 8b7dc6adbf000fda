import { toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { LogUnavailable, OutcomeUnknown } from '../../../src/eventstore/errors.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { BEGINNING, numberOf, positionOfVersion, versionAt } from '../../../src/eventstore/position.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { added, counterRef, toyCommit } from '../../../src/testing/contracts/toy.ts';
import { createMemoryBucketStore, openMemoryBucket } from '../../../src/testing/memory-bucket.ts';
import {
  createMemoryStore,
  createMemoryTransport,
  type MemoryStore,
  openMemoryLog,
} from '../../../src/testing/memory-log.ts';
import { createWorld, type World, type WorldOptions } from '../../../src/testing/world.ts';

const stream = counterRef('hot');
const BAD_NETWORK = {
  lostAck: 0.1,
  lateLanding: 0.1,
  lostSend: 0.1,
  unavailable: 0.1,
  delay: 0.1,
  staleRead: 0.3,
};

type Claim = 'stored' | 'not stored' | 'unknown';

/** One writer that appends three commits as best it can, and notes what it was told. */
async function writer(log: Log, name: string, told: Map<string, Claim>): Promise<void> {
  let version = 0;
  for (let i = 0; i < 3; i++) {
    const commitId = `${name}-${i}`;
    told.set(commitId, 'unknown');
    const result = await log.append(stream, version, toyCommit(commitId, [added(1)])).catch(asFault);
    if (result instanceof OutcomeUnknown) continue;
    const stored = !(result instanceof LogUnavailable) && result.appended;
    told.set(commitId, stored ? 'stored' : 'not stored');
    if (stored) version = result.version;
    else version = await lastVersion(log, version);
  }
}

async function lastVersion(log: Log, known: number): Promise<number> {
  const page = await log.read(stream, { after: known, confirm: true }).catch(asFault);
  return page instanceof Error ? known : versionAt(page.commits.at(-1)?.position ?? positionOfVersion(known));
}

/** The two faults that a caller of the log must expect; anything else is a bug. */
function asFault(error: unknown): OutcomeUnknown | LogUnavailable {
  if (error instanceof OutcomeUnknown || error instanceof LogUnavailable) return error;
  throw error;
}

async function schedule(
  seed: number,
  options: WorldOptions,
): Promise<{ world: World; store: MemoryStore; told: Map<string, Claim> }> {
  const world = createWorld(seed, options);
  const store = createMemoryStore();
  const told = new Map<string, Claim>();
  await world.run(async () => {
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        world.spawn(name, () => writer(openMemoryLog(store, { world, actor: name }), name, told)),
      ),
    );
    // Until everything that is still in the network has landed.
    await world.runtime('main').sleep(60_000);
  });
  return { world, store, told };
}

const storedIds = (store: MemoryStore): string[] =>
  store.ofStream(stream, 0, Infinity, Infinity).map((commit) => commit.commitId);

describe('the log in a bad network', () => {
  it('tells the truth about every append in 3,000 schedules: stored once, or never, or honestly unknown', async () => {
    const seen = new Set<Claim>();
    for (let seed = 0; seed < 3000; seed++) {
      const { store, told } = await schedule(seed, { faults: BAD_NETWORK });
      const ids = storedIds(store);
      expect(new Set(ids).size, `seed ${seed}`).toBe(ids.length);
      for (const [commitId, claim] of told) {
        seen.add(claim);
        if (claim === 'stored') expect(ids, `seed ${seed}`).toContain(commitId);
        if (claim === 'not stored') expect(ids, `seed ${seed}`).not.toContain(commitId);
      }
    }
    expect(seen).toEqual(new Set(['stored', 'not stored', 'unknown']));
  });

  it('stays true when writers crash at any step', async () => {
    for (let seed = 0; seed < 1000; seed++) {
      const { store, told } = await schedule(seed, { faults: { ...BAD_NETWORK, crash: 0.1 } });
      const ids = storedIds(store);
      for (const [commitId, claim] of told) {
        if (claim !== 'unknown') expect(ids.includes(commitId), `seed ${seed}`).toBe(claim === 'stored');
      }
    }
  });

  it('is the same schedule again for the same seed', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const [one, two] = [
        await schedule(seed, { faults: BAD_NETWORK }),
        await schedule(seed, { faults: BAD_NETWORK }),
      ];
      expect(one.world.trace()).toEqual(two.world.trace());
      expect(storedIds(one.store)).toEqual(storedIds(two.store));
    }
  });

  it('shows commits that landed after their writer was told that nobody knows', async () => {
    let late = 0;
    for (let seed = 0; seed < 300; seed++) {
      const { store, told } = await schedule(seed, { faults: { lateLanding: 0.9 }, longestDelayMs: 20_000 });
      late += storedIds(store).filter((id) => told.get(id) === 'unknown').length;
    }
    expect(late).toBeGreaterThan(0);
  });
});

describe('the obvious way to resolve a missing answer (protocol 2)', () => {
  it('is found to lie: nothing on the tail was taken for "not stored", and the commit lands later', async () => {
    let lies = 0;
    for (let seed = 0; seed < 200; seed++) {
      const world = createWorld(seed, { faults: BAD_NETWORK });
      const store = createMemoryStore();
      const runtime = world.runtime('a');
      const transport = createMemoryTransport(store, { world, actor: 'a', runtime });
      const commit = toyCommit('a-0', [added(1)]);
      const bytes = toBinary(CommitSchema, commit) as Uint8Array<ArrayBuffer>;
      await world.run(async () => {
        const answer = await transport.publish([{ stream, expected: 0, commit, bytes }], 500);
        if (!('noAnswer' in answer)) return;
        const next = await transport.commitsAfter(stream, 0, 500).catch(asFault);
        await runtime.sleep(60_000);
        if (next === undefined && storedIds(store).includes('a-0')) lies++;
      });
    }
    expect(lies).toBeGreaterThan(0);
  });
});

describe('a reader in a bad network', () => {
  it('may see an old prefix when it does not confirm, and never when it does', async () => {
    const store = createMemoryStore();
    for (let i = 0; i < 5; i++) store.put(stream, i, Uint8Array.of(i), `c${i}`);
    const lengths = new Set<number>();
    for (let seed = 0; seed < 100; seed++) {
      const world = createWorld(seed, { faults: { staleRead: 0.5 } });
      const log = openMemoryLog(store, { world });
      await world.run(async () => {
        const page = await log.read(stream, { after: 0, confirm: false });
        lengths.add(page.commits.length);
        expect(page.confirmedEnd).toBe(false);
        expect((await log.read(stream, { after: 0, confirm: true })).commits).toHaveLength(5);
      });
    }
    expect(lengths.has(5) && lengths.has(4) && lengths.size > 3).toBe(true);
  });

  it('is given commits again, in order and without a gap, when redelivery strikes', async () => {
    const store = createMemoryStore();
    for (let i = 0; i < 450; i++) store.put(stream, i, Uint8Array.of(1), `c${i}`);
    let repeated = 0;
    for (let seed = 0; seed < 50; seed++) {
      const world = createWorld(seed, { faults: { redelivery: 0.3 } });
      await world.run(async () => {
        let reached = 0;
        for await (const { commits } of openMemoryLog(store, { world }).scan({ after: BEGINNING })) {
          const first = numberOf(commits[0]?.position ?? BEGINNING);
          expect(first).toBeLessThanOrEqual(reached + 1);
          if (first <= reached) repeated++;
          reached = Math.max(reached, numberOf(commits.at(-1)?.position ?? BEGINNING));
        }
        expect(reached).toBe(450);
      });
    }
    expect(repeated).toBeGreaterThan(0);
  });
});

describe('the bucket in a bad network', () => {
  it('throws for a write without an answer, which may be there or not, and never half a batch', async () => {
    const ends = new Set<string>();
    for (let seed = 0; seed < 500; seed++) {
      const world = createWorld(seed, { faults: { lostAck: 0.3, lostSend: 0.3, lateLanding: 0.2 } });
      const store = createMemoryBucketStore('rows');
      const bucket = openMemoryBucket(store, { world });
      await world.run(async () => {
        const rows = ['a', 'b'].map((key) => ({
          key,
          value: Uint8Array.of(1),
          expectedRevision: 0,
        }));
        const told = await bucket
          .writeAll?.(rows)
          .catch((error: unknown) => (error instanceof OutcomeUnknown ? 'unknown' : 'bug'));
        await world.runtime('main').sleep(60_000);
        ends.add(`${told === 'unknown' ? told : JSON.stringify(told)}: ${store.writes.length}`);
      });
    }
    expect(ends).toEqual(new Set(['{"written":true,"lastRevision":2}: 2', 'unknown: 2', 'unknown: 0']));
  });
});
