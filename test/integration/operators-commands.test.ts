import { create } from '@bufbuild/protobuf';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/cli/doctor/checks.ts';
import { consumerFinding, viewFinding } from '../../src/cli/doctor/progress.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { inspectCommand } from '../../src/cli/inspect.ts';
import { statusCommand } from '../../src/cli/status.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { user } from '../../src/domain/user.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { CommitSchema, DecisionSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { UserCreatedSchema, UserRenamedSchema } from '../../src/gen/jetledger/user/v1/user_pb.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { runInProcess as run } from '../support/cli-in-process.ts';
import { openTestLog } from '../support/nats-log.ts';

const TRACE = 'abcdefabcdefabcdefabcdefabcdefab';
const AT = 1_900_000_000_000n;

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const findingsOf = (report: Record<string, unknown>): readonly Finding[] => report.findings as Finding[];
const named = (findings: readonly Finding[], check: string) => findings.find((one) => one.check === check);

async function append(
  id: string,
  expected: number,
  event: Parameters<ReturnType<typeof codecOf>['encode']>[0],
) {
  await using handle = await openTestLog(server.url);
  const decision = create(DecisionSchema, {
    commandId: `command-${expected}`,
    actor: 'test',
    time: AT,
    traceparent: `00-${TRACE}-1234567812345678-01`,
    events: [codecOf(user).encode(event as never)],
  });
  const commit = create(CommitSchema, { commitId: `commit-${expected}`, decisions: [decision] });
  const result = await handle.log.append({ category: 'user', id }, expected, commit);
  if (!result.appended) throw new Error('refused');
  return result.version;
}

describe('topology, doctor, status, inspect', () => {
  it('doctor says what to do on a server that has nothing, and topology makes it', async () => {
    const sick = await run(server, doctorCommand, ['--json']);
    expect(sick.code).toBe(1);
    expect(named(findingsOf(sick.json()), 'log')).toMatchObject({ level: 'fail' });
    expect(sick.text).toContain('jetledger topology');

    const plan = (await run(server, topologyCommand, ['plan', '--json'])).json() as unknown as object[];
    expect(plan).toContainEqual(expect.objectContaining({ what: 'stream jetledger', action: 'create' }));
    expect(plan).toContainEqual(expect.objectContaining({ what: 'bucket jl_parked', action: 'create' }));
    expect((await run(server, topologyCommand, ['apply'])).code).toBe(0);
    const after = (await run(server, topologyCommand, ['plan', '--json'])).json() as unknown as {
      action: string;
    }[];
    expect(after.filter(({ action }) => action !== 'none')).toEqual([]);
  });

  it('topology shows each field that differs, and brings notifications to their retention', async () => {
    const variables = { JETLEDGER_NOTIFICATIONS__KEEP_MS: '3600000' };
    const plan = await run(server, topologyCommand, ['plan'], variables);
    expect(plan.text).toMatch(/^update {2}stream jl-notifications: .*3600000/m);
    const steps = (await run(server, topologyCommand, ['plan', '--json'], variables)).json() as unknown as {
      changes?: { field: string; wanted: unknown }[];
    }[];
    expect(steps.flatMap(({ changes = [] }) => changes)).toContainEqual(
      expect.objectContaining({ field: 'max_age', wanted: 3_600_000 * 1_000_000 }),
    );
    expect((await run(server, topologyCommand, ['apply'], variables)).code).toBe(0);
    expect((await run(server, topologyCommand, ['plan'], variables)).text).not.toMatch(/^update/m);
    expect((await run(server, topologyCommand, ['apply'])).code).toBe(0);
  });

  it('doctor is content with a sound server, stores nothing, and knows the clocks and the disk', async () => {
    const report = await run(server, doctorCommand, ['--json']);
    const findings = findingsOf(report.json());
    expect(findings.filter(({ level }) => level === 'fail')).toEqual([]);
    for (const check of [
      'server',
      'clock',
      'disk',
      'permissions',
      'topology',
      'e-mail key',
      'replicas',
      'node',
    ])
      expect(named(findings, check)).toMatchObject({ level: 'ok' });
    // The test server does not sync, and the test environment does not ask for it.
    expect(named(findings, 'durability')).toMatchObject({ level: 'warn' });
    expect(named(findings, 'views')).toMatchObject({
      level: 'warn',
      detail: expect.stringContaining('view orders: it was never run'),
    });
    await using handle = await openTestLog(server.url);
    expect(await handle.log.head()).toBe(0);
    const other = { JETLEDGER_USERS__EMAIL_KEY: 'b2'.repeat(32) };
    const wrongKey = findingsOf((await run(server, doctorCommand, ['--json'], other)).json());
    expect(named(wrongKey, 'e-mail key')).toMatchObject({ level: 'fail' });
  });

  it('doctor names a server that is away, and permissions that are missing', async () => {
    const away = await run({ ...server, url: 'nats://127.0.0.1:1' }, doctorCommand, ['--json']);
    expect(named(findingsOf(away.json()), 'server')).toMatchObject({ level: 'fail' });
    const permissions = { publish: { deny: ['jl.>', '$JS.API.DIRECT.GET.>'] } };
    await using guarded = await startTestServer({
      extraConfig: { authorization: { users: [{ user: 'weak', password: 'weak', permissions }] } },
    });
    const login = { JETLEDGER_NATS__USER: 'weak', JETLEDGER_NATS__PASSWORD: 'weak' };
    await run(guarded, topologyCommand, ['apply'], login);
    const findings = findingsOf((await run(guarded, doctorCommand, ['--json'], login)).json());
    const missing = findings.filter(({ check }) => check === 'permissions').map(({ detail }) => detail);
    expect(missing).toHaveLength(6);
    for (const category of ['user', 'email', 'product', 'order', 'webhook']) {
      expect(missing.join()).toContain(
        `the user weak may not append to ${category} (jl.${category}.0.0.0.doctor)`,
      );
    }
    expect(missing.join()).toContain('the user weak may not read the log from a replica');
  });

  it('status tells what is stored, and inspect folds an aggregate as of any version', async () => {
    const created = create(UserCreatedSchema, {
      userId: 'ada',
      email: 'ada@example.com',
      name: 'Ada',
      createdAt: AT,
    });
    const first = await append('ada', 0, created);
    const second = await append('ada', first, create(UserRenamedSchema, { name: 'Countess' }));
    const status = (await run(server, statusCommand, ['--json'])).json();
    expect(status).toMatchObject({
      log: { position: second, commits: 2, replicas: 1 },
      timers: { overdue: 0 },
    });
    expect((await run(server, statusCommand, [])).text).toContain(`jetledger: position ${second}, 2 commits`);

    const now = await run(server, inspectCommand, ['user', 'ada', '--events', '--json']);
    expect(now.json()).toMatchObject({ version: second, count: 2, state: { name: 'Countess' } });
    expect(now.json().commits).toMatchObject([
      {
        position: first,
        previous: 0,
        decisions: [{ actor: 'test', traceId: TRACE, events: [{ type: 'UserCreated' }] }],
      },
      { position: second, previous: first, decisions: [{ events: [{ payload: { name: 'Countess' } }] }] },
    ]);
    const before = await run(server, inspectCommand, ['user', 'ada', '--at', String(first), '--json']);
    expect(before.json()).toMatchObject({ version: first, state: { name: 'Ada', email: 'ada@example.com' } });
    const commit = await run(server, inspectCommand, ['position', String(second)]);
    expect(commit.json()).toMatchObject({ category: 'user', id: 'ada', commitId: `commit-${first}` });
    expect((await run(server, inspectCommand, ['user', 'nobody'])).code).toBe(1);
    expect((await run(server, inspectCommand, ['position', '99'])).code).toBe(1);
  });

  it('status --watch looks again until it is interrupted', async () => {
    const seen: string[] = [];
    const print = (line: string): void => {
      // The first line, then a second look; Ctrl-C ends the command as it would on a terminal.
      if (seen.push(line) === 2) process.emit('SIGINT');
    };
    expect((await run(server, statusCommand, ['--watch', '--json'], {}, print)).code).toBe(0);
    expect(seen).toHaveLength(2);
    for (const line of seen) expect(JSON.parse(line)).toMatchObject({ log: { stream: 'jetledger' } });
  });

  it('topology refuses replicas that would lose what a bucket is, and says how to renew it', async () => {
    await using handle = await openTestLog(server.url);
    const jsm = await jetstreamManager(handle.connection);
    const { bucketConfig } = await import('../../src/eventstore/nats/nats-buckets.ts');
    await jsm.streams.add(bucketConfig('jl_users_v1', { replicas: 1, persist: 'async', storage: 'file' }));
    const plan = await run(server, topologyCommand, ['plan'], { JETLEDGER_LOG__REPLICAS: '3' });
    expect(plan.code).toBe(1);
    expect(plan.text).toMatch(
      /^refuse {2}bucket jl_users_v1: num_replicas 1 -> 3: .*jetledger rebuild users$/m,
    );
    expect(plan.text).toMatch(/^update {2}stream jetledger: num_replicas 1 -> 3$/m);
  });
});

describe('what doctor says of a view', () => {
  const sound = { view: 'orders', state: 'sound', position: 10, lag: 0, checkpointAt: 1_000 } as const;
  it.each([
    ['ok', sound],
    ['fail', { ...sound, lag: 5 }],
    ['warn', { ...sound, lag: 5_000, checkpointAt: 19_000 }],
    ['fail', { ...sound, state: 'foreign' as const }],
    ['warn', { ...sound, state: 'other-version' as const }],
    ['fail', { ...sound, state: 'lost' as const }],
    ['warn', { ...sound, state: 'never-run' as const }],
    ['fail', { ...sound, state: 'never-run' as const, lag: 3 }],
  ])('%s: %j', (level, standing) => {
    expect(viewFinding(standing, 20_000).level).toBe(level);
  });
});

describe('what doctor says of a consumer', () => {
  const groups = { of: 4, held: 4 };
  const sound = { consumer: 'order-process', lag: 0, lagSeconds: 0, parked: 0, paused: false, groups };
  it.each([
    ['ok', sound],
    ['ok', { ...sound, groups: { of: 4, held: 0 } }],
    ['fail', { ...sound, lag: 1, groups: { of: 4, held: 0 } }],
    ['fail', { ...sound, parked: 1 }],
    ['fail', { ...sound, paused: true }],
    ['warn', { ...sound, lag: 9, lagSeconds: 61 }],
  ])('%s: %j', (level, report) => {
    expect(consumerFinding(report).level).toBe(level);
  });
});
