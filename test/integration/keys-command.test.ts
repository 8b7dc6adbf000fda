import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { keysCommand } from '../../src/cli/personal/keys.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { user } from '../../src/domain/user.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { createNatsPersonKeys, openKeyBucket } from '../../src/eventstore/nats/person-keys.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema, DecisionSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { UserRenamedSchema } from '../../src/gen/jetledger/user/v1/user_pb.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { openTestLog } from '../support/nats-log.ts';

const [FIRST, SECOND] = ['a1'.repeat(32), 'b2'.repeat(32)];
const mastersOf = (hex: string) => createMasterKeys(Buffer.from(hex, 'hex'));
const [FIRST_NAME, SECOND_NAME] = [FIRST, SECOND].map((hex) => mastersOf(hex).current);
const PERSONS = ['u1', 'u2', 'u3'];

let server: TestServer;

const given = (...keys: string[]) => ({
  JETLEDGER_PRIVACY__MASTER_KEYS: keys.join(','),
  JETLEDGER_PRIVACY__ENCRYPT: 'on',
});
const keys = (args: readonly string[], ...masters: string[]) =>
  runInProcess(server, keysCommand, args, given(...masters));

async function findings(...masters: string[]): Promise<Record<string, { level: string; detail: string }>> {
  const { json } = await runInProcess(server, doctorCommand, ['--json'], given(...masters));
  const all = json().findings as { check: string; level: string; detail: string }[];
  return Object.fromEntries(all.map((finding) => [finding.check, finding]));
}

/** The persons' keys, as a process with this master key has them. */
async function keysWith(hex: string, how: 'make' | 'read') {
  await using handle = await openTestLog(server.url);
  const options = { requests: handle.requests, runtime: systemRuntime, prefix: 'jl', timeoutMs: 2_000 };
  return await createNatsPersonKeys({ ...options, masters: mastersOf(hex) }).keysOf(PERSONS, how);
}

beforeAll(async () => {
  server = await startTestServer();
  expect((await runInProcess(server, topologyCommand, ['apply'], given(FIRST))).code).toBe(0);
  await using handle = await openTestLog(server.url);
  const options = { requests: handle.requests, runtime: systemRuntime, prefix: 'jl', timeoutMs: 2_000 };
  await keysWith(FIRST, 'make');
  const tombstone = { key: 'u9', value: Buffer.from('{"forgotten":1}'), expectedRevision: 0 };
  await openKeyBucket(options).write(tombstone);
  const renamed = create(UserRenamedSchema, { name: 'Ada', renamedAt: 1n });
  const events = [codecOf(user).encode(renamed)];
  const decision = create(DecisionSchema, { commandId: 'c1', actor: 'test', time: 1n, events });
  const commit = create(CommitSchema, { commitId: 'c1', decisions: [decision] });
  expect(await handle.log.append({ category: 'user', id: 'u1' }, 0, commit)).toMatchObject({
    appended: true,
  });
});
afterAll(() => server.stop());

describe('the master key', () => {
  it('that wraps every key is named, and doctor finds it right', async () => {
    const status = await keys(['status', '--json'], FIRST);
    expect(status.code).toBe(0);
    expect(status.json()).toEqual({
      byMaster: { [FIRST_NAME ?? '']: 3 },
      forgotten: 1,
      current: FIRST_NAME,
      missing: [],
      lost: [],
    });
    expect((await findings(FIRST))['keys of persons']).toMatchObject({ level: 'ok' });
  });

  it('that is not the one is found by keys status and by doctor, which name the one that is missing', async () => {
    const status = await keys(['status'], SECOND);
    expect(status.code).toBe(1);
    expect(status.text).toContain(`${FIRST_NAME}  3 keys  NOT among those given`);
    const { level, detail } = (await findings(SECOND))['keys of persons'] ?? {};
    expect(level).toBe('fail');
    expect(detail).toContain(`3 are wrapped with ${FIRST_NAME}`);
    await expect(keys(['rotate'], SECOND)).rejects.toThrow('is not among those given');
  });

  it('that is said to be gone for good is no fault, and the keys that it wraps stay as they are', async () => {
    const gone = { ...given(SECOND), JETLEDGER_PRIVACY__LOST_MASTER_KEYS: FIRST_NAME ?? '' };
    const rotated = await runInProcess(server, keysCommand, ['rotate'], gone);
    expect(rotated.code).toBe(0);
    expect(rotated.text).toContain('0 wrapped anew, 0 were so before.');
    expect(rotated.text).toContain(`${FIRST_NAME}  3 keys  gone for good`);
    const { json } = await runInProcess(server, doctorCommand, ['--json'], gone);
    expect(json().findings).toContainEqual(
      expect.objectContaining({
        check: 'keys of persons',
        level: 'ok',
        detail: expect.stringContaining('gone for good'),
      }),
    );
  });

  it('is changed without another byte in the log, and every key stays what it was', async () => {
    await using handle = await openTestLog(server.url);
    const head = await handle.log.head();
    const before = await keysWith(FIRST, 'read');
    expect((await keys(['rotate', '--json'], SECOND, FIRST)).json()).toMatchObject({ rewrapped: 3, kept: 0 });
    expect((await keys(['rotate'], SECOND, FIRST)).text).toContain('0 wrapped anew, 3 were so before.');
    expect((await keys(['status'], SECOND)).code).toBe(0);
    expect((await keys(['status', '--json'], SECOND)).json()).toMatchObject({
      byMaster: { [SECOND_NAME ?? '']: 3 },
    });
    const bytesOf = (states: typeof before) =>
      [...states.values()].map((state) => (typeof state === 'string' ? state : state.key));
    expect(bytesOf(await keysWith(SECOND, 'read'))).toEqual(bytesOf(before));
    expect(await handle.log.head()).toBe(head);
  });
});

it('doctor tells how much of the log is plain', async () => {
  expect((await findings(SECOND))['personal data']).toMatchObject({
    level: 'warn',
    detail: '1 of 1 personal texts are plain',
  });
});
