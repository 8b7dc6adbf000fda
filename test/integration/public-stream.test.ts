import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bucket } from '../../src/eventstore/bucket.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { type RecordedEvent, recordedEvents } from '../../src/eventstore/reading/recorded-event.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { checkStreams, type PlannedStream } from '../../src/platform/topology.ts';
import { type Engine, startEngine } from '../../src/processes/engine/engine.ts';
import { openMessageStream } from '../../src/processes/engine/message-stream.ts';
import { onPublicEvents } from '../../src/processes/engine/publishing/consumer.ts';
import type { AnyContract, PublicEvent } from '../../src/processes/engine/publishing/contract.ts';
import {
  openPublicStream,
  publicStreamConfig,
  publicStreamName,
  publicStreamObjection,
  publicStreamProblems,
  publicSubject,
} from '../../src/processes/engine/publishing/public-stream.ts';
import { createPublisher } from '../../src/processes/engine/publishing/publisher.ts';
import type { Start } from '../../src/processes/engine/start.ts';
import { type CounterEvent, counter, counterRef } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { appendNumber, bucketsOf } from '../support/echo.ts';
import { createLogStream, type LogHandle, openTestLog } from '../support/nats-log.ts';
import { toyContract } from '../support/toy-contract.ts';

const PREFIX = 'jl';
const DAY_MS = 86_400_000;
const IDS = ['a', 'b', 'c'];

let server: TestServer;
let truth: LogHandle;
let jsm: JetStreamManager;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
  truth = await openTestLog(server.url);
  jsm = await jetstreamManager(truth.connection);
}, 60_000);
afterAll(async () => {
  for (const close of closing.reverse()) await close();
  await truth.close();
  await server.stop();
});

/** Another version of the contract, so that each test has a stream of its own. */
const versioned = (version: number): AnyContract => ({ ...toyContract, version });
const settings = (keepMs?: number) => ({ prefix: PREFIX, replicas: 1, keepMs });

async function makeStream(contract: AnyContract, keepMs?: number): Promise<void> {
  await jsm.streams.add(publicStreamConfig(contract, settings(keepMs)));
}

/** An instance that publishes a contract, with a connection of its own. */
async function startPublisher(instance: string, contract: AnyContract, marks?: Bucket) {
  const own = await openTestLog(server.url);
  const { requests, log } = own;
  const stream = openPublicStream({
    requests,
    prefix: PREFIX,
    contract,
    format: 'protobuf',
    timeoutMs: 1_000,
  });
  const engine = startEngine({
    ...{ log, buckets: bucketsOf(own), runtime: systemRuntime },
    consumers: [createPublisher({ contract, log, stream, marks, source: '/toy' })],
    settings: {
      prefix: PREFIX,
      instance,
      ttlMs: 1_000,
      backoffBaseMs: 5,
      stopMs: 2_000,
      cursorLongestMs: 50,
    },
  });
  const stop = async (): Promise<void> => {
    await engine.stop();
    await own.close();
  };
  closing.push(stop);
  return { engine, kill: own.close };
}

/** What a service that knows only the contract has read so far, by aggregate. */
async function follow(contract: AnyContract, name: string, from: Start = 'beginning') {
  const own = await openTestLog(server.url);
  const { requests, log } = own;
  const stream = await openMessageStream({
    ...{ requests, runtime: systemRuntime, timeoutMs: 1_000 },
    stream: publicStreamName(PREFIX, contract),
    subject: publicSubject(contract),
  });
  const events: PublicEvent[] = [];
  const engine: Engine = startEngine({
    ...{ log: stream.log, buckets: bucketsOf(own), runtime: systemRuntime, head: await stream.log.head() },
    handler: createHandler({ log, runtime: systemRuntime }),
    consumers: [
      stream.reaction(
        onPublicEvents({
          name,
          from,
          events: toyContract.events,
          handle: async (event) => void events.push(event),
        }),
      ),
    ],
    settings: { prefix: `of-${name}`.replaceAll('-', '_'), instance: name },
  });
  closing.push(own.close, engine.stop);
  return { events, of: (id: string) => events.filter(({ subject }) => subject === id) };
}

/** The events of an aggregate, from the log. */
async function recordedOf(id: string): Promise<RecordedEvent[]> {
  const codec = codecOf<CounterEvent>(counter);
  const { commits } = await truth.log.read(counterRef(id), { after: 0, confirm: true });
  return commits.flatMap((commit) => recordedEvents(commit, codec));
}

const numbered = (events: readonly { readonly id: string }[]) =>
  events.map(({ id }, index) => [index + 1, id]);
const told = (events: readonly PublicEvent[]) => events.map(({ sequence, id }) => [sequence, id]);

describe('the stream of a contract', () => {
  it('is the plain map of the log, once and in order, whichever publisher dies meanwhile', async () => {
    const contract = versioned(1);
    await makeStream(contract);
    const first = await startPublisher('first', contract);
    await startPublisher('second', contract);
    for (let value = 1; value <= 40; value++) {
      for (const id of IDS) await appendNumber(truth.log, id, value);
      if (value === 20) await first.kill();
    }
    const reader = await follow(contract, 'reader');
    const total = 40 * IDS.length;
    await until('everything is told', () => reader.events.length >= total, 30_000);
    for (const id of IDS) expect(told(reader.of(id))).toEqual(numbered(await recordedOf(id)));
    expect((await jsm.streams.info(publicStreamName(PREFIX, contract))).state.messages).toBe(total);
  }, 60_000);

  it('is read from the beginning, from a time on, or from now on', async () => {
    const contract = versioned(1);
    const all = (await jsm.streams.info(publicStreamName(PREFIX, contract))).state.messages;
    const later = await follow(contract, 'from-now', 'now');
    const since = Date.now();
    await appendNumber(truth.log, 'a', 1);
    await until('it has come', () => later.events.length === 1);
    const timed = await follow(contract, 'from-time', { time: since });
    await until('it has come to the one that begins with a time', () => timed.events.length > 0);
    const whole = await follow(contract, 'from-beginning');
    await until('everything has come', () => whole.events.length === all + 1);
    expect(told(timed.events)).toEqual(told(later.events));
    expect(whole.of('a').at(-1)?.id).toBe(later.events[0]?.id);
  }, 60_000);

  it('is published anew from the beginning under the next version, and the one before stays as it is', async () => {
    const before = (await jsm.streams.info(publicStreamName(PREFIX, versioned(1)))).state.messages;
    const contract = versioned(2);
    await makeStream(contract);
    await startPublisher('third', contract);
    const reader = await follow(contract, 'version-2');
    await until('everything is told again', () => reader.events.length === before, 30_000);
    for (const id of IDS) expect(told(reader.of(id))).toEqual(numbered(await recordedOf(id)));
    expect((await jsm.streams.info(publicStreamName(PREFIX, versioned(1)))).state.messages).toBe(before);
  }, 60_000);
});

describe('how long public events are kept', () => {
  const planned = (contract: AnyContract, keepMs?: number): PlannedStream => ({
    config: publicStreamConfig(contract, settings(keepMs)),
    problems: (existing) => publicStreamProblems(existing, contract, settings(keepMs)),
    objection: (existing) => publicStreamObjection(existing, contract, settings(keepMs)),
  });
  const check = (stream: PlannedStream) => checkStreams(truth.requests, [stream]);

  it('for ever is refused to be limited, by the server and by us', async () => {
    const contract = versioned(3);
    await makeStream(contract);
    const name = publicStreamName(PREFIX, contract);
    await expect(jsm.streams.purge(name)).rejects.toThrow(/purge/);
    await expect(jsm.streams.deleteMessage(name, 1)).rejects.toThrow(/delete/);
    await check(planned(contract));
    await expect(check(planned(contract, DAY_MS))).rejects.toThrow(/counters-v3 was promised for ever/);
  });

  it('a limit that somebody gave a stream behind our back is noticed', async () => {
    const contract = versioned(4);
    await makeStream(contract);
    await jsm.streams.update(publicStreamName(PREFIX, contract), { max_age: 600_000_000_000 });
    await expect(check(planned(contract))).rejects.toThrow(/max_age is 600000000000, not 0.*topology apply/);
  });

  it('what has expired is gone, and its numbers are not given again', async () => {
    const contract = versioned(5);
    await makeStream(contract, 1_500);
    const name = publicStreamName(PREFIX, contract);
    const { requests, log } = truth;
    const marks = await bucketsOf(truth).create(`${PREFIX}_published`, { durable: true });
    const stream = openPublicStream({ requests, prefix: PREFIX, contract, format: 'json', timeoutMs: 1_000 });
    const publisher = createPublisher({ contract, log, stream, marks, source: '/toy' });
    const id = 'expiring';
    for (const value of [1, 2]) await appendNumber(truth.log, id, value);
    const { commits } = await truth.log.read(counterRef(id), { after: 0, confirm: true });
    const codec = codecOf<CounterEvent>(counter);
    const deliver = (from: number) =>
      Promise.all(
        commits.slice(from, from + 1).map((commit) =>
          publisher.handle(
            {
              ...{ stream: commit.stream, position: commit.position, commitId: commit.commitId },
              ...{ events: recordedEvents(commit, codec), attempt: 1, redriven: false, maybeHandled: false },
            },
            {
              handler: createHandler({ log, runtime: systemRuntime }),
              causedBy: () => {
                throw new Error('no commands');
              },
            },
          ),
        ),
      );
    await deliver(0);
    expect((await jsm.streams.info(name)).state.messages).toBe(1);
    await until('it is gone', async () => (await jsm.streams.info(name)).state.messages === 0, 10_000);
    // A commit that is delivered once more is not told once more.
    await deliver(0);
    expect((await jsm.streams.info(name)).state.messages).toBe(0);
    await deliver(1);
    expect(await stream.last(id)).toMatchObject({ mark: { sequence: 2 } });
  }, 30_000);
});
