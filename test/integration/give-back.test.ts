import { createHook } from 'node:async_hooks';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CATALOGUE } from '../../src/cli/catalogue.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type Service, startService } from '../../src/service/start.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { type OpenApi, type Route, routesOf } from '../api/document.ts';
import { must } from '../e2e/client.ts';
import { openShop } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';

/** What is left behind by one call in twenty is found in 95 of 100 runs, and by each call always. */
const CALLS = 60;
const AT_ONCE = 20;
/** A command opens a connection of its own, so fewer tell as much. */
const RUNS = 10;
const TIMEOUT_MS = 240_000;
/** Sooner than a server forgets by itself what was left behind. */
const AT_REST_MS = 15_000;
/** A service at rest still writes and sleeps: what it holds at its most in so many looks. */
const LOOKS = 12;

/** What was taken and not given back, by its kind. */
type Held = Readonly<Record<string, number>>;

const timers = new Set<number>();
const watchingTimers = createHook({
  init: (id, type) => {
    if (type === 'Timeout') timers.add(id);
  },
  destroy: (id) => {
    timers.delete(id);
  },
});

let server: TestServer;
let service: Service;
let ids: Readonly<Record<string, string>>;
let routes: readonly Route[];

beforeAll(async () => {
  watchingTimers.enable();
  server = await startTestServer();
  const topology = await commandNamed('topology');
  expect(await runInProcess(server, topology, ['apply'])).toMatchObject({ code: 0 });
  const env = {
    JETLEDGER_ENV: 'test',
    NATS_URL: server.url,
    JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl,
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
  };
  service = await startService(loadConfig({ env, dir: configDir(env) }), pino({ level: 'silent' }));
  const shop = await openShop(service.url, 'ada');
  ids = { id: '', userId: shop.userId, sku: shop.sku, orderId: shop.orderId, name: 'order-process' };
  const document = await must(200, service.url, 'GET', '/openapi.json');
  routes = routesOf(document.body as OpenApi);
}, 60_000);

afterAll(async () => {
  watchingTimers.disable();
  await service?.stop();
  await server?.stop();
});

const commandNamed = async (name: string) => {
  const entry = CATALOGUE.find((one) => one.name === name);
  if (entry === undefined) throw new RangeError(`there is no command ${name}`);
  return entry.load();
};

async function monitored(path: string): Promise<Record<string, number>> {
  return (await fetch(`${server.monitorUrl}${path}`)).json() as Promise<Record<string, number>>;
}

async function heldNow(): Promise<Held> {
  const [streams, subscriptions] = [await monitored('/jsz'), await monitored('/subsz')];
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
  return {
    consumers: streams.consumers ?? Number.NaN,
    subscriptions: subscriptions.num_subscriptions ?? Number.NaN,
    timers: timers.size,
    handles: process.getActiveResourcesInfo().filter((kind) => kind.endsWith('Wrap')).length,
    listeners,
  };
}

async function heldAtMost(): Promise<Held> {
  const most: Record<string, number> = {};
  for (let look = 0; look < LOOKS; look++) {
    for (const [kind, count] of Object.entries(await heldNow()))
      most[kind] = Math.max(most[kind] ?? 0, count);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return most;
}

/** What is held beyond what was held before; nothing as soon as all is given back. */
async function leftOver(before: Held): Promise<Held> {
  let more: Held = {};
  const nothing = async () => {
    const now = await heldNow();
    more = Object.fromEntries(
      Object.entries(now).flatMap(([kind, count]) => {
        const extra = count - (before[kind] ?? 0);
        return extra > 0 ? [[kind, extra]] : [];
      }),
    );
    return Object.keys(more).length === 0;
  };
  await until('all is given back', nothing, AT_REST_MS).catch(() => undefined);
  return more;
}

/** Calls a route as its document shows it, on what is there. @returns the status */
async function call({ method, path, operation }: Route): Promise<number> {
  const own = path.includes('/orders/{id}') ? ids.orderId : path.includes('/users/{id}') ? ids.userId : '';
  const url = path.replace(/\{(\w+)\}/g, (_, name: string) => (name === 'id' ? own : ids[name]) || 'none');
  const live = operation.responses['200']?.content?.['text/event-stream'] !== undefined;
  const body = operation.requestBody?.content?.['application/json']?.example;
  const leave = new AbortController();
  const answer = await fetch(`${service.url}${url}`, {
    method,
    headers: { connection: 'close', ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: leave.signal,
  });
  if (live) leave.abort();
  else if (operation.operationId === 'createWebhook')
    await removeWebhook((await answer.json()) as { id: string });
  else await answer.arrayBuffer();
  return answer.status;
}

/** Each has timers of its own until it is removed. */
async function removeWebhook({ id }: { readonly id: string }): Promise<void> {
  await must(200, service.url, 'POST', `/v1/webhooks/${id}/remove`);
}

const COMMANDS: Readonly<Record<string, (where: string) => readonly string[]>> = {
  topology: () => ['plan'],
  doctor: () => [],
  status: () => [],
  inspect: () => ['order', ids.orderId ?? ''],
  consumers: () => ['status'],
  parked: () => ['list'],
  backup: (where) => [where],
  verify: () => ['--live'],
  config: () => [],
};

/** Does every piece of work so many times; where something is left over, whose it is. */
async function leftOverBy(works: ReadonlyMap<string, () => Promise<unknown>>, times: number, atOnce: number) {
  const repeat = async (work: () => Promise<unknown>): Promise<void> => {
    for (let done = 0; done < times; done += atOnce) await Promise.all(Array.from({ length: atOnce }, work));
  };
  const guilty: [string, Held][] = [];
  const before = await heldAtMost();
  for (const work of works.values()) await repeat(work);
  if (Object.keys(await leftOver(before)).length === 0) return guilty;
  for (const [name, work] of works) {
    const now = await heldAtMost();
    await repeat(work);
    const more = await leftOver(now);
    if (Object.keys(more).length > 0) guilty.push([name, more]);
  }
  return guilty.length > 0 ? guilty : [['nobody alone', {}]];
}

describe('server and process hold what they held before', () => {
  it(
    `after ${CALLS} calls of each route`,
    async () => {
      expect(routes.length).toBeGreaterThan(20);
      const failed = new Set<string>();
      const works = new Map(
        routes.map((route) => {
          const name = `${route.method} ${route.path}`;
          const work = async () => {
            const status = await call(route);
            if (status >= 500) failed.add(`${name}: ${status}`);
          };
          return [name, work];
        }),
      );
      for (const work of works.values()) await work();
      expect(await leftOverBy(works, CALLS, AT_ONCE)).toEqual([]);
      expect([...failed]).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    `after ${RUNS} runs of each command that looks at a server`,
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'jetledger-backups-'));
      let runs = 0;
      const works = new Map<string, () => Promise<unknown>>();
      for (const [name, argumentsOf] of Object.entries(COMMANDS)) {
        const command = await commandNamed(name);
        const run = () => runInProcess(server, command, argumentsOf(join(folder, `backup-${++runs}`)));
        const { code, text } = await run();
        expect([name, code, text]).toEqual([name, 0, text]);
        works.set(name, run);
      }
      expect(await leftOverBy(works, RUNS, 1)).toEqual([]);
      await rm(folder, { recursive: true });
    },
    TIMEOUT_MS,
  );
});
