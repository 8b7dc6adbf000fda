import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { BEGINNING, versionAt } from '../../src/eventstore/position.ts';
import { recordedEvents } from '../../src/eventstore/reading/recorded-event.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { Manifest } from '../../src/platform/backup/manifest.ts';
import type { Deliverable, Tried } from '../../src/processes/delivery/port.ts';
import { deliveryWorker } from '../../src/processes/delivery/worker.ts';
import { startEngine } from '../../src/processes/engine/engine.ts';
import { openMessageStream } from '../../src/processes/engine/message-stream.ts';
import { onPublicEvents } from '../../src/processes/engine/publishing/consumer.ts';
import type { PublicEvent } from '../../src/processes/engine/publishing/contract.ts';
import {
  openPublicStream,
  publicStreamConfig,
  publicStreamName,
  publicSubject,
} from '../../src/processes/engine/publishing/public-stream.ts';
import { createPublisher } from '../../src/processes/engine/publishing/publisher.ts';
import { publicSource } from '../../src/processes/webhook/public-source.ts';
import { added, type CounterEvent, counter, counterRef, toyCommit } from '../../src/testing/contracts/toy.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { runInProcess as run } from '../support/cli-in-process.ts';
import { bucketsOf } from '../support/echo.ts';
import { type LogHandle, openTestLog } from '../support/nats-log.ts';
import { toyContract as contract } from '../support/toy-contract.ts';

type Target = Pick<TestServer, 'url' | 'monitorUrl'>;

const PREFIX = 'jl';
const STREAM = publicStreamName(PREFIX, contract);
const IDS = ['a', 'b', 'c'];
const WITHIN_MS = 30_000;

let folders: string;
/** Where the other service keeps its places: no backup of ours has them. */
let partner: TestServer;
beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'jetledger-public-'));
  partner = await startTestServer();
});
afterAll(async () => {
  await partner.stop();
  await rm(folders, { recursive: true, force: true });
});

/** Stores so many numbers for each aggregate; no two commits are alike, as those of commands are not. */
async function append(url: string, count: number): Promise<void> {
  await using handle = await openTestLog(url);
  for (const id of IDS)
    for (let n = 0; n < count; n++) {
      const { commits } = await handle.log.read(counterRef(id), { after: 0, confirm: true });
      const version = versionAt(commits.at(-1)?.position ?? BEGINNING);
      const commit = toyCommit(systemRuntime.id(), [added(n + 1)]);
      expect((await handle.log.append(counterRef(id), version, commit)).appended).toBe(true);
    }
}

/** The ids of an aggregate's events with the numbers that they must have, as the log says. */
async function numbered({ log }: LogHandle, id: string): Promise<[number, string][]> {
  const codec = codecOf<CounterEvent>(counter);
  const { commits } = await log.read(counterRef(id), { after: 0, confirm: true });
  return commits
    .flatMap((commit) => recordedEvents(commit, codec))
    .map((event, index) => [index + 1, event.id]);
}

/** Publishes until everything is told. */
async function publishAll(url: string, total: number): Promise<void> {
  await using handle = await openTestLog(url);
  const { requests, log } = handle;
  const stream = openPublicStream({
    ...{ requests, prefix: PREFIX, contract, timeoutMs: 1_000 },
    format: 'protobuf',
  });
  const engine = startEngine({
    ...{ log, buckets: bucketsOf(handle), runtime: systemRuntime },
    consumers: [createPublisher({ contract, log, stream, source: '/toy' })],
    settings: { prefix: PREFIX, instance: 'publisher' },
  });
  const jsm = await jetstreamManager(handle.connection);
  const isTold = async () => (await jsm.streams.info(STREAM)).state.messages >= total * IDS.length;
  await until('everything is told', isTold, WITHIN_MS);
  await engine.stop();
}

/** Another service, which reads the stream of a server and has its own places elsewhere. */
async function follow(url: string, name: string) {
  const [there, own] = [await openTestLog(url), await openTestLog(partner.url, HOME)];
  const stream = await openMessageStream({
    ...{ requests: there.requests, runtime: systemRuntime, timeoutMs: 1_000 },
    ...{ stream: STREAM, subject: publicSubject(contract) },
  });
  const events: PublicEvent[] = [];
  const engine = startEngine({
    ...{ log: stream.log, buckets: bucketsOf(own), runtime: systemRuntime },
    handler: createHandler({ log: own.log, runtime: systemRuntime }),
    consumers: [
      stream.reaction(
        onPublicEvents({
          ...{ name, from: 'beginning', events: contract.events },
          handle: async (event) => void events.push(event),
        }),
      ),
    ],
    settings: { prefix: `of_${name}`, instance: name, cursorLongestMs: 50 },
  });
  return {
    events,
    told: (id: string) => events.filter(({ subject }) => subject === id).map((e) => [e.sequence, e.id]),
    [Symbol.asyncDispose]: async () => {
      await engine.stop();
      await own.close();
      await there.close();
    },
  };
}

const HOME = { stream: 'partner', prefix: 'partner' };

/** Delivers to two receivers, as webhooks do, of which one takes nothing unless it is there. */
async function deliver(url: string, isThere: boolean) {
  const handle = await openTestLog(url);
  const { requests, log } = handle;
  const taken: Record<string, string[]> = { calm: [], away: [] };
  const troubles: unknown[] = [];
  const receiver = (id: string) => ({
    ...{ id, enabled: true, ordered: true, createdAt: 0, renewedAt: isThere ? 1 : 0, requests: [] },
    wants: () => true,
    deliver: async (event: Deliverable): Promise<Tried> => {
      if (id === 'away' && !isThere) return { taken: false, error: 'away' };
      taken[id]?.push(event.id);
      return { taken: true };
    },
  });
  const receivers = [receiver('calm'), receiver('away')];
  const buckets = bucketsOf(handle);
  const worker = deliveryWorker({
    ...{ name: 'webhooks', buckets, prefix: PREFIX, runtime: systemRuntime },
    sources: [publicSource({ requests, runtime: systemRuntime, prefix: PREFIX, contract, timeoutMs: 1_000 })],
    receivers: {
      all: () => receivers,
      get: (id) => receivers.find((one) => one.id === id),
      watch: () => undefined,
    },
    settings: { retryBaseMs: 100, retryCapMs: 500, pauseCapMs: 500, storeMs: 50 },
    outlet: { giveUp: async () => undefined, trouble: (_, error) => troubles.push(error) },
  });
  const settings = { prefix: PREFIX, instance: 'deliveries' };
  const engine = startEngine({
    ...{ log, buckets, runtime: systemRuntime, consumers: [], workers: [worker], settings },
  });
  return {
    taken: (id: string) => taken[id] ?? [],
    troubles,
    [Symbol.asyncDispose]: async () => {
      await engine.stop();
      await handle.close();
    },
  };
}

/** A partner's durable consumer with a client of NATS's: takes so many. @returns their sequences */
async function take(url: string, count: number): Promise<number[]> {
  await using handle = await openTestLog(url);
  const jsm = await jetstreamManager(handle.connection);
  await jsm.consumers.add(STREAM, { durable_name: 'acme', ack_policy: AckPolicy.Explicit });
  const consumer = await jetstream(handle.connection).consumers.get(STREAM, 'acme');
  const taken: number[] = [];
  for await (const message of await consumer.fetch({ max_messages: count, expires: 10_000 })) {
    expect(await message.ackAck()).toBe(true);
    taken.push(message.seq);
  }
  return taken;
}

async function openOrigin(): Promise<TestServer> {
  const origin = await startTestServer();
  expect((await run(origin, topologyCommand, ['apply'])).code).toBe(0);
  await using handle = await openTestLog(origin.url);
  const jsm = await jetstreamManager(handle.connection);
  await jsm.streams.add(publicStreamConfig(contract, { prefix: PREFIX, replicas: 1, keepMs: undefined }));
  return origin;
}

beforeAll(async () => {
  const names = { JETLEDGER_LOG__STREAM: HOME.stream, JETLEDGER_LOG__PREFIX: HOME.prefix };
  expect((await run(partner, topologyCommand, ['apply'], names)).code).toBe(0);
});

it.each(['a single server', 'a cluster'])(
  'public events go on by their ids and numbers on %s, readers where they were, and deliveries lose and repeat nothing',
  async (kind) => {
    const name = kind === 'a cluster' ? 'clustered' : 'single';
    const folder = join(folders, name);
    await using origin = await openOrigin();
    await append(origin.url, 20);
    await publishAll(origin.url, 20);
    {
      await using reader = await follow(origin.url, name);
      await using deliveries = await deliver(origin.url, false);
      await until('it has read everything', () => reader.events.length === 60, WITHIN_MS);
      await until('it is delivered', () => deliveries.taken('calm').length === 60, WITHIN_MS);
    }
    expect(await take(origin.url, 5)).toEqual([1, 2, 3, 4, 5]);
    // The log of the copy is ahead of what is published.
    await append(origin.url, 3);
    const { streams } = (await run(origin, backupCommand, [folder, '--json'])).json() as Pick<
      Manifest,
      'streams'
    >;
    // A place says `sent or a dead letter`: one that is newer than the dead letters would lose what was given up between.
    const order = streams.map(({ name }) => name);
    const inOrder = ['KV_jl_deliveries', 'KV_jl_parked', STREAM, 'jetledger'];
    expect(order.filter((name) => inOrder.includes(name))).toEqual(inOrder);
    await using cluster = kind === 'a cluster' ? await startTestCluster() : undefined;
    await using single = cluster === undefined ? await startTestServer() : undefined;
    const target: Target = single ?? { url: cluster?.urls[0] ?? '', monitorUrl: '' };
    const replicas: Record<string, string> = cluster ? { JETLEDGER_LOG__REPLICAS: '3' } : {};
    expect((await run(target, restoreCommand, [folder, '--new-log'], replicas)).code).toBe(0);
    await publishAll(target.url, 23);

    expect(await take(target.url, 2)).toEqual([6, 7]);
    await using restored = await openTestLog(target.url);
    await using before = await openTestLog(origin.url);
    await using again = await follow(target.url, `anew${name}`);
    await using reader = await follow(target.url, name);
    await using deliveries = await deliver(target.url, true);
    await until('a new reader has everything', () => again.events.length >= 69, WITHIN_MS);
    await until('the former one has the rest', () => reader.events.length >= 9, WITHIN_MS);
    await until(
      'the one that was away has everything',
      () => deliveries.taken('away').length >= 69,
      WITHIN_MS,
    );
    await until('the other one has the rest', () => deliveries.taken('calm').length >= 9, WITHIN_MS);
    const away = deliveries.taken('away');
    for (const id of IDS) {
      const expected = await numbered(restored, id);
      expect(expected).toEqual(await numbered(before, id));
      expect(again.told(id)).toEqual(expected);
      expect(reader.told(id)).toEqual(expected.slice(20));
      for (const [, event] of expected) expect(away.filter((one) => one === event)).toHaveLength(1);
    }
    expect([reader.events.length, deliveries.taken('calm').length]).toEqual([9, 9]);
    expect(deliveries.troubles).toEqual([]);
  },
  120_000,
);

it('a reader that has heard more than the copy has goes on at its end, also while the stream is replaced under it', async () => {
  const folder = join(folders, 'older');
  await using origin = await openOrigin();
  await append(origin.url, 10);
  await publishAll(origin.url, 10);
  expect((await run(origin, backupCommand, [folder])).code).toBe(0);
  await append(origin.url, 5);
  await publishAll(origin.url, 15);
  {
    await using stopped = await follow(origin.url, 'stopped');
    await until('it has read everything', () => stopped.events.length === 45, WITHIN_MS);
  }
  await using running = await follow(origin.url, 'running');
  await until('it has read everything', () => running.events.length === 45, WITHIN_MS);
  const lost = new Map(IDS.map((id) => [id, running.told(id)]));
  {
    await using handle = await openTestLog(origin.url);
    const jsm = await jetstreamManager(handle.connection);
    for await (const stream of jsm.streams.names()) await jsm.streams.delete(stream);
  }
  expect((await run(origin, restoreCommand, [folder, '--new-log'])).code).toBe(0);
  await append(origin.url, 8);
  await publishAll(origin.url, 18);

  await using stopped = await follow(origin.url, 'stopped');
  await until('the one that ran on has what is new', () => running.events.length >= 69, WITHIN_MS);
  await until('the one that was stopped, too', () => stopped.events.length >= 24, WITHIN_MS);
  await using restored = await openTestLog(origin.url);
  for (const id of IDS) {
    const expected = await numbered(restored, id);
    expect(expected).toHaveLength(18);
    expect(stopped.told(id)).toEqual(expected.slice(10));
    expect(running.told(id)).toEqual([...(lost.get(id) ?? []), ...expected.slice(10)]);
  }
}, 120_000);
