import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rebuildCommand } from '../../src/cli/rebuild.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { user } from '../../src/domain/user.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema, DecisionSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { UserCreatedSchema } from '../../src/gen/jetledger/user/v1/user_pb.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { openTestLog } from '../support/nats-log.ts';
import { toldOnTerminal } from '../support/told-on-terminal.ts';

const IDS = ['ada', 'grace', 'hedy'];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await runInProcess(server, topologyCommand, ['apply']);
  await using handle = await openTestLog(server.url);
  for (const userId of IDS) {
    const event = create(UserCreatedSchema, { userId, email: `${userId}@example.com`, name: userId });
    const events = [codecOf(user).encode(event as never)];
    const decision = create(DecisionSchema, { commandId: userId, actor: 'test', time: 1n, events });
    const commit = create(CommitSchema, { commitId: `commit-${userId}`, decisions: [decision] });
    await handle.log.append({ category: 'user', id: userId }, 0, commit);
  }
});
afterAll(() => server.stop());

const rebuild = (...args: string[]) => runInProcess(server, rebuildCommand, args);

/** Changes a row as no runner would. */
async function spoil(bucketName: string, key: string, value: object | undefined): Promise<void> {
  await using handle = await openTestLog(server.url);
  const { requests } = handle;
  const how = { requests, runtime: systemRuntime, replicas: 1, timeoutMs: 2_000, announceLosses: false };
  const bucket = await createNatsBuckets(how).open(bucketName);
  const row = await bucket?.get(key, { leader: true });
  if (bucket === undefined || row === undefined) throw new Error(`no ${key} in ${bucketName}`);
  const bytes = value && Buffer.from(JSON.stringify(value));
  await bucket.write({ key, value: bytes, expectedRevision: row.revision, position: row.position });
}

it('--diff prints each key that differs before it switches; with --json every line is JSON', async () => {
  const first = await rebuild('users', '--json');
  expect(first.text.split('\n').map((line) => JSON.parse(line) as object)).toMatchObject([
    { view: 'users', bucket: 'jl_users_v1', switched: true },
  ]);
  await spoil('jl_users_v1', 'ada', { wrong: true });
  await spoil('jl_users_v1', 'hedy', undefined);
  const { code, text } = await rebuild('users', '--diff');
  expect(code).toBe(0);
  const lines = text.split('\n').filter((line) => /ada|grace|hedy/.test(line));
  expect(lines.sort()).toEqual(['changed  ada', 'only-new hedy']);
  expect(text).toContain('users: 3 rows compared, 2 differ, 0 changed too fast to tell');
  expect(text).toContain('users: now in jl_users_v2');
}, 30_000);

it('tells on a terminal how far it is, and nothing there with --json', async () => {
  expect(await toldOnTerminal(() => rebuild('users'))).toMatch(/users \[[#.]{20}\] \d+ of 3 commits/);
  expect(await toldOnTerminal(() => rebuild('users', '--json'))).toBe('');
}, 30_000);
