import { describe, expect, it } from 'vitest';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { startLoadBalancer } from '../support/load-balancer.ts';
import { createDataDir, startService, stopService } from '../support/service-process.ts';
import { openSse } from '../support/sse-client.ts';
import { ask, must } from './client.ts';
import { placeOrders, stockUp } from './load.ts';
import { ordersInLog } from './orders-in-log.ts';
import { openShop } from './shop.ts';

const DEADLINE_MS = 10_000;

/** A NATS server with a log, and the variables of services on it. */
async function openWorld() {
  const server = await startTestServer();
  const data = await createDataDir();
  const variables = {
    ...data.variables,
    NATS_URL: server.url,
    // Long enough to be looked at on a busy machine.
    JETLEDGER_SERVICE__DRAIN_MS: '4500',
    JETLEDGER_SERVICE__SHUTDOWN_TIMEOUT_MS: String(DEADLINE_MS),
    JETLEDGER_LOGGING__LEVEL: 'debug',
  };
  await applyTopology(variables);
  return {
    server,
    variables,
    [Symbol.asyncDispose]: async () => {
      server.signal('SIGCONT');
      await server.stop();
      await data[Symbol.asyncDispose]();
    },
  };
}

describe.concurrent('a service that is stopped', () => {
  it('fails no request behind a load balancer that asks for readiness, and loses no order; streams are told', async () => {
    await using world = await openWorld();
    const { server, variables } = world;
    await using first = await startService(variables);
    await using second = await startService(variables);
    await using balancer = await startLoadBalancer([first.url, second.url]);
    const shop = await openShop(balancer.url, 'balanced');
    await stockUp(balancer.url, shop);
    const stream = await openSse(`${first.url}/v1/orders/stream?user=${shop.userId}`);
    const load = placeOrders(() => balancer.url, shop, { callers: 3, paceMs: 20 });
    const flow = (): Promise<void> => {
      const before = load.accepted();
      return until('orders flow', () => load.accepted() >= before + 20);
    };
    await flow();

    first.signal('SIGTERM');
    await until(
      'readiness says so',
      async () => (await ask(first.url, 'GET', '/health/ready')).status === 503,
    );
    const ready = await ask(first.url, 'GET', '/health/ready');
    expect(ready.field('checks', 'stopping', 'ok')).toBe(false);
    const late = await must(200, first.url, 'GET', '/health/live');
    expect(late.headers.get('connection')).toBe('close');
    expect((await first.ended()).code).toBe(0);
    await stream.ended;
    expect(stream.events.at(-1)).toMatchObject({ event: 'end', data: { reason: 'shutdown' } });
    await flow();

    await using third = await startService(variables);
    balancer.add(third.url);
    await until('the new one is used', () => balancer.uses(third.url));
    await stopService(second);
    await flow();
    await load.stop();

    expect(balancer.failures).toEqual([]);
    expect(load.unanswered).toEqual([]);
    expect(load.all().filter(({ status }) => status !== 201)).toEqual([]);
    const inLog = await ordersInLog(server.url);
    const lost = load.all().filter((answer) => inLog.get(String(answer.field('id'))) !== 1);
    expect(lost).toEqual([]);

    const { stdout } = await stopService(third);
    const stages = [...stdout.matchAll(/"stage":"([^"]+)","ms":\d+,"msg":"closed"/g)].map(([, name]) => name);
    expect(stages, stdout.slice(-5_000)).toEqual([
      'load balancers',
      'requests',
      'live streams',
      'NATS monitor',
      'operators',
      'processes',
      'views',
      'forgetting',
      'snapshots',
      'loss watch',
      'telemetry',
      'NATS',
    ]);
  }, 120_000);

  it('whose NATS server hangs ends before the deadline with 1 and says what was left', async () => {
    await using world = await openWorld();
    const { server, variables } = world;
    await using service = await startService(variables);
    const shop = await openShop(service.url, 'hanging');
    const stream = await openSse(`${service.url}/v1/orders/stream?user=${shop.userId}`);
    const load = placeOrders(() => service.url, shop, { callers: 2, paceMs: 20 });
    await until('a request was answered', () => load.all().length > 0);
    server.signal('SIGSTOP');
    service.signal('SIGTERM');
    const { code, stdout } = await service.ended(DEADLINE_MS + 5_000);
    server.signal('SIGCONT');
    await stream.ended;
    await load.stop();
    expect(code).toBe(1);
    const [line] = stdout.split('\n').filter((text) => text.includes('"level":60'));
    const { msg, left } = JSON.parse(line ?? '{}') as { msg: string; left: string[] };
    expect(msg).toMatch(/^not everything could be closed: /);
    expect(left.some((part) => part.startsWith('NATS (not connected), '))).toBe(true);
    expect(left.some((part) => part.startsWith('views, NATS is away: '))).toBe(true);
  }, 120_000);
});
