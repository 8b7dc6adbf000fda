import { randomUUID } from 'node:crypto';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll } from 'vitest';
import { createNatsBucket } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { forgottenBucket, openKeyBucket, personalKinds } from '../../src/eventstore/nats/person-keys.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { type Control, subjectOf } from '../../src/eventstore/stream.ts';
import { bucketContract } from '../../src/testing/contracts/bucket-contract.ts';
import { forgettingContract } from '../../src/testing/contracts/forgetting-contract.ts';
import { logContract } from '../../src/testing/contracts/log-contract.ts';
import type { LogUnderTest } from '../../src/testing/contracts/log-support.ts';
import { personKeysContract } from '../../src/testing/contracts/person-keys-contract.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import {
  createLogStream,
  type LogHandle,
  openTestLog,
  publishControl,
  TEST_LOG,
  type TestLogBounds,
  WAYS_OF_REQUESTS,
  type WayOfRequests,
} from '../support/nats-log.ts';

let server: TestServer | undefined;

beforeAll(async () => {
  server = await startTestServer();
}, 60_000);
afterAll(async () => {
  await server?.stop();
});

const BOUNDS = { attemptTimeoutMs: 1_000, deadlineMs: 5_000 };

const urlOf = (): string => {
  if (server === undefined) throw new Error('the server did not start');
  return server.url;
};

const openLogs = (how: Partial<TestLogBounds>, way: WayOfRequests) => async () => {
  // A stream of its own for each part of the contract, since a log is never emptied.
  const suffix = randomUUID().slice(0, 8);
  const names = { stream: `${TEST_LOG.stream}-${suffix}`, prefix: `${TEST_LOG.prefix}${suffix}` };
  await createLogStream(urlOf(), names);
  const handles: LogHandle[] = [];
  const open = async () => {
    const handle = await openTestLog(urlOf(), names, { ...BOUNDS, ...how }, way);
    handles.push(handle);
    return handle.log;
  };
  const stop = async (): Promise<void> => {
    for (const handle of handles) await handle.close();
  };
  const putControl = (control: Control) => publishControl(urlOf(), names.prefix, control);
  const intrude: LogUnderTest['intrude'] = async (stream, bytes) => {
    const js = jetstream((handles[0] as LogHandle).connection);
    return (await js.publish(subjectOf(names.prefix, stream), bytes)).seq;
  };
  return { log: await open(), openSecond: open, putControl, intrude, stop };
};

const kinds = [
  { what: 'in memory storage', storage: 'memory', persist: 'sync' },
  { what: 'on file', storage: 'file', persist: 'sync' },
  { what: 'on file, written back later', storage: 'file', persist: 'async' },
] as const;

const openBuckets = (kind: Omit<(typeof kinds)[number], 'what'>, way: WayOfRequests) => async () => {
  const name = `rows-${randomUUID().slice(0, 8)}`;
  const connections: NatsConnection[] = [];
  const open = async () => {
    const connection = await connect({ servers: urlOf(), noAsyncTraces: true });
    connections.push(connection);
    await ensureBucket(await jetstreamManager(connection), name, { ...kind, replicas: 1 });
    return createNatsBucket({
      requests: WAYS_OF_REQUESTS[way](connection),
      runtime: systemRuntime,
      name,
      timeoutMs: 1_000,
      batches: kind.persist === 'sync',
      announceLosses: false,
    });
  };
  const stop = async (): Promise<void> => {
    for (const connection of connections) await connection.close();
  };
  return { bucket: await open(), openSecond: open, stop };
};

const openKeys = (way: WayOfRequests) => async () => {
  const prefix = `keys${randomUUID().slice(0, 8)}`;
  const connections: NatsConnection[] = [];
  const connected = async (): Promise<NatsConnection> => {
    const connection = await connect({ servers: urlOf(), noAsyncTraces: true });
    connections.push(connection);
    return connection;
  };
  const optionsOf = (connection: NatsConnection) => ({
    requests: WAYS_OF_REQUESTS[way](connection),
    runtime: systemRuntime,
    prefix,
    timeoutMs: 1_000,
  });
  const first = await connected();
  for (const [name, kind] of personalKinds(prefix, 1))
    await ensureBucket(await jetstreamManager(first), name, kind);
  const options = optionsOf(first);
  const name = forgottenBucket(prefix);
  const ledger = createNatsBucket({ ...options, name, batches: false, announceLosses: false });
  const openSecond = async () => openKeyBucket(optionsOf(await connected()));
  const stop = async (): Promise<void> => {
    for (const connection of connections) await connection.close();
  };
  return { bucket: openKeyBucket(options), ledger, openSecond, stop };
};

for (const way of ['lean', 'plain'] as const) {
  const on = `on one server, ${way} requests`;
  const [off, always] = [{ groupCommit: 'off' }, { groupCommit: 'always' }] as const;
  logContract(`the log ${on}`, openLogs(off, way));
  personKeysContract(`the bucket ${on}`, openKeys(way));
  forgettingContract(`the bucket ${on}`, openKeys(way));
  for (const { what, ...kind } of kinds) bucketContract(`the bucket ${on}, ${what}`, openBuckets(kind, way));
  // How requests are made shows in the plain log already; the rest is the same code above it.
  if (way === 'plain') continue;
  logContract(`the log ${on}, with batches of whatever is under way at once`, openLogs(always, way));
  const confirmed = openLogs({ ...always, alwaysConfirm: true }, way);
  logContract(`the log ${on}, read as a majority confirms`, confirmed);
}
