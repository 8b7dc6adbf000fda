import {
  DiscardPolicy,
  jetstream,
  jetstreamManager,
  PersistMode,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logStreamConfig, logStreamProblems, openNatsLog } from '../../src/eventstore/nats/log-stream.ts';
import { bucketConfig } from '../../src/eventstore/nats/nats-buckets.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import {
  applyBuckets,
  applyTopology,
  checkEmailKey,
  planBuckets,
  planTopology,
} from '../../src/platform/topology.ts';
import {
  attemptsStream,
  attemptsStreamConfig,
  attemptsStreamProblems,
} from '../../src/processes/delivery/adapters/attempts.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';

let server: TestServer;
let connection: NatsConnection;

beforeAll(async () => {
  server = await startTestServer();
  connection = await connect({ servers: server.url });
});
afterAll(async () => {
  await connection.close();
  await server.stop();
});

const settings = (name: string) => ({
  stream: name,
  prefix: name,
  replicas: 1 as const,
  durability: 'always' as const,
  assertSyncAlways: false,
});
const deps = (name: string, emailKeyCheck = 'key-1') => ({
  requests: { connection, apiPrefix: '$JS.API' },
  log: settings(name),
  emailKeyCheck,
  privacy: { encrypt: true, hasMasterKey: true },
  streams: [],
  monitorUrls: [server.monitorUrl],
});
const configOf = async (name: string): Promise<StreamConfig> =>
  (await (await jetstreamManager(connection)).streams.info(name)).config;
const open = (name: string) => {
  const requests = createRequests(connection);
  const bounds = { attemptTimeoutMs: 500, deadlineMs: 1_000 };
  const howToCreate = 'Make it: shop topology.';
  return openNatsLog({
    requests,
    runtime: systemRuntime,
    stream: name,
    prefix: name,
    howToCreate,
    ...bounds,
  });
};

describe('the topology', () => {
  it('is planned without being touched', async () => {
    expect(await planTopology(deps('planned'))).toMatchObject([{ action: 'create', what: 'stream planned' }]);
    await expect(configOf('planned')).rejects.toThrow('stream not found');
  });

  it('creates a log that the service accepts, and leaves it alone the second time', async () => {
    expect(await applyTopology(deps('made'))).toMatchObject([{ action: 'create' }]);
    const { log, config } = await open('made');
    expect(logStreamProblems(config, settings('made'))).toEqual([]);
    expect(log.incarnation).toMatch(/^[0-9a-f-]{36}$/);
    expect(await applyTopology(deps('made'))).toMatchObject([{ action: 'none' }]);
    expect((await open('made')).log.incarnation).toBe(log.incarnation);
  });

  it('refuses a log that was made with another e-mail key', async () => {
    await applyTopology(deps('keyed'));
    await expect(applyTopology(deps('keyed', 'key-2'))).rejects.toThrow('another e-mail key');
    expect(await planTopology(deps('keyed', 'key-2'))).toMatchObject([{ action: 'refuse' }]);
    const config = await configOf('keyed');
    expect(() => checkEmailKey(config, 'key-2')).toThrow('users.emailKey');
    expect(() => checkEmailKey(config, 'key-1')).not.toThrow();
  });

  it('refuses a stream that could lose history, and says why', async () => {
    const jsm = await jetstreamManager(connection);
    await jsm.streams.add({
      name: 'weak',
      subjects: ['weak.>'],
      max_age: 1_000_000_000,
      storage: StorageType.Memory,
    });
    await expect(applyTopology(deps('weak'))).rejects.toThrow('limit on messages, bytes or age');
    await expect(open('weak')).rejects.toMatchObject({ code: 'log/unsafe' });
  });

  it('takes the limit off a bucket of snapshots that an earlier release made, and keeps its rows', async () => {
    const jsm = await jetstreamManager(connection);
    const kind = { replicas: 1, persist: 'async', storage: 'file' } as const;
    await jsm.streams.add({
      ...bucketConfig('limited', kind),
      max_bytes: 64 * 1024 * 1024,
      discard: DiscardPolicy.Old,
    });
    await jetstream(connection).publish('$KV.limited.row', 'kept');
    const buckets = [{ name: 'limited', what: 'snapshots', kind }];
    const { requests } = deps('limited');
    expect(await applyBuckets(requests, buckets)).toMatchObject([
      { action: 'update', detail: 'max_bytes 67108864 -> -1; discard old -> new' },
    ]);
    expect(await planBuckets(requests, buckets)).toMatchObject([{ action: 'none' }]);
    const row = await jsm.streams.getMessage('KV_limited', { last_by_subj: '$KV.limited.row' });
    expect(row?.string()).toBe('kept');
  });

  it('makes a stream whose content nobody needs anew where the server cannot change it, and another one never', async () => {
    const stream = (storage: StorageType, disposable?: true) => ({
      config: { name: 'tries', subjects: ['tries.*'], storage },
      problems: () => [],
      ...(disposable && { disposable }),
    });
    const applied = (of: ReturnType<typeof stream>) => applyTopology({ ...deps('anew'), streams: [of] });
    await applied(stream(StorageType.Memory));
    await expect(applied(stream(StorageType.File))).rejects.toThrow('The server does not make tries');
    await jetstream(connection).publish('tries.1');
    await applied(stream(StorageType.File, true));
    const { config, state } = await (await jetstreamManager(connection)).streams.info('tries');
    expect([config.storage, state.messages]).toEqual([StorageType.File, 0]);
    await jetstream(connection).publish('tries.1');
    await applied(stream(StorageType.File, true));
    expect((await (await jetstreamManager(connection)).streams.info('tries')).state.messages).toBe(1);
  });

  it('keeps the stream of the tries of webhooks where the only server dies and comes back', async () => {
    const of = { prefix: 'kept', replicas: 1, keepMs: 3_600_000 };
    await using own = await startTestServer();
    const nats = await connect({ servers: own.url });
    await (await jetstreamManager(nats)).streams.add(attemptsStreamConfig(of));
    await nats.close();
    await own.kill9();
    await own.restart();
    const again = await connect({ servers: own.url });
    const { config } = await (await jetstreamManager(again)).streams.info(attemptsStream(of.prefix));
    await again.close();
    expect(attemptsStreamProblems(config, of)).toEqual([]);
  });

  it('says of a missing log how the service creates it', async () => {
    await expect(open('missing')).rejects.toThrow('no stream missing. Make it: shop topology.');
  });
});

describe('what makes a stream unfit to be the log', () => {
  const flaws: [string, Partial<StreamConfig>][] = [
    ['subjects', { subjects: ['other.>'] }],
    ['file storage', { storage: StorageType.Memory }],
    ['limit', { max_msgs: 10 }],
    ['per subject', { max_msgs_per_subject: 1 }],
    ['deleting', { deny_delete: false }],
    ['direct gets', { allow_direct: false }],
    ['atomic', { allow_atomic: false }],
    ['roll-ups', { allow_rollup_hdrs: true }],
    ['schedules', { allow_msg_schedules: true }],
    ['expire', { allow_msg_ttl: true }],
    ['async', { persist_mode: PersistMode.Async }],
    ['metadata', { metadata: {} }],
  ];
  it.each(flaws)('%s', async (phrase, flaw) => {
    const sound = logStreamConfig(settings('sound'), { 'jetledger.incarnation': 'one' }) as StreamConfig;
    expect(logStreamProblems(sound, settings('sound'))).toEqual([]);
    const problems = logStreamProblems({ ...sound, ...flaw }, settings('sound'));
    expect(problems.join('; ')).toContain(phrase);
  });
});
