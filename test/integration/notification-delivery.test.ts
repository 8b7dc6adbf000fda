import { type JetStreamManager, jetstreamManager, StoreCompression } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRequests, type Requests } from '../../src/eventstore/nats/requests.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { openMessageDeadLetters } from '../../src/processes/engine/dead-letters/messages.ts';
import { createDeadLetterPort } from '../../src/processes/engine/dead-letters/operator-port.ts';
import {
  deadLetterOf,
  NOTIFICATIONS,
  notificationsOf,
} from '../../src/processes/notification/adapters/dead-letters.ts';
import {
  type DeliveryOptions,
  type GivenUp,
  startDelivery,
} from '../../src/processes/notification/adapters/delivery.ts';
import {
  createNatsOutbox,
  type NatsOutbox,
  notificationStream,
  notificationStreamConfig,
  notificationStreamProblems,
} from '../../src/processes/notification/adapters/outbox.ts';
import type { Notification } from '../../src/processes/notification/port.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { bucketsOf } from '../support/echo.ts';

const DAY_MS = 86_400_000;
let server: TestServer;
let connection: NatsConnection;
let requests: Requests;
let jsm: JetStreamManager;
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
}, 60_000);
afterAll(async () => {
  requests.close();
  await connection.close();
  await server.stop();
});
beforeEach(async () => {
  prefix = `p${++streams}`;
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

/** Starts a delivery that collects; `fail` says which tries throw. */
function delivering(fail: (id: string, nth: number) => boolean, options: Partial<DeliveryOptions> = {}) {
  const seen: Notification[] = [];
  const givenUp: GivenUp[] = [];
  const delivery = startDelivery({
    requests,
    runtime: systemRuntime,
    prefix,
    notifier: {
      deliver: async (notification) => {
        seen.push(notification);
        if (fail(notification.id, seen.filter(({ id }) => id === notification.id).length)) {
          throw new Error('nobody there');
        }
      },
    },
    retryBaseMs: 20,
    retryCapMs: 50,
    maxAttempts: 3,
    onGivenUp: (one) => void givenUp.push(one),
    ...options,
  });
  const ids = (): string[] => seen.map(({ id }) => id);
  return { seen, ids, givenUp, stop: delivery.stop, [Symbol.asyncDispose]: delivery.stop };
}

const never = (): boolean => false;

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
    await using delivery = delivering(never);
    const { orderId: _, ...welcome } = { ...note('late'), kind: 'welcome' as const };
    await outbox.publish(welcome);
    await until('both are delivered', () => delivery.seen.length === 2);
    expect(delivery.seen).toEqual([note('early'), welcome]);
  });

  it('goes on where the last one stopped', async () => {
    await outbox.publish(note('first'));
    const first = delivering(never);
    await until('it is delivered', () => first.seen.length === 1);
    await first.stop();
    await outbox.publish(note('second'));
    await using second = delivering(never);
    await until('the second is delivered', () => second.seen.length === 1);
    expect(second.ids()).toEqual(['second']);
  });

  it('tries again what fails, and lets the others pass', async () => {
    await using delivery = delivering((id, nth) => id === 'bad' && nth < 3);
    await outbox.publish(note('bad'));
    await outbox.publish(note('good'));
    await until('all are delivered', () => delivery.seen.length === 4);
    expect(delivery.ids().filter((id) => id === 'bad')).toHaveLength(3);
    expect(delivery.givenUp).toEqual([]);
  });

  it('gives up after the last attempt, says so, and never tries it again', async () => {
    const first = delivering(() => true);
    await outbox.publish(note('hopeless'));
    await until('it is given up', () => first.givenUp.length === 1);
    await first.stop();
    expect(first.ids()).toEqual(['hopeless', 'hopeless', 'hopeless']);
    expect(first.givenUp).toMatchObject([
      { notification: { id: 'hopeless' }, attempts: 3, error: { message: 'nobody there' } },
    ]);
    await until('the server has let go of it', async () => {
      const { num_ack_pending, num_pending } = await jsm.consumers.info(
        notificationStream(prefix),
        'delivery',
      );
      return num_ack_pending + num_pending === 0;
    });
    await outbox.publish(note('next'));
    await using second = delivering(never);
    await until('the next one is delivered', () => second.seen.length > 0);
    expect(second.ids()).toEqual(['next']);
  });

  it('leaves one that was given up to operators, who have it sent again or discard it', async () => {
    const buckets = bucketsOf({ requests });
    const runtime = systemRuntime;
    const deadLetters = openMessageDeadLetters({
      ...{ buckets, prefix, runtime, name: NOTIFICATIONS },
      again: async (entry, { at: asked }) => {
        for (const one of notificationsOf(entry))
          await natsOutbox.publishAgain(one, entry.position, `again-${asked}`);
      },
      onTrouble: (what, error) => expect.fail(`${what}: ${error}`),
    });
    const operators = createDeadLetterPort({ buckets, prefix, runtime });
    let isAway = true;
    await using delivery = delivering(() => isAway, {
      onGivenUp: (one) => one.notification && deadLetters.keep(deadLetterOf(one.notification, one)),
    });
    await natsOutbox.publish(note('c/order/order-1/0/order-rejected'), at(42));
    const shipped = { kind: 'order-shipped', orderId: 'order-2' } as const;
    await natsOutbox.publish({ ...note('d/order/order-2/0/order-shipped'), ...shipped }, at(43));
    const listed = async () =>
      (await operators.list()).map(({ category, id, position }) => [category, id, position]);
    await until('both are dead letters', async () => (await listed()).length === 2);
    expect(await listed()).toEqual([
      ['order', 'order-1', 42],
      ['order', 'order-2', 43],
    ]);
    expect(
      await operators.show(NOTIFICATIONS, { category: 'order', id: 'order-1' }, positionOf(42)),
    ).toMatchObject({
      ...{ attempts: 3, error: { message: 'nobody there' }, traceId: '4bf92f3577b34da6a3ce929d0e0e4736' },
      events: [{ type: 'order-rejected', payload: note('c/order/order-1/0/order-rejected') }],
    });
    isAway = false;
    await operators.redrive({ position: positionOf(42) }, { by: 'ada' });
    await operators.discard({ position: positionOf(43) }, { by: 'ada' });
    await until('nothing is left', async () => (await listed()).length === 0);
    await until('it is delivered', () => delivery.seen.length === 7);
    expect(delivery.seen.at(-1)).toEqual(note('c/order/order-1/0/order-rejected'));
    await deadLetters.stop();
  });

  it('puts aside what is not a notification, without trying it', async () => {
    await using delivery = delivering(never);
    connection.publish(`${prefix}n.welcome.user-1`, 'not JSON');
    connection.publish(`${prefix}n.welcome.user-1`, JSON.stringify({ id: 'x', kind: 'unheard-of' }));
    await outbox.publish(note('good'));
    await until('both are given up', () => delivery.givenUp.length === 2 && delivery.seen.length === 1);
    expect(delivery.givenUp).toMatchObject([
      { notification: undefined, sequence: 1, attempts: 0 },
      { notification: undefined, sequence: 2, attempts: 0 },
    ]);
  });

  it('is shared by two instances, each notification by one of them', async () => {
    await using first = delivering(never);
    await using second = delivering(never);
    const ids = Array.from({ length: 40 }, (_, i) => `n-${i}`);
    for (const id of ids) await outbox.publish(note(id));
    await until('all are delivered', () => first.seen.length + second.seen.length >= ids.length);
    expect([...first.ids(), ...second.ids()].sort()).toEqual([...ids].sort());
  });

  it('works on no more than it is told at once', async () => {
    let now = 0;
    let most = 0;
    const notifier = {
      deliver: async (): Promise<void> => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
        done++;
      },
    };
    let done = 0;
    for (let i = 0; i < 30; i++) await outbox.publish(note(`n-${i}`));
    await using _delivery = delivering(never, { notifier, maxInFlight: 4 });
    await until('all are delivered', () => done === 30);
    expect(most).toBeLessThanOrEqual(4);
  });

  it('survives the server being killed: nothing published is lost', async () => {
    const troubles: string[] = [];
    await using delivery = delivering(never, { onTrouble: (what) => troubles.push(what) });
    await outbox.publish(note('before'));
    await until('it is delivered', () => delivery.seen.length === 1);
    await server.kill9();
    await expect(outbox.publish(note('after'))).rejects.toMatchObject({ retryable: true });
    await server.restart();
    await until('it is published', () => outbox.publish(note('after')).then(() => true));
    await until('it is delivered', () => delivery.ids().includes('after'));
    for (const what of troubles) expect(what).toBe('asking for notifications');
  }, 30_000);
});
