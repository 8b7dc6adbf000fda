import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import {
  countOverdueTimers,
  createNatsTimers,
  timersStreamConfig,
} from '../../src/processes/engine/timers/nats-timers.ts';
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
    await jsm.streams.add(timersStreamConfig({ prefix, replicas: 1 }));
    const count = (now: number) => countOverdueTimers({ requests, prefix, timeoutMs, now });
    expect(await count(systemRuntime.now())).toBe(0);
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
    await timers.disarm('payment-deadline', 'hour');
    expect(await count(now + 3_600_000 + 61_000)).toBe(1);
  } finally {
    requests.close();
    await connection.close();
  }
});
