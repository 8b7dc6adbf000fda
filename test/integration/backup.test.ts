import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import { user } from '../../src/domain/user.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema, DecisionSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { UserCreatedSchema } from '../../src/gen/jetledger/user/v1/user_pb.ts';
import { takeBackup } from '../../src/platform/backup/take.ts';
import { createNatsTimers } from '../../src/processes/engine/timers/nats-timers.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { runInProcess as run } from '../support/cli-in-process.ts';
import { type LogHandle, openTestLog } from '../support/nats-log.ts';
import { toldOnTerminal } from '../support/told-on-terminal.ts';

const COMMITS = 120;

let folders: string;
let origin: TestServer;
let folder: string;

const registered = (id: string, name: string) => {
  const event = create(UserCreatedSchema, { userId: id, email: `${id}@example.com`, name, createdAt: 1n });
  const events = [codecOf(user).encode(event)];
  const decision = create(DecisionSchema, { commandId: `command-${id}`, actor: 'test', time: 1n, events });
  return create(CommitSchema, { commitId: `commit-${id}-${name.length}`, decisions: [decision] });
};

async function register(log: Log, id: string, name = 'Ada'): Promise<number> {
  const result = await log.append({ category: 'user', id }, 0, registered(id, name));
  if (!result.appended) throw new Error(`${id} exists already`);
  return result.version;
}

const bucketsOf = ({ requests }: LogHandle) =>
  createNatsBuckets({
    requests,
    runtime: systemRuntime,
    replicas: 1,
    timeoutMs: 2_000,
    announceLosses: false,
  });

async function putRow(handle: LogHandle, bucket: string, key: string, value: object): Promise<void> {
  const target = await bucketsOf(handle).create(bucket, { durable: true });
  const revision = (await target.get(key, { leader: true }))?.revision ?? 0;
  const row = { key, value: Buffer.from(JSON.stringify(value)), expectedRevision: revision };
  expect((await target.write(row)).written).toBe(true);
}

async function streamsOf({
  connection,
}: LogHandle | { connection: LogHandle['connection'] }): Promise<string[]> {
  const jsm = await jetstreamManager(connection);
  const names: string[] = [];
  for await (const name of jsm.streams.names()) names.push(name);
  return names;
}

beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'jetledger-backup-'));
  origin = await startTestServer();
  folder = join(folders, 'first');
  expect((await run(origin, topologyCommand, ['apply'])).code).toBe(0);
  await using handle = await openTestLog(origin.url);
  const { incarnation } = handle.log;
  // More than the server sends without an acknowledgement, and nothing that shrinks.
  for (let n = 0; n < COMMITS; n++)
    await register(handle.log, `u${n}`, randomBytes(60_000).toString('base64'));
  const cursor = { high: COMMITS - 2, open: [COMMITS - 4], incarnation, owner: 'one' };
  await putRow(handle, 'jl_cursors', 'order-process.1.0', cursor);
  await putRow(handle, 'jl_cursors', 'start.order-process', { ...cursor, high: 3, open: [] });
  await putRow(handle, 'jl_engine', 'groups.order-process', { count: 1 });
  await putRow(handle, 'jl_engine', 'session.old', { instance: 'old', consumers: [], beat: 1 });
  await putRow(handle, 'jl_engine', 'lease.order-process.1.0', { session: 'old' });
  await putRow(handle, 'jl_users_v1', 'u1', { id: 'u1' });
  const { requests } = handle;
  const timers = createNatsTimers({ requests, runtime: systemRuntime, prefix: 'jl', timeoutMs: 2_000 });
  await timers.arm({ kind: 'deadline', id: 'order-1', at: Date.now() + 3_000 });
  expect((await run(origin, backupCommand, [folder])).code).toBe(0);
});
afterAll(async () => {
  await origin.stop();
  await rm(folders, { recursive: true, force: true });
});

describe('a backup that is put back', () => {
  it('has the same history under a new life, and the cursors go with it', async () => {
    await using fresh = await startTestServer();
    await using old = await openTestLog(origin.url);
    const restored = await run(fresh, restoreCommand, [folder, '--json']);
    expect(restored.json()).toMatchObject({ last: COMMITS });
    await using handle = await openTestLog(fresh.url);
    const { log } = handle;
    expect(log.incarnation).toBe(restored.json().incarnation);
    expect(log.incarnation).not.toBe(old.log.incarnation);
    const compared = await run(fresh, verifyCommand, ['--live', '--against', origin.url, '--json']);
    expect(compared.json()).toMatchObject({ ok: true, mismatches: [], here: { last: COMMITS } });
    // Versions are those of the old log: concurrency goes on where it was.
    const again = await log.append({ category: 'user', id: 'u7' }, 0, registered('u7', 'Eve'));
    expect(again.appended).toBe(false);
    expect(await register(log, 'new')).toBe(COMMITS + 1);

    const cursors = await bucketsOf(handle).open('jl_cursors');
    const stored = async (key: string): Promise<object> => {
      const row = await cursors?.get(key, { leader: true });
      return JSON.parse(Buffer.from(row?.value ?? []).toString('utf8')) as object;
    };
    const { incarnation } = log;
    const cursor = { high: COMMITS - 2, open: [COMMITS - 4], incarnation };
    expect(await stored('order-process.1.0')).toMatchObject(cursor);
    expect(await stored('start.order-process')).toMatchObject({ high: 3, open: [], incarnation });
    const shared: string[] = [];
    for await (const { key } of (await bucketsOf(handle).open('jl_engine'))?.rows() ?? []) shared.push(key);
    expect(shared).toEqual(['groups.order-process']);
    // Whether it was armed or had fired when it was copied: it rings once on the restored server.
    const jsm = await jetstreamManager(handle.connection);
    const fired = { last_by_subj: 'jlt.fire.deadline.order-1' };
    await until('the timer rings', async () => (await jsm.streams.getMessage('jl-timers', fired)) !== null);
    // Views come from the log again.
    expect(await streamsOf(handle)).not.toContain('KV_jl_users_v1');
  });

  it('is refused by a server that holds anything of JetLedger, and by another e-mail key', async () => {
    await expect(run(origin, restoreCommand, [folder])).rejects.toThrow('not empty: it has');
    await using fresh = await startTestServer();
    await expect(
      run(fresh, restoreCommand, [folder], { JETLEDGER_USERS__EMAIL_KEY: 'b2'.repeat(32) }),
    ).rejects.toThrow('another e-mail key');
  });

  // The planted fault of protocol 15: the cursor would skip the commits that the new incarnation gives these positions.
  it('is undone when a cursor lies beyond the end of the copied log', async () => {
    const planted = join(folders, 'planted');
    await using source = await startTestServer();
    await run(source, topologyCommand, ['apply']);
    await using handle = await openTestLog(source.url);
    const { log } = handle;
    const { incarnation } = log;
    await register(log, 'only');
    await putRow(handle, 'jl_cursors', 'order-process.1.0', { high: 10, open: [], incarnation, owner: 'x' });
    await run(source, backupCommand, [planted]);
    await using fresh = await startTestServer();
    await expect(run(fresh, restoreCommand, [planted])).rejects.toThrow(
      /is at 10 and the copied log ends at 1\. Nothing is left of the attempt/,
    );
    const connection = await connect({ servers: fresh.url });
    expect(await streamsOf({ connection })).toEqual([]);
    await connection.close();
  });
});

describe('how far it is', () => {
  it('is told on a terminal while it is copied, proven and put back, and is gone at the end', async () => {
    const shown = join(folders, 'shown');
    await using fresh = await startTestServer();
    const copied = await toldOnTerminal(() => run(origin, backupCommand, [shown]));
    expect(copied).toMatch(/jetledger \[[#.]{20}\] .* of about \d+\.\d MB/);
    const proven = await toldOnTerminal(() => run(origin, verifyCommand, [shown, '--live']));
    for (const what of ['checksums', 'bringing it up', 'folding there', 'folding here'])
      expect(proven).toContain(`${what} [`);
    expect(proven).toContain(`of ${COMMITS} commits`);
    const back = await toldOnTerminal(() => run(fresh, restoreCommand, [shown]));
    expect(back).toMatch(/checksums \[.*jetledger \[[#.]{20}\] .* of \d+\.\d MB/s);
    for (const told of [copied, proven, back]) expect(told.endsWith('\r\u001b[K')).toBe(true);
    expect(await toldOnTerminal(() => run(origin, verifyCommand, [shown, '--json']))).toBe('');
  }, 60_000);
});

describe('a damaged backup', () => {
  it('is reported by the name of the file that changed, and never restored', async () => {
    await using fresh = await startTestServer();
    for (const file of await readdir(folder)) {
      const path = join(folder, file);
      const sound = await readFile(path);
      const flipped = Buffer.from(sound);
      const at = Math.floor(flipped.length / 2);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      await writeFile(path, flipped);
      const found = await run(origin, verifyCommand, [folder, '--json']);
      expect([file, found.code]).toEqual([file, 1]);
      expect(JSON.stringify(found.json().files)).toContain(file);
      await expect(run(fresh, restoreCommand, [folder])).rejects.toThrow('damaged');
      await writeFile(path, sound);
    }
    await rm(join(folder, 'KV_jl_parked.snapshot'));
    expect((await run(origin, verifyCommand, [folder])).text).toContain('KV_jl_parked.snapshot is missing');
  });
});

describe('a backup that does not come about', () => {
  it('leaves nothing behind when it is interrupted, and never touches a folder that exists', async () => {
    await using handle = await openTestLog(origin.url);
    const interrupted = new AbortController();
    const options = {
      requests: handle.requests,
      folder: join(folders, 'interrupted'),
      log: { stream: 'jetledger', prefix: 'jl' },
      plan: {
        streams: [
          { name: 'KV_jl_cursors', what: '' },
          { name: 'jetledger', what: '' },
        ],
        leftOut: [],
      },
      toolVersion: 'test',
      now: Date.now,
      signal: interrupted.signal,
      onStream: () => interrupted.abort(),
    };
    await expect(takeBackup(options)).rejects.toThrow('interrupted');
    expect((await readdir(folders)).filter((name) => name.includes('interrupted'))).toEqual([]);
    await expect(takeBackup({ ...options, folder })).rejects.toThrow('exists already');
  });
});

describe('verify', () => {
  it('folds a backup on a server of its own, and sees where two logs went different ways', async () => {
    const copy = join(folders, 'second');
    await using source = await startTestServer();
    await run(source, topologyCommand, ['apply']);
    await using here = await openTestLog(source.url);
    await register(here.log, 'one');
    await run(source, backupCommand, [copy]);
    const whole = await run(source, verifyCommand, [copy, '--json']);
    expect(whole.json()).toMatchObject({
      ok: true,
      here: { last: 1, categories: [{ aggregates: 1, events: 1 }] },
    });
    await using fresh = await startTestServer();
    await run(fresh, restoreCommand, [copy]);
    await using there = await openTestLog(fresh.url);
    await register(here.log, 'two');
    await register(there.log, 'three');
    const compared = await run(source, verifyCommand, ['--live', '--against', fresh.url, '--json']);
    expect(compared.code).toBe(1);
    const differing = (compared.json().mismatches as { figure: string }[]).map(({ figure }) => figure);
    expect(differing).toEqual(['history', 'states']);
    // The copy is older than both, and the same as both up to its end.
    expect((await run(source, verifyCommand, [copy, '--live'])).code).toBe(0);
    expect((await run(source, verifyCommand, [copy, '--against', fresh.url])).code).toBe(0);
  });
});
