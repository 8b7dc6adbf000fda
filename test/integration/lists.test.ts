import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createSqliteIndexes, plainRows, type ViewReader } from '../../src/projections/engine/index.ts';
import { startProjections } from '../../src/projections/engine/start.ts';
import { createViewReader } from '../../src/projections/engine/view-reader.ts';
import { userIndex, userQueries, users } from '../../src/projections/views/users.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { appendUser } from '../bench/query-log.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';

/** Digits only, so that no part of a name comes about by chance. */
const digest = (text: string): string =>
  BigInt(`0x${createHash('sha256').update(text).digest('hex')}`)
    .toString()
    .slice(0, 18);

/** A server with fifty users in its view, and readers that keep their lists in one folder. */
async function shopOfUsers() {
  const server = await startTestServer();
  onTestFinished(server.stop);
  await createLogStream(server.url);
  const { log, requests, close } = await openTestLog(server.url, TEST_LOG);
  onTestFinished(close);
  const dir = await mkdtemp(join(tmpdir(), 'jetledger-lists-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const runtime = systemRuntime;
  const buckets = createNatsBuckets({
    requests,
    runtime,
    replicas: 1,
    timeoutMs: 5_000,
    announceLosses: false,
  });
  const settings = { prefix: TEST_LOG.prefix, checkpointMs: 20, resolveMs: 100 };
  const views = startProjections({ log, buckets, projections: [users], runtime, settings });
  onTestFinished(views.stop);
  const built: string[] = [];
  const open = (): ViewReader =>
    createViewReader({
      ...{ log, buckets, runtime, settings, views: [users], indexes: [userIndex] },
      requestCheckpoint: views.requestCheckpoint,
      indexStore: createSqliteIndexes({ dir }),
      privacy: { ...plainRows, digest, stamp: async () => 'key' },
      observer: { indexed: ({ bucket }) => built.push(bucket) },
    });
  const fillTo = async (from: number, to: number) => {
    for (let n = from; n < to; n++) await appendUser(log, n);
  };
  await fillTo(0, 50);
  return { dir, open, fillTo, built, part: join(dir, '0') };
}

let shop: Awaited<ReturnType<typeof shopOfUsers>>;
beforeEach(async () => {
  shop = await shopOfUsers();
});

async function allUsers(reader: ViewReader, upTo: number, filter = {}): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await userQueries(reader).users(filter, {
      ...{ limit: 7, cursor, minPosition: positionOf(upTo), waitMs: 10_000 },
    });
    ids.push(...page.items.map((item) => JSON.parse(Buffer.from(item).toString()).id));
    cursor = page.next;
    if (cursor === undefined) return ids;
  }
}

const indexFiles = async (part: string) =>
  (await readdir(part)).filter((name) => /^users-.*sqlite$/.test(name));

it('goes on after a restart with the file that it has, and shows what was written meanwhile', async () => {
  const before = shop.open();
  expect(await allUsers(before, 50)).toHaveLength(50);
  const files = await indexFiles(shop.part);
  expect(files).toHaveLength(1);
  await before.stop();
  await shop.fillTo(50, 60);
  const after = shop.open();
  expect(await allUsers(after, 60)).toHaveLength(60);
  expect(await indexFiles(shop.part)).toEqual(files);
  await after.stop();
});

it.each([
  ['cut off', (path: string) => truncate(path, 5_000)],
  ['overwritten', (path: string) => writeFile(path, Buffer.alloc(20_000, 7))],
])('is made anew when its file was %s', async (_how, damage) => {
  const before = shop.open();
  expect(await allUsers(before, 50)).toHaveLength(50);
  await before.stop();
  const [file = ''] = await indexFiles(shop.part);
  await damage(join(shop.part, file));
  const after = shop.open();
  expect(await allUsers(after, 50)).toHaveLength(50);
  expect(await indexFiles(shop.part)).not.toContain(file);
  await after.stop();
});

it('gives each process that shares a folder a part of its own', async () => {
  const [one, other] = [shop.open(), shop.open()];
  expect(await allUsers(one, 50)).toEqual(await allUsers(other, 50));
  expect((await readdir(shop.dir)).sort()).toEqual(['0', '1']);
  await one.stop();
  await other.stop();
});

it('finds users by how their names begin, and has no name and no address in its files', async () => {
  const reader = shop.open();
  const adas = await allUsers(reader, 50, { namePrefix: 'aDa' });
  expect(adas.length).toBeGreaterThan(0);
  expect(await allUsers(reader, 50, { namePrefix: 'nobody' })).toEqual([]);
  await reader.stop();
  for (const name of await readdir(shop.part)) {
    const text = (await readFile(join(shop.part, name))).toString('latin1').toLowerCase();
    expect(text).not.toMatch(/grace|edsger|barbara|donald|frances|user-\d|example\.com/);
  }
});
