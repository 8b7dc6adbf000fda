import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { allViews } from '../property/projections/world-of-views.ts';
import { executePlan, fillViews, openWorld, readHistories, type Switches, totals } from './fast-paths.ts';

const ON: Switches = { leanRequests: true, groupCommit: 'always', snapshots: true, coalesceRows: true };
const OFF: Switches = { leanRequests: false, groupCommit: 'off', snapshots: false, coalesceRows: false };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(async () => {
  await server.stop();
});

/** What the plan comes to with these switches, and which of the paths were taken. */
async function run(switches: Switches) {
  const world = await openWorld(server.url, switches);
  const told = await executePlan(world);
  const { histories, placeOf } = await readHistories(world.log);
  const [rows = []] = await fillViews(world, world.prefix, [totals], switches);
  const commits = [...histories.values()].reduce((sum, history) => sum + history.length, 0);
  const { prefix, sent, snapshots } = world;
  const count = (start: string, endsBatch = false) =>
    sent.filter((one) => one.subject.startsWith(start) && one.endsBatch === endsBatch).length;
  const paths = {
    batches: count(`${prefix}.`, true) > 10,
    snapshots: snapshots.put > 10 && snapshots.found > 10,
    coalesced: count(`$KV.${prefix}_totals_v1.a`) < commits,
  };
  await world.close();
  // A version is a position of the log, and which aggregate of a round is first is nobody's promise.
  const versions = ['version', 'actual', 'position'];
  const withPlaces = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value), (key, inner) => (versions.includes(key) ? placeOf(inner) : inner));
  return { results: withPlaces({ told, histories: [...histories], rows }), commits, paths };
}

let reference: Awaited<ReturnType<typeof run>>;
beforeAll(async () => {
  reference = await run(OFF);
});

describe('the same commands', () => {
  it('without any fast path take none, and say everything that a command can be told', () => {
    expect(reference.paths).toEqual({ batches: false, snapshots: false, coalesced: false });
    const text = JSON.stringify(reference.results);
    for (const outcome of ['accepted', 'unchanged', 'rejected', 'conflict', 'key-reused']) {
      expect(text).toContain(`"outcome":"${outcome}"`);
    }
    expect(text).toContain('"repeated":true');
  });

  it.each<[string, Partial<Switches>, Partial<typeof reference.paths>]>([
    ['all fast paths', {}, {}],
    ['all but lean requests', { leanRequests: false }, {}],
    ['all but group commit', { groupCommit: 'off' }, { batches: false }],
    ['all but snapshots', { snapshots: false }, { snapshots: false }],
    ['all but coalesced rows', { coalesceRows: false }, { coalesced: false }],
  ])('come with %s to the same answers, versions, histories and rows', async (_, off, notTaken) => {
    const { results, commits, paths } = await run({ ...ON, ...off });
    expect(paths).toEqual({ batches: true, snapshots: true, coalesced: true, ...notTaken });
    expect(commits).toBe(reference.commits);
    expect(results).toEqual(reference.results);
  });
});

/** A full page is as new as the write that cut it off; what is in it never changes. */
const isPage = (key: string): boolean => /^note-.*\.\d+$/.test(key);

it('the same log comes, coalesced or one commit at a time, to the same rows', async () => {
  const world = await openWorld(server.url, ON);
  await executePlan(world);
  const fill = async (coalesceRows: boolean) => {
    const views = await fillViews(world, `${world.prefix}_${coalesceRows}`, allViews, { coalesceRows });
    return views.map((rows) => rows.map((row) => (isPage(row.key) ? { ...row, position: 0 } : row)));
  };
  const coalesced = await fill(true);
  expect(coalesced.flat().some(({ key }) => isPage(key))).toBe(true);
  expect(await fill(false)).toEqual(coalesced);
  await world.close();
});
