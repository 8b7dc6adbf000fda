import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
  StoreCompression,
} from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRequests, type Requests } from '../../src/eventstore/nats/requests.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { readPlace } from '../../src/processes/delivery/worker.ts';
import { createDeadLetterPort } from '../../src/processes/engine/dead-letters/operator-port.ts';
import { startEngine } from '../../src/processes/engine/index.ts';
import {
  createNatsOutbox,
  type NatsOutbox,
  notificationStream,
  notificationStreamConfig,
  notificationStreamProblems,
} from '../../src/processes/notification/adapters/outbox.ts';
import { NOTIFICATIONS } from '../../src/processes/notification/adapters/receiver.ts';
import type { Notification } from '../../src/processes/notification/port.ts';
import { startNotifications } from '../../src/service/notifications.ts';
import { createMemoryLog } from '../../src/testing/memory-log.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { type HttpServer, startHttpServer } from '../contract/payment-server.ts';
import { bucketsOf } from '../support/echo.ts';

const DAY_MS = 86_400_000;
/** With these a receiver that takes nothing is given up within a second. */
const SHORT_MS = 3_000;
let server: TestServer;
let connection: NatsConnection;
let requests: Requests;
let jsm: JetStreamManager;
let receiver: HttpServer;
/** What the receiver answers to a notification. */
let answer: (id: string, nth: number) => number = () => 204;
/** Whose key was destroyed. */
const forgotten = new Set<string>();
/** What it had received before the test. */
let earlier = 0;
let prefix = '';
let streams = 0;
let natsOutbox: NatsOutbox;
let outbox: { publish(notification: Notification): Promise<void> };

beforeAll(async () => {
  server = await startTestServer();
  connection = await connect({
    servers: server.url,
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  requests = createRequests(connection);
  jsm = await jetstreamManager(connection);
  receiver = await startHttpServer((request, response) => {
    const { id } = JSON.parse(request.body) as Notification;
    response.writeHead(answer(id, got().filter((each) => each === id).length)).end();
  });
}, 60_000);
afterAll(async () => {
  requests.close();
  await Promise.all([connection.close(), receiver.stop()]);
  await server.stop();
});
beforeEach(async () => {
  prefix = `p${++streams}`;
  answer = () => 204;
  earlier = receiver.received.length;
  await jsm.streams.add(notificationStreamConfig({ prefix, replicas: 1, maxAgeMs: DAY_MS }));
  natsOutbox = createNatsOutbox({ requests, prefix, timeoutMs: 1_000 });
  outbox = { publish: (notification) => natsOutbox.publish(notification, at(1)) };
});

const at = (position: number, maybeHandled = false) => ({ position: positionOf(position), maybeHandled });
const note = (id: string): Notification => ({
  id,
  kind: 'order-rejected',
  userId: 'user-1',
  orderId: 'order-1',
  text: 'The card was declined.',
  time: 1_900_000_000_000,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
});

const stored = async (): Promise<number> =>
  (await jsm.streams.info(notificationStream(prefix))).state.messages;
const sent = (): Notification[] =>
  receiver.received.slice(earlier).map(({ body }) => JSON.parse(body) as Notification);
const got = (): string[] => sent().map(({ id }) => id);

/** An instance that delivers notifications, as the service does. */
function delivering(keepMs = DAY_MS) {
  const config = loadConfig({ dir: configDir({}), env: { JETLEDGER_ENV: 'test' } });
  const buckets = bucketsOf({ requests });
  const errors: object[] = [];
  const notifications = startNotifications({
    config: {
      ...config,
      log: { ...config.log, prefix },
      notifications: { adapter: 'webhook', url: receiver.url, secret: 'a secret of sixteen', keepMs },
    },
    nats: { requests },
    logger: Object.assign(pino({ level: 'silent' }), { error: (of: object) => void errors.push(of) }),
    ...{ metering: undefined, tracer: undefined, buckets, observer: {} },
    isForgotten: async (userId) => forgotten.has(userId),
  });
  const engine = startEngine({
    ...{ log: createMemoryLog(), buckets, runtime: systemRuntime, consumers: [] },
    workers: [notifications.worker],
    settings: { prefix, instance: `i${streams}`, ttlMs: 1_000, stopMs: 500 },
  });
  const stop = async (): Promise<void> => {
    await engine.stop();
    await notifications.stop();
  };
  return { errors, status: engine.status, stop, [Symbol.asyncDispose]: stop };
}

describe('the stream of notifications', () => {
  it('is as it was asked for, read back from the server, and another retention, or compressed copies, are noticed', async () => {
    const { config } = await jsm.streams.info(notificationStream(prefix));
    expect(notificationStreamProblems(config, { prefix, maxAgeMs: DAY_MS })).toEqual([]);
    expect(notificationStreamProblems(config, { prefix, maxAgeMs: 1_000 })).toHaveLength(1);
    const copied = { ...config, num_replicas: 3, compression: StoreCompression.S2 };
    expect(notificationStreamProblems(copied, { prefix, maxAgeMs: DAY_MS })).toHaveLength(1);
  });

  it('holds a notification once however often it is published, with its trace', async () => {
    for (let i = 0; i < 3; i++) await outbox.publish(note('n-1'));
    expect(await stored()).toBe(1);
    const message = await jsm.streams.getMessage(notificationStream(prefix), {
      last_by_subj: `${prefix}n.order-rejected.user-1`,
    });
    expect(message?.header.get('traceparent')).toBe(note('n-1').traceparent);
    expect(message?.json()).toEqual(note('n-1'));
  });

  it('gets nothing twice that an earlier version put there under an id that began with the position', async () => {
    await natsOutbox.publish(note('41/order-rejected'), at(41));
    for (let n = 0; n < 300; n++) await natsOutbox.publish(note(`c${n}/order/o/0/order-rejected`), at(100));
    await natsOutbox.publish(note('42/order-rejected'), at(42));
    await natsOutbox.publishAgain(note('43/order-rejected'), positionOf(43), 'again-1');
    const before = await stored();
    for (const [id, position] of [
      ['a', 41],
      ['b', 42],
      ['c', 43],
    ] as const)
      await natsOutbox.publish(note(`${id}/order/order-1/0/order-rejected`), at(position, true));
    expect(await stored()).toBe(before);
    await natsOutbox.publish(note('d/order/order-1/0/order-rejected'), at(4, true));
    // A restored log has given the position to another event, which nobody can have handled before.
    await natsOutbox.publish(note('e/order/order-1/0/order-rejected'), at(42));
    expect(await stored()).toBe(before + 2);
  });

  it('takes short retentions too', async () => {
    const short = notificationStreamConfig({ prefix: 'short', replicas: 1, maxAgeMs: 60_000 });
    await expect(jsm.streams.add(short)).resolves.toBeDefined();
  });

  it('never gets a user id that is more than one token', async () => {
    await expect(outbox.publish({ ...note('n-1'), userId: 'a.*' })).rejects.toMatchObject({
      code: 'stream/invalid-id',
    });
  });
});

describe('the delivery', () => {
  it('hands over what was published before and after its start, unchanged, and once', async () => {
    await outbox.publish(note('early'));
    await using _delivery = delivering();
    const { orderId: _, ...welcome } = { ...note('late'), kind: 'welcome' as const };
    await outbox.publish(welcome);
    await until('both are delivered', () => got().length === 2);
    expect(sent()).toEqual([note('early'), welcome]);
  });

  it('says nothing to those who were forgotten', async () => {
    forgotten.add('gone');
    await using _delivery = delivering();
    await outbox.publish({ ...note('of the forgotten'), userId: 'gone', time: 1_700_000_000_000 });
    await outbox.publish(note('of another'));
    await until('the other is delivered', () => got().length > 0);
    const done = async (): Promise<boolean> => {
      const row = await readPlace(bucketsOf({ requests }), prefix, NOTIFICATIONS);
      const place = row?.sources[notificationStream(prefix)];
      return place?.high === 2 && place.open.length === 0;
    };
    await until('both are done with', done);
    expect(got()).toEqual(['of another']);
  });

  it('goes on where the last one stopped', async () => {
    await outbox.publish(note('first'));
    const first = delivering();
    await until('it is delivered', () => got().length === 1);
    await first.stop();
    await outbox.publish(note('second'));
    await using _second = delivering();
    await until('the second is delivered', () => got().length === 2);
    expect(got()).toEqual(['first', 'second']);
  });

  it('tries again what fails, and lets the others pass', async () => {
    answer = (id, nth) => (id === 'bad' && nth < 3 ? 500 : 204);
    await using _delivery = delivering();
    await outbox.publish(note('bad'));
    await outbox.publish(note('good'));
    await until('all are delivered', () => got().length === 4, 10_000);
    expect(got().filter((id) => id === 'bad')).toHaveLength(3);
    expect(got().indexOf('good')).toBeLessThan(3);
  });

  it('leaves what nobody took to operators, who have it sent again or discard it', async () => {
    const operators = createDeadLetterPort({
      buckets: bucketsOf({ requests }),
      prefix,
      runtime: systemRuntime,
    });
    answer = () => 500;
    await using delivery = delivering(SHORT_MS);
    await natsOutbox.publish(note('c/order/order-1/0/order-rejected'), at(42));
    const shipped = { kind: 'order-shipped', orderId: 'order-2' } as const;
    await natsOutbox.publish({ ...note('d/order/order-2/0/order-shipped'), ...shipped }, at(43));
    const listed = async () =>
      (await operators.list()).map(({ category, id, position }) => [category, id, position]);
    await until('both are dead letters', async () => (await listed()).length === 2, 15_000);
    expect(await listed()).toEqual([
      ['order', 'order-1', 42],
      ['order', 'order-2', 43],
    ]);
    expect(
      await operators.show(NOTIFICATIONS, { category: 'order', id: 'order-1' }, positionOf(42)),
    ).toMatchObject({
      error: { message: 'The webhook did not take the notification: status 500.' },
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      events: [{ type: 'order-rejected', payload: note('c/order/order-1/0/order-rejected') }],
    });
    answer = () => 204;
    const before = got().length;
    await operators.redrive({ position: positionOf(42) }, { by: 'ada' });
    await operators.discard({ position: positionOf(43) }, { by: 'ada' });
    await until('nothing is left', async () => (await listed()).length === 0);
    await until('it is delivered', () => got().length > before);
    expect(sent().at(-1)).toEqual(note('c/order/order-1/0/order-rejected'));
    expect(delivery.errors).toHaveLength(2);
  }, 30_000);

  it('passes over what is not a notification, and says so', async () => {
    await using delivery = delivering();
    connection.publish(`${prefix}n.welcome.user-1`, 'not JSON');
    connection.publish(`${prefix}n.welcome.user-1`, JSON.stringify({ id: 'x', kind: 'unheard-of' }));
    await outbox.publish(note('good'));
    await until('the good one is delivered', () => got().length === 1);
    expect(delivery.errors).toMatchObject([{ sequence: 1 }, { sequence: 2 }]);
  });

  it('is one instance at a time, and another goes on with the rest', async () => {
    const first = delivering();
    await using _second = delivering();
    const ids = Array.from({ length: 40 }, (_, i) => `n-${i}`);
    for (const id of ids.slice(0, 20)) await outbox.publish(note(id));
    await until('the first half is delivered', () => got().length === 20);
    await first.stop();
    for (const id of ids.slice(20)) await outbox.publish(note(id));
    await until('all are delivered', () => got().length >= 40, 10_000);
    expect(got().toSorted()).toEqual(ids.toSorted());
  });

  it('begins with what a stream holds that was lost and made anew under it', async () => {
    await using _delivery = delivering();
    for (const id of ['a', 'b', 'c']) await outbox.publish(note(id));
    await until('they are delivered', () => got().length === 3);
    await jsm.streams.delete(notificationStream(prefix));
    await jsm.streams.add(notificationStreamConfig({ prefix, replicas: 1, maxAgeMs: DAY_MS }));
    await outbox.publish(note('d'));
    await until('the new one is delivered', () => got().length === 4, 15_000);
    expect(got().at(-1)).toBe('d');
  }, 30_000);

  it('survives the server being killed: nothing published is lost', async () => {
    await using _delivery = delivering();
    await outbox.publish(note('before'));
    await until('it is delivered', () => got().length === 1);
    await server.kill9();
    await expect(outbox.publish(note('after'))).rejects.toMatchObject({ retryable: true });
    await server.restart();
    await until('it is published', () => outbox.publish(note('after')).then(() => true));
    await until('it is delivered', () => got().includes('after'), 15_000);
  }, 30_000);
});

describe('what an earlier version was delivering', () => {
  /** The consumer of these versions, and what it hands out next. */
  async function former() {
    const stream = notificationStream(prefix);
    await jsm.consumers.add(stream, {
      durable_name: 'delivery',
      filter_subject: `${prefix}n.>`,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: 30_000_000_000,
      max_deliver: -1,
      max_ack_pending: 10_000,
    });
    const consumer = await jetstream(connection).consumers.get(stream, 'delivery');
    return async (count: number, expires: number): Promise<JsMsg[]> => {
      const messages: JsMsg[] = [];
      for await (const msg of await consumer.fetch({ max_messages: count, expires })) messages.push(msg);
      return messages;
    };
  }

  it('is sent after the upgrade, and nothing that was taken before, or that an instance of it still delivers', async () => {
    const fetch = await former();
    for (let n = 1; n <= 6; n++) await outbox.publish(note(`n-${n}`));
    const [taken, failed, givenUp, failedForLong] = await fetch(4, 5_000);
    taken?.ack();
    failed?.nak(500);
    givenUp?.term('given up');
    failedForLong?.nak(9_000);
    // An instance of it goes on while one of the new version starts.
    const more = fetch(100, 5_000);
    const first = delivering();
    let published = 6;
    const feeding = setInterval(() => void outbox.publish(note(`n-${++published}`)), 200);
    const handled = await more;
    clearInterval(feeding);
    for (const msg of handled) msg.ack();
    expect(handled.map((msg) => msg.seq)).toContain(2);
    expect(got()).toEqual([]);
    const done = new Set([1, 3, ...handled.map((msg) => msg.seq)]);
    const rest = () => Array.from({ length: published }, (_, n) => n + 1).filter((n) => !done.has(n));
    await outbox.publish(note(`n-${++published}`));
    await until('the rest is sent', () => got().length === rest().length, 20_000);
    await first.stop();
    await using _second = delivering();
    await outbox.publish(note(`n-${++published}`));
    await until('the new one is sent', () => got().includes(`n-${published}`), 10_000);
    expect(got().toSorted()).toEqual(
      rest()
        .map((n) => `n-${n}`)
        .toSorted(),
    );
    expect(rest()).toContain(4);
  }, 60_000);

  it('is sent once also when the process dies that had put it on the stream again and acknowledged nothing', async () => {
    const fetch = await former();
    await outbox.publish(note('n-1'));
    await outbox.publish(note('n-2'));
    const [failed, taken] = await fetch(2, 5_000);
    taken?.ack();
    failed?.nak(100);
    await natsOutbox.publishAgain(note('n-1'), positionOf(1), 'carried-over');
    await using _delivery = delivering();
    await until(
      'the consumer is left with nothing',
      async () => {
        const { num_ack_pending: open } = await jsm.consumers.info(notificationStream(prefix), 'delivery');
        return open === 0 && got().length > 0;
      },
      20_000,
    );
    await outbox.publish(note('n-3'));
    await until('the new one is sent', () => got().includes('n-3'), 10_000);
    expect(got()).toEqual(['n-1', 'n-3']);
  }, 60_000);
});
