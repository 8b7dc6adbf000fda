import { DiscardPolicy, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import {
  createNatsTimers,
  type NatsTimersOptions,
  timersStream,
  timersStreamConfig,
  timersStreamProblems,
} from '../../src/processes/engine/timers/nats-timers.ts';
import type { Timers } from '../../src/processes/engine/timers/timers.ts';
import { collecting } from '../../src/testing/contracts/timers-contract.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';

const PREFIX = 'jl';
const SUBJECTS = `${PREFIX}t.schedule.deadline`;

interface Handle extends AsyncDisposable {
  readonly timers: Timers;
  readonly jsm: JetStreamManager;
}

let server: TestServer | undefined;
beforeAll(async () => {
  server = await startTestServer({ syncAlways: true });
  await using handle = await open();
  await handle.jsm.streams.add(timersStreamConfig({ prefix: PREFIX, replicas: 1 }));
}, 60_000);
afterAll(async () => {
  await server?.stop();
});

function running(): TestServer {
  if (server === undefined) throw new Error('the server did not start');
  return server;
}

/** Another process's timers, on a connection of their own. */
async function open(options: Partial<NatsTimersOptions> = {}): Promise<Handle> {
  const servers = running().url;
  const reconnect = { maxReconnectAttempts: -1, reconnectTimeWait: 50 };
  const connection = await connect({ servers, noAsyncTraces: true, ...reconnect });
  const requests = createRequests(connection);
  const settings = { prefix: PREFIX, timeoutMs: 1_000, retryBaseMs: 50, retryCapMs: 200, ...options };
  return {
    timers: createNatsTimers({ requests, runtime: systemRuntime, ...settings }),
    jsm: await jetstreamManager(connection),
    [Symbol.asyncDispose]: async () => {
      requests.close();
      await connection.close();
    },
  };
}

describe('the stream of timers', () => {
  it('is as it was asked for, read back from the server', async () => {
    await using handle = await open();
    const { config } = await handle.jsm.streams.info(timersStream(PREFIX));
    expect(timersStreamProblems(config, { prefix: PREFIX })).toEqual([]);
  });

  it('is refused when it could lose a timer, or is too old for schedules', async () => {
    await using handle = await open();
    const { config } = await handle.jsm.streams.info(timersStream(PREFIX));
    const { allow_msg_schedules: _, ...old } = config;
    expect(timersStreamProblems(old, { prefix: PREFIX })).toEqual([
      expect.stringMatching(/schedules are off/),
    ]);
    expect(timersStreamProblems({ ...config, max_age: 1 }, { prefix: PREFIX })).toHaveLength(1);
    expect(timersStreamProblems({ ...config, subjects: ['x.>'] }, { prefix: PREFIX })).toHaveLength(1);
  });

  it('discards old and not new, since the server takes no schedules otherwise', async () => {
    await using handle = await open();
    const config = timersStreamConfig({ prefix: 'other', replicas: 1 });
    await expect(handle.jsm.streams.add({ ...config, discard: DiscardPolicy.New })).rejects.toThrow(
      /discard new/,
    );
  });

  it('holds one message per armed timer, none for one that is disarmed, and none once it was handled', async () => {
    await using handle = await open();
    const { timers, jsm } = handle;
    const count = async (filter: string): Promise<number> => {
      const { state } = await jsm.streams.info(timersStream(PREFIX), { subjects_filter: filter });
      return Object.keys(state.subjects ?? {}).length;
    };
    const at = Date.now() + 3_600_000;
    for (let i = 0; i < 5; i++) await timers.arm({ kind: 'deadline', id: 'kept', at: at + i });
    await timers.arm({ kind: 'deadline', id: 'gone', at });
    expect(await count(`${SUBJECTS}.*`)).toBe(2);
    await timers.disarm('deadline', 'gone');
    expect(await count(`${SUBJECTS}.*`)).toBe(1);
    await timers.disarm('deadline', 'kept');
    await timers.arm({ kind: 'deadline', id: 'now', at: 0 });
    await using seen = collecting(timers);
    await seen.waitFor('now');
    await until('nothing is left', async () => (await count(`${PREFIX}t.>`)) === 0);
  });
});

describe('timers and a server that is killed', () => {
  it('fire after its restart, also those whose time passed meanwhile, and not those that were disarmed', async () => {
    await using handle = await open();
    const { timers } = handle;
    await using seen = collecting(timers);
    const at = Date.now() + 600;
    await timers.arm({ kind: 'deadline', id: 'during', at });
    await timers.arm({ kind: 'deadline', id: 'disarmed', at });
    await timers.arm({ kind: 'deadline', id: 'after', at: at + 3_000 });
    await timers.disarm('deadline', 'disarmed');
    await running().kill9();
    await until('its time has passed', () => Date.now() > at);
    await running().restart();
    await seen.waitFor('during');
    await seen.waitFor('after');
    expect(seen.of('disarmed')).toEqual([]);
    expect(new Set(seen.fired.map((timer) => timer.at))).toEqual(new Set([at, at + 3_000]));
  }, 30_000);

  it('cannot be armed meanwhile, and say so', async () => {
    await using handle = await open({ timeoutMs: 300 });
    await running().kill9();
    const { timers } = handle;
    await expect(timers.arm({ kind: 'deadline', id: 'x', at: 0 })).rejects.toMatchObject({ retryable: true });
    await expect(timers.disarm('deadline', 'x')).rejects.toMatchObject({ retryable: true });
    await running().restart();
    await until('armed', () => timers.arm({ kind: 'deadline', id: 'x', at: 0 }).then(() => true));
    await using seen = collecting(timers);
    await seen.waitFor('x');
  }, 30_000);
});

describe('an instance', () => {
  it('whose clock is behind that of the server handles no timer before its own clock says so', async () => {
    const now = (): number => Date.now() - 700;
    await using behind = await open({ runtime: { ...systemRuntime, now } });
    const at = Date.now() + 100;
    const handledAt: number[] = [];
    const delivery = behind.timers.deliver(async () => {
      handledAt.push(now());
    });
    await behind.timers.arm({ kind: 'deadline', id: 'early', at });
    await until('it was handled', () => handledAt.length > 0);
    await delivery.stop();
    expect(handledAt[0]).toBeGreaterThanOrEqual(at);
  });

  it('goes on when its consumer, or the whole stream, is removed and made anew', async () => {
    let troubles = 0;
    await using handle = await open({ onTrouble: () => troubles++ });
    const { timers, jsm } = handle;
    await using seen = collecting(timers);
    await timers.arm({ kind: 'deadline', id: 'first', at: 0 });
    await seen.waitFor('first');
    await jsm.consumers.delete(timersStream(PREFIX), 'fired');
    await timers.arm({ kind: 'deadline', id: 'second', at: 0 });
    await seen.waitFor('second');
    await jsm.streams.delete(timersStream(PREFIX));
    await until('it has noticed', () => troubles > 0);
    await jsm.streams.add(timersStreamConfig({ prefix: PREFIX, replicas: 1 }));
    await timers.arm({ kind: 'deadline', id: 'third', at: 0 });
    await seen.waitFor('third');
  });
});

describe('an instance that dies while it handles a timer', () => {
  it('is replaced: another one gets the timer after the time for an acknowledgement', async () => {
    const dying = await open({ ackWaitMs: 600 });
    await using other = await open({ ackWaitMs: 600 });
    let began = false;
    const delivery = dying.timers.deliver(() => {
      began = true;
      return new Promise(() => undefined);
    });
    await dying.timers.arm({ kind: 'deadline', id: 'orphan', at: 0 });
    await until('the first one has it', () => began);
    await dying[Symbol.asyncDispose]();
    await using seen = collecting(other.timers);
    await seen.waitFor('orphan');
    expect(seen.of('orphan')).toMatchObject([{ attempt: 2 }]);
    expect(delivery).toBeDefined();
  });

  it('keeps a timer that takes long while it lives', async () => {
    await using slow = await open({ ackWaitMs: 400 });
    await using other = await open({ ackWaitMs: 400 });
    let calls = 0;
    const long = async (): Promise<void> => {
      calls++;
      await systemRuntime.sleep(1_200);
    };
    const deliveries = [slow.timers.deliver(long), other.timers.deliver(long)];
    await slow.timers.arm({ kind: 'deadline', id: 'long', at: 0 });
    await until('it was acknowledged', async () => {
      const { state } = await slow.jsm.streams.info(timersStream(PREFIX));
      return calls > 0 && state.messages === 0;
    });
    for (const delivery of deliveries) await delivery.stop();
    expect(calls).toBe(1);
  });
});
