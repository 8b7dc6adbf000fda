import { jetstreamManager } from '@nats-io/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../src/eventstore/handler.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import {
  createDeadLetterPort,
  type Engine,
  type MessageReaction,
  openMessageStream,
  RetryLater,
  type StreamMessage,
  startEngine,
} from '../../src/processes/engine/index.ts';
import { counter } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { bucketsOf } from '../support/echo.ts';
import { createLogStream, type LogHandle, openTestLog } from '../support/nats-log.ts';

const STREAM = { stream: 'SHOP', subject: 'orders.{key}.>', timeoutMs: 2_000 };
const [PREFIX, TTL_MS, TIMEOUT_MS] = ['shop', 1_000, 90_000];

let server: TestServer;
let truth: LogHandle;
let closing: (() => Promise<unknown>)[];

beforeEach(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
  truth = await openTestLog(server.url);
  const jsm = await jetstreamManager(truth.requests.connection);
  await jsm.streams.add({ name: STREAM.stream, subjects: ['orders.>'] });
  closing = [];
});

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  await truth.close();
  await server.stop();
});

/** An instance with a connection of its own. */
async function start(
  instance: string,
  handle: MessageReaction['handle'],
  from: MessageReaction['from'] = 'beginning',
): Promise<{ engine: Engine; close(): Promise<unknown> }> {
  const own = await openTestLog(server.url);
  const runtime = systemRuntime;
  const stream = await openMessageStream({ ...STREAM, requests: own.requests, runtime });
  const engine = startEngine({
    log: stream.log,
    handler: createHandler({ log: own.log, runtime }),
    buckets: bucketsOf(own),
    runtime,
    consumers: [stream.reaction({ name: 'billing', from, handle })],
    settings: { prefix: PREFIX, instance, ttlMs: TTL_MS, backoffBaseMs: 5, stopMs: 2_000 },
  });
  closing.push(own.close, engine.stop);
  return { engine, close: own.close };
}

/** Publishes numbers, each under a key, in turn. */
async function publish(keys: readonly string[], numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    for (const key of keys) {
      const sent = await truth.requests.request(`orders.${key}.placed`, String(number), { timeoutMs: 2_000 });
      expect(sent.failed).toBeUndefined();
    }
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

/** Notes what was handled, by key. */
function notes(before: (message: StreamMessage, number: number) => Promise<void> | void = () => undefined) {
  const handled = new Map<string, number[]>();
  const handle = async (message: StreamMessage): Promise<void> => {
    const number = Number(Buffer.from(message.data).toString());
    await before(message, number);
    handled.set(message.key, [...(handled.get(message.key) ?? []), number]);
  };
  const settled = (keys: readonly string[], last: number) => () =>
    keys.every((key) => handled.get(key)?.at(-1) === last);
  return { handled, handle, settled };
}

describe('a stream that is not ours', { timeout: TIMEOUT_MS }, () => {
  it('is handled in order for each key, whatever fails, by two instances, and goes on after a restart', async () => {
    const keys = ['a', 'b', 'c', 'd', 'täg~1', 'x'.repeat(140)];
    const failed = new Set<string>();
    const { handled, handle, settled } = notes(({ key, attempt }, number) => {
      if (number % 3 !== 0 || attempt > 2) return;
      failed.add(key);
      throw new RetryLater('not yet');
    });
    const first = await start('first', handle);
    const second = await start('second', handle);
    await publish(keys, range(0, 20));
    await until('all are handled', settled(keys, 19));
    await first.engine.stop();
    await publish(keys, range(20, 25));
    await until('the other goes on', settled(keys, 24));
    await second.engine.stop();
    await publish(keys, range(25, 30));
    await start('third', handle, 'now');
    await until('a later one goes on', settled(keys, 29));
    for (const key of keys) expect(handled.get(key), key).toEqual(range(0, 30));
    expect(failed.size).toBe(keys.length);
  });

  it('is taken over in order from an instance that is cut off with a message in hand', async () => {
    let held = false;
    const stuck = await start('stuck', async () => {
      held = true;
      await new Promise(() => undefined);
    });
    await publish(['a'], [0]);
    await until('it holds the first', () => held);
    await publish(['a'], [1, 2]);
    await stuck.close();
    const repeated: boolean[] = [];
    const { handled, handle, settled } = notes(({ maybeHandled }) => void repeated.push(maybeHandled));
    await start('successor', handle);
    await until('the successor has all', settled(['a'], 2), 30_000);
    expect(handled.get('a')).toEqual([0, 1, 2]);
    expect(repeated[0]).toBe(true);
  });

  it('has dead letters with what was sent, which are redriven in order, and discarded where the message is gone', async () => {
    let broken = true;
    const { handled, handle, settled } = notes(({ key }, number) => {
      if (broken && key === 'a' && number === 0)
        throw Object.assign(new Error('poison'), { retryable: false });
    });
    const { engine } = await start('one', handle);
    await publish(['a', 'b'], [0, 1]);
    const parked = () => engine.status()[0]?.parked;
    await until('the bad key is parked and the other done', () => parked() === 2 && settled(['b'], 1)());
    const port = createDeadLetterPort({ buckets: bucketsOf(truth), prefix: PREFIX, runtime: systemRuntime });
    const [entry] = await port.list();
    expect(entry).toMatchObject({ consumer: 'billing', id: 'a', position: 1, behind: false });
    expect(entry?.events.map(({ payload }) => payload)).toMatchObject([
      Buffer.from('0').toString('base64'),
      { subject: 'orders.a.placed' },
    ]);
    broken = false;
    await port.redrive({}, { by: 'ada' });
    await until('all is redriven', () => parked() === 0);
    expect(handled.get('a')).toEqual([0, 1]);

    broken = true;
    await publish(['a'], [0, 2]);
    await until('it is parked again', () => parked() === 2);
    const jsm = await jetstreamManager(truth.requests.connection);
    await jsm.streams.deleteMessage(STREAM.stream, 5);
    await port.redrive({ position: positionOf(5) }, { by: 'ada' });
    const gone = async () => (await port.list())[0]?.error?.message.includes('is gone') === true;
    await until('it says that it is gone', gone);
    await port.discard({ position: positionOf(5) }, { by: 'ada' });
    await until('what waited behind it is handled', settled(['a'], 2));
    await until('nothing is parked', () => parked() === 0);
    expect(engine.status()[0]).toMatchObject({ stopped: false });
  });

  it('is begun at the first message that the server stored at a time', async () => {
    await publish(['a'], [0, 1]);
    const before = Date.now();
    await until('the clock has moved on', () => Date.now() > before + 1);
    await publish(['a'], [2, 3]);
    const jsm = await jetstreamManager(truth.requests.connection);
    const third = await jsm.streams.getMessage(STREAM.stream, { seq: 3 });
    const { handled, handle, settled } = notes();
    await start('one', handle, { time: third?.time.getTime() ?? 0 });
    await until('it has come to the end', settled(['a'], 3));
    expect(handled.get('a')).toEqual([2, 3]);
  });

  it('leads to commands under ids of the message, so that a repetition changes nothing', async () => {
    let tries = 0;
    await start('one', async (message, { causedBy }) => {
      tries++;
      await causedBy(message).execute(counter, message.key, { kind: 'add', by: 2 }, 'bill');
      if (message.attempt < 3) throw new RetryLater('the answer got lost');
    });
    await publish(['a'], [0]);
    await until('it was tried three times', () => tries === 3);
    const handler = createHandler({ log: truth.log, runtime: systemRuntime });
    expect((await handler.load(counter, 'a')).state.total).toBe(2);
    const [commit] = (await truth.log.read({ category: 'counter', id: 'a' }, { after: 0, confirm: true }))
      .commits;
    expect(commit?.decisions[0]).toMatchObject({ actor: 'billing' });
  });

  it.each([
    ['{key} is missing', { subject: 'orders.*.>' }, 'must have the token {key} once'],
    ['there is no such stream', { stream: 'NONE' }, 'There is no stream NONE'],
  ])('is refused with a clear error where %s', async (_, wrong, why) => {
    const settings = { ...STREAM, ...wrong, requests: truth.requests, runtime: systemRuntime };
    await expect(openMessageStream(settings)).rejects.toThrow(why);
  });
});
