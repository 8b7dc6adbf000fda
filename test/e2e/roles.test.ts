import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import {
  createDataDir,
  type DataDir,
  type ServiceProcess,
  startService,
  stopService,
  type Variables,
} from '../support/service-process.ts';
import { ask, must, since } from './client.ts';
import { type Load, placeOrders, stockUp } from './load.ts';
import { openShop, PAYMENT, type Shop } from './shop.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

let server: TestServer;
let data: DataDir;
let variables: Variables;
let api: ServiceProcess;
let views: ServiceProcess;
let processes: ServiceProcess;
const started: ServiceProcess[] = [];

async function start(role: string): Promise<ServiceProcess> {
  const service = await startService(variables, ['--roles', role]);
  started.push(service);
  return service;
}

beforeAll(async () => {
  server = await startTestServer();
  data = await createDataDir();
  variables = {
    ...data.variables,
    NATS_URL: server.url,
    JETLEDGER_PROJECTIONS__SHARED: 'true',
    JETLEDGER_PROJECTIONS__GROUPS: '4',
  };
  await applyTopology(variables);
  // Two share the views.
  const roles = ['api', 'projections', 'processes', 'projections'];
  [api, views, processes] = (await Promise.all(roles.map(start))) as [typeof api, typeof api, typeof api];
}, 40_000);
afterAll(async () => {
  for (const service of started) await service[Symbol.asyncDispose]();
  await server.stop();
  await data[Symbol.asyncDispose]();
});

async function kill(service: ServiceProcess): Promise<void> {
  service.signal('SIGKILL');
  await service.ended();
}

/** More orders are accepted from now on. */
const ordersFlow = (load: Load, more = 15): Promise<void> => {
  const before = load.accepted();
  return until('orders are accepted', () => load.accepted() >= before + more, 15_000);
};

const isReady = async ({ url }: ServiceProcess): Promise<boolean> =>
  (await ask(url, 'GET', '/health/ready')).status === 200;

async function statusOf(url: string, orderId: string): Promise<unknown> {
  return (await ask(url, 'GET', `/v1/orders/${orderId}`)).field('status');
}

/** Places an order that belongs to a trace of its client's. */
async function placeTraced(url: string, { userId, sku }: Shop): Promise<string> {
  const body = { userId, lines: [{ sku, quantity: 1 }], payment: PAYMENT };
  const headers = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
  return String((await must(201, url, 'POST', '/v1/orders', body, headers)).field('id'));
}

describe('roles', () => {
  it('a process of each, and they are one service; each answers for what it is', async () => {
    const shop = await openShop(api.url, 'roles');
    const body = { userId: shop.userId, lines: [{ sku: shop.sku, quantity: 1 }], payment: PAYMENT };
    const placed = await must(201, api.url, 'POST', '/v1/orders', body, { prefer: 'wait=10' });
    expect(placed.field('status')).toBe('confirmed');
    const path = `/v1/orders/${placed.field('id')}`;
    const shown = await must(200, api.url, 'GET', path, undefined, since(placed));
    expect(shown.field('status')).toBe('confirmed');

    const checksOf = async (one: ServiceProcess) => {
      const { body: readiness } = await must(200, one.url, 'GET', '/health/ready');
      return Object.keys((readiness as { checks: object }).checks);
    };
    expect((await checksOf(api)).some((check) => /^(view|consumer) /.test(check))).toBe(false);
    expect(await checksOf(views)).toContain('view orders');
    expect((await checksOf(processes)).some((check) => check.startsWith('consumer '))).toBe(true);
    for (const one of [views, processes]) {
      await must(200, one.url, 'GET', '/health/live');
      await must(200, one.url, 'GET', '/health/startup');
      expect((await fetch(`${one.url}/metrics`)).status).toBe(200);
      const elsewhere = await must(404, one.url, 'GET', path);
      expect(elsewhere.field('code')).toBe('route/other-role');
      expect(elsewhere.field('detail')).toContain('role api');
    }
  });

  it('each is killed in turn under load: the others answer, orders are taken, the backlog drains, the trace joins', async () => {
    const shop = await openShop(api.url, 'killed');
    await stockUp(api.url, shop);
    const load = placeOrders(() => api.url, shop, { callers: 2, paceMs: 20 });
    await ordersFlow(load);

    await kill(processes);
    await ordersFlow(load);
    const traced = await placeTraced(api.url, shop);
    expect(await Promise.all([isReady(api), isReady(views)])).toEqual([true, true]);
    expect((await ask(api.url, 'GET', `/v1/orders/${traced}`)).field('status')).not.toBe('confirmed');
    processes = await start('processes');

    await kill(views);
    await ordersFlow(load);
    expect(await Promise.all([isReady(api), isReady(processes)])).toEqual([true, true]);

    await kill(api);
    expect(await isReady(processes)).toBe(true);
    api = await start('api');
    await ordersFlow(load);
    await load.stop();

    const ids = load.all().flatMap((answer) => (answer.status === 201 ? [String(answer.field('id'))] : []));
    const open = new Set([...ids, traced]);
    await until(
      'every order that was taken is confirmed',
      async () => {
        for (const id of open) {
          if ((await statusOf(api.url, id)) !== 'confirmed') return false;
          open.delete(id);
        }
        return true;
      },
      20_000,
    );
    const history = await must(200, api.url, 'GET', `/v1/orders/${traced}/events`);
    const { items } = history.body as { items: { type: string; traceId?: string }[] };
    expect(items.length).toBeGreaterThan(3);
    expect(new Set(items.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
    for (const service of [api, processes]) await stopService(service);
  }, 60_000);
});
