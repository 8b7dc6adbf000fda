import { jetstreamManager } from '@nats-io/jetstream';
import { expect, it } from 'vitest';
import { createNatsBucket } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { type SubscribeOptions, subscribe } from '../../src/eventstore/reading/subscribe.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { appendMany } from '../../src/testing/contracts/log-support.ts';
import { type CounterEvent, counter, counterRef } from '../../src/testing/contracts/toy.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';

const values = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const open = ({ log }: LogHandle, more: Partial<SubscribeOptions> = {}) =>
  subscribe<CounterEvent>(log, { sources: [counter], from: 'beginning', ...more });

const consumersOf = async ({ connection }: LogHandle): Promise<number> => {
  const jsm = await jetstreamManager(connection);
  return (await jsm.streams.info(TEST_LOG.stream)).state.consumer_count;
};

it('a subscription goes on when the server was killed and came back, without a gap or a repetition', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using writer = await openTestLog(server.url);
  await using reader = await openTestLog(server.url);
  await appendMany(writer.log, counterRef('before'), 300);
  const stop = new AbortController();
  const seen: unknown[] = [];
  const reading = (async () => {
    for await (const { event } of open(reader, { signal: stop.signal })) seen.push(event.value);
  })();
  await until('all that was stored is handed out', () => seen.length === 300);
  await server.kill9();
  await server.restart();
  await until('the writer is connected', writer.requests.connected);
  await appendMany(writer.log, counterRef('after'), 200);
  await until('what came after is handed out', () => seen.length >= 500, 20_000);
  expect(seen).toEqual([...values(1, 300), ...values(1, 200)]);
  stop.abort();
  await reading;
}, 60_000);

it('a subscription that ends leaves no consumer on the server, however it ends', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using handle = await openTestLog(server.url);
  await appendMany(handle.log, counterRef('a'), 3);
  for (let i = 0; i < 20; i++) for await (const _ of open(handle)) break;
  const stop = new AbortController();
  const waiting = Array.from({ length: 5 }, async () => {
    for await (const _ of open(handle, { from: 'now', signal: stop.signal }))
      throw new Error('nothing comes');
  });
  await until('they wait', async () => (await consumersOf(handle)) >= 5);
  stop.abort();
  await Promise.all(waiting);
  await until('all consumers are gone', async () => (await consumersOf(handle)) === 0, 5_000);
  expect(await consumersOf(handle)).toBe(0);
});

it('a subscriber that is slow gets everything, and keeps its place in a bucket', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using handle = await openTestLog(server.url);
  const COUNT = 6_000;
  await Promise.all(values(1, 20).map((n) => appendMany(handle.log, counterRef(`s${n}`), COUNT / 20)));
  await ensureBucket(await jetstreamManager(handle.connection), 'places', {
    storage: 'file',
    persist: 'sync',
    replicas: 1,
  });
  const bucket = createNatsBucket({
    requests: handle.requests,
    runtime: systemRuntime,
    name: 'places',
    timeoutMs: 1_000,
    batches: true,
    announceLosses: false,
  });
  const places: string[] = [];
  const progress = { bucket, name: 'slow', everyMs: 5 };
  for (let start = 0; places.length < COUNT; start++) {
    const stop = new AbortController();
    let taken = 0;
    for await (const { id } of open(handle, { progress, signal: stop.signal })) {
      places.push(id);
      if (++taken % 500 === 0) await systemRuntime.sleep(20);
      if (taken === 2_500 || places.length === COUNT) stop.abort();
    }
    expect(start).toBeLessThan(4);
  }
  expect(new Set(places).size).toBe(COUNT);
}, 60_000);
