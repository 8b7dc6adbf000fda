import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createNatsTimers, timersStreamConfig } from '../../src/processes/engine/timers/nats-timers.ts';
import { countOverdueTimers, createTimerList } from '../../src/processes/engine/timers/timer-list.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';

const prefix = 'jl';
const timeoutMs = 2_000;

it('timers are overdue a minute after their time, whether they fired or not, and others are not', async () => {
  await using server = await startTestServer();
  const connection = await connect({ servers: server.url });
  const requests = createRequests(connection);
  try {
    const jsm = await jetstreamManager(connection);
    const count = (now: number) => countOverdueTimers({ requests, prefix, timeoutMs, now });
    const list = createTimerList({ requests, prefix, timeoutMs });
    expect([await count(0), await list.first(10), await list.of('past')]).toEqual([
      ...[0, { items: [], total: 0 }, []],
    ]);
    await jsm.streams.add(timersStreamConfig({ prefix, replicas: 1 }));
    const timers = createNatsTimers({ requests, runtime: systemRuntime, prefix, timeoutMs });
    const now = systemRuntime.now();
    await timers.arm({ kind: 'payment-deadline', id: 'past', at: now });
    await timers.arm({ kind: 'payment-deadline', id: 'hour', at: now + 3_600_000 });
    await timers.arm({ kind: 'email-claim', id: 'day', at: now + 86_400_000 });
    await until('the first has fired, and nobody handles it', async () => {
      const fired = await jsm.streams.info(`${prefix}-timers`, { subjects_filter: `${prefix}t.fire.>` });
      return Object.keys(fired.state.subjects ?? {}).length === 1;
    });
    expect(await count(now + 59_000)).toBe(0);
    expect(await count(now + 61_000)).toBe(1);
    expect(await count(now + 3_600_000 + 61_000)).toBe(2);
    const hour = { kind: 'payment-deadline', id: 'hour', at: now + 3_600_000, state: 'armed' };
    const past = { kind: 'payment-deadline', id: 'past', at: now, state: 'fired' };
    expect(await list.first(2)).toEqual({ items: [past, hour], total: 3 });
    expect([await list.of('past'), await list.of('hour')]).toEqual([[past], [hour]]);
    await timers.disarm('payment-deadline', 'hour');
    expect(await count(now + 3_600_000 + 61_000)).toBe(1);
  } finally {
    requests.close();
    await connection.close();
  }
});
