import { expect, test } from 'vitest';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { rebuild } from '../../../src/projections/engine/rebuild/rebuild.ts';
import { startProjections } from '../../../src/projections/engine/start.ts';
import { users } from '../../../src/projections/views/users.ts';
import { added, counter, counterRef, toyCommit } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createReadModels } from '../../support/read-models.ts';
import { add, manualRuntime, meta } from '../eventstore/kernel.ts';
import { createShopWorld, userCreated } from './shop-world.ts';

/** A view at 1010 in a world whose log was restored at 1000: same commits up to there, other ones after it. */
async function withOldView(
  restored: { incarnation: string; commits: number },
  story: (shop: Parameters<typeof rebuild>[0] & { old: ReturnType<typeof createShopWorld> }) => Promise<void>,
): Promise<void> {
  const old = createShopWorld({ incarnation: 'life-1' });
  const copy = createShopWorld({ incarnation: restored.incarnation });
  await old.world.run(async () => {
    const views = old.start([users]);
    for (let n = 1; n <= 1_010; n++) old.append('user', `u${n}`, userCreated(`u${n}`));
    for (let n = 1; n <= 1_000; n++) copy.append('user', `u${n}`, userCreated(`u${n}`));
    for (let n = 1_001; n <= restored.commits; n++) copy.append('user', `new${n}`, userCreated(`new${n}`));
    await views.waitUntil(positionOf(1_010));
    await views.stop();
    const { world, runtime, buckets, settings } = old;
    const log = openMemoryLog(copy.store, { world, actor: 'main' });
    await story({ old, log, runtime, buckets, settings, projection: users });
  });
}

const startOn = (deps: Parameters<typeof rebuild>[0], errors: unknown[]) =>
  startProjections({ ...deps, projections: [users], onError: (_view, error) => errors.push(error) });

// The planted fault: without a new incarnation of the log, nobody can see that ten commits are missing from the view.
test('a view of the old incarnation over a log that grew past its checkpoint skips commits, if it is the same one', async () => {
  await withOldView({ incarnation: 'life-1', commits: 1_010 }, async (deps) => {
    const errors: unknown[] = [];
    const views = startOn(deps, errors);
    await views.waitUntil(positionOf(1_010));
    expect(errors).toEqual([]);
    expect(await deps.old.json('s_users_v1', 'new1005')).toBeUndefined();
    await views.stop();
  });
});

test.each([
  ['another incarnation of the log', { incarnation: 'life-2', commits: 1_010 }],
  ['a position beyond the end of the log', { incarnation: 'life-1', commits: 1_000 }],
])(
  'a view with a checkpoint of %s stops with a clear message, and a rebuild heals it',
  async (_what, restored) => {
    await withOldView(restored, async (deps) => {
      const errors: unknown[] = [];
      const views = startOn(deps, errors);
      while (errors.length === 0) await deps.runtime.sleep(50);
      await views.stop();
      expect(errors).toMatchObject([{ code: 'view/foreign-checkpoint' }]);
      expect(String(errors[0])).toContain('Rebuild users, please.');
      const { bucket } = await rebuild(deps);
      const after = startOn(deps, errors);
      await after.waitUntil(positionOf(restored.commits));
      await after.stop();
      const rows = await deps.old.json(bucket, `u${1_001}`);
      expect([rows, errors.length]).toEqual([undefined, 1]);
    });
  },
);

test('a read never shows a row of another incarnation of the log, whatever position is asked for', async () => {
  await withOldView({ incarnation: 'life-2', commits: 1_010 }, async (deps) => {
    const reads = createReadModels({ ...deps });
    await expect(reads.user('u1005', { minPosition: positionOf(1_005), waitMs: 100 })).rejects.toThrow(
      'another incarnation',
    );
    await expect(reads.user('u1005')).rejects.toThrow('another incarnation');
    reads.stop();
  });
});

test('a snapshot of the old incarnation is not taken for a new commit with the same version', async () => {
  const snapshots = new Map<string, Uint8Array>();
  const store = {
    get: async (key: string) => snapshots.get(key),
    put: async (key: string, value: Uint8Array) => void snapshots.set(key, value),
  };
  const totals: number[] = [];
  for (const incarnation of ['life-1', 'life-1', 'life-2']) {
    // The last commit of the first incarnation is lost, and its version is used again.
    const log = createMemoryLog({ incarnation });
    for (let n = 0; n < 4; n++) await log.append(counterRef('x'), n, toyCommit(`c${n}`, [added(1)]));
    if (totals.length > 0) await log.append(counterRef('x'), 4, toyCommit('new', [added(96)]));
    const deps = {
      log,
      runtime: manualRuntime(),
      snapshots: { store, settings: { verifyShare: 0, fewestCommands: 2 }, onWrong: () => {} },
    };
    const handler = createHandler(deps);
    if (totals.length === 0) await handler.execute(counter, 'x', add(1), meta('fifth'));
    const { state } = await handler.load(counter, 'x');
    totals.push(state.total);
    await handler.close();
  }
  // With the same incarnation the snapshot lies: this is the planted fault.
  expect(totals).toEqual([5, 5, 100]);
});
