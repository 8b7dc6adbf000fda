import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { connectNats, reconnectDelays } from '../../src/platform/nats-connection.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';

describe('the delays between attempts to reconnect', () => {
  const delaysWith = (random: number): number[] => {
    const delays = reconnectDelays(() => random);
    return Array.from({ length: 8 }, () => {
      const delay = delays.current();
      delays.attempted();
      return delay;
    });
  };

  it('double up to two seconds, with jitter in the upper half', () => {
    expect(delaysWith(0)).toEqual([25, 50, 100, 200, 400, 800, 1_000, 1_000]);
    expect(delaysWith(0.5)).toEqual([37.5, 75, 150, 300, 600, 1_200, 1_500, 1_500]);
    expect(delaysWith(1)).toEqual([50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
  });

  it('stay the same until there is an attempt, however often they are asked for', () => {
    let drawn = 0;
    const delays = reconnectDelays(() => drawn++ / 10);
    expect([delays.current(), delays.current(), delays.current()]).toEqual([25, 25, 25]);
    delays.attempted();
    expect([delays.current(), delays.current()]).toEqual([55, 55]);
  });

  it('begin anew once it is connected', () => {
    const delays = reconnectDelays(() => 0);
    for (let attempt = 0; attempt < 6; attempt++) delays.attempted();
    expect(delays.current()).toBe(1_000);
    delays.reset();
    expect(delays.current()).toBe(25);
  });
});

/** Times of a connection's attempts. */
function attemptsOf(connection: NatsConnection): number[] {
  const times: number[] = [];
  void (async () => {
    for await (const { type } of connection.status())
      if (type === 'reconnecting') times.push(performance.now());
  })();
  return times;
}

describe('a connection that is refused', () => {
  it('tries again after these delays, and anew from the first after it was connected', {
    timeout: 60_000,
  }, async () => {
    await using server = await startTestServer();
    await using proxy = await startFaultProxy(server.url);
    const { nats } = loadConfig({ env: {}, dir: configDir({}) });
    const connection = await connectNats(proxy.url, nats, 'test');
    const attempts = attemptsOf(connection);
    for (const round of [1, 2]) {
      attempts.length = 0;
      proxy.refuse();
      // Fixed delays, or ones that grow while it waits, have fewer by then: 5 s are three times what is due.
      await until(`five attempts in round ${round}`, () => attempts.length >= 5, 5_000);
      const gaps = attempts.slice(1, 5).map((time, i) => time - (attempts[i] ?? 0));
      // Timers are late on a busy machine, and never early; the client's clock has whole milliseconds.
      for (const [i, least] of [50, 100, 200, 400].entries()) expect(gaps[i]).toBeGreaterThan(least - 2);
      proxy.heal();
      await until('connected again', () => connection.flush().then(() => true), 10_000);
      await delay(100);
    }
    await connection.close();
  });
});
