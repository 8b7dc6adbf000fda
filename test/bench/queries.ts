import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { bucketName } from '../../src/projections/engine/aliases.ts';
import { readCheckpoint } from '../../src/projections/engine/checkpoint.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask } from '../e2e/client.ts';
import { openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { type BenchService, prepareServer, STRIPPED, startServiceOn } from './http-service.ts';
import { scaled } from './measure.ts';
import {
  appendOrder,
  appendProduct,
  appendUser,
  BETWEEN_MS,
  confirmOrder,
  FIRST_ORDER_MS,
  fill,
  referenceOf,
  SKUS,
  skuOf,
  userId,
} from './query-log.ts';
import { type BenchOptions, type ResultRow, type Scenario, statOf } from './result.ts';

const [ORDERS, USERS, LEAST] = [1_000_000, 200_000, 2_000];
const CATCH_UP_MS = 3 * 60_000;
const [WARM, ASKED] = [20, 200];
const LIMIT = 50;
const [LOAD_PER_SECOND, LOAD_SECONDS] = [3_000, 10];

/** Lists and filters over the rows of a large shop: memory, starts, answers, and how far the index is behind. */
export const queriesScenario: Scenario = {
  name: 'queries',
  title: 'Lists and filters over 1,000,000 orders, 200,000 users and 5,000 products',
  run: async ({ scale, print }: BenchOptions) => {
    const [orders, users] = [scaled(ORDERS, scale, LEAST), scaled(USERS, scale, LEAST)];
    const dir = await mkdtemp(join(tmpdir(), 'jetledger-bench-lists-'));
    const variables = { ...STRIPPED, JETLEDGER_LISTS__DIR: dir };
    await using server = await startTestServer();
    await prepareServer(server.url);
    try {
      const empty = await emptyMemory(server.url, variables);
      await using views = await startServiceOn(server.url, 'projections');
      await fillLog(server.url, orders, users);
      print(`${orders} orders and ${users} users are stored`);
      await until('the views have caught up', () => caughtUp(views.url), CATCH_UP_MS);
      return await measured({ nats: server.url, orders, users, variables, empty, print });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  },
};

interface Shop {
  readonly nats: string;
  readonly orders: number;
  readonly users: number;
  readonly variables: Readonly<Record<string, string>>;
  readonly empty: number;
  readonly print: (line: string) => void;
}

async function measured(shop: Shop): Promise<readonly ResultRow[]> {
  const { nats, variables, empty, print } = shop;
  const rows: ResultRow[] = [];
  const add = (name: string, value: number, goal: number, unit: string): void => {
    const rounded = Math.round(value * 10) / 10;
    print(`${name}: ${rounded} ${unit} (at most ${goal})`);
    rows.push({ name, product: statOf([rounded]), ratio: rounded, goal, lowerIsBetter: true, unit });
  };
  {
    const started = performance.now();
    await using service = await startServiceOn(nats, 'api', variables);
    const answered = await allListsAnswer(service.url);
    add('start from nothing until all lists answer', (answered - started) / 1_000, 60, 's');
    add(
      'most memory while it is built, over an empty service',
      (await memoryOf(service, 'VmHWM')) - empty,
      150,
      'MiB',
    );
  }
  const started = performance.now();
  await using service = await startServiceOn(nats, 'api', variables);
  const answered = await allListsAnswer(service.url);
  add('start with an index at hand until all lists answer', (answered - started) / 1_000, 3, 's');
  for (const [name, query] of Object.entries(combinations(shop))) {
    const times = await timesOf(service.url, query);
    add(`${name}, p50`, at(times, 0.5), 10, 'ms');
    add(`${name}, p99`, at(times, 0.99), 50, 'ms');
  }
  add('memory after these, over an empty service', (await memoryOf(service, 'VmRSS')) - empty, 150, 'MiB');
  const behind = await behindUnderLoad(shop, service.url);
  add(`index behind its view at ${behind.perSecond} commits/s, most`, behind.most, 1_000, 'ms');
  return rows;
}

async function emptyMemory(nats: string, variables: Readonly<Record<string, string>>): Promise<number> {
  await using service = await startServiceOn(nats, 'api', variables);
  await ask(service.url, 'GET', '/v1/statistics?from=2026-01-01&to=2026-01-02');
  await delay(2_000);
  // The service is stopped when this returns.
  return await memoryOf(service, 'VmRSS');
}

async function fillLog(nats: string, orders: number, users: number): Promise<void> {
  await using opened = await openTestLog(nats, TEST_LOG, { attemptTimeoutMs: 15_000, deadlineMs: 60_000 });
  await fill(SKUS, (n) => appendProduct(opened.log, n));
  await fill(users, (n) => appendUser(opened.log, n));
  await fill(orders, (n) => appendOrder(opened.log, n, users));
}

async function caughtUp(url: string): Promise<boolean> {
  const { body } = await ask(url, 'GET', '/health/ready');
  const { checks } = body as { readonly checks: Readonly<Record<string, { readonly detail?: string }>> };
  const views = Object.entries(checks).filter(([name]) => name.startsWith('view '));
  return views.length > 0 && views.every(([, { detail = '' }]) => detail.endsWith(', 0 behind'));
}

const LISTS = ['/v1/orders?limit=1', '/v1/users?limit=1', '/v1/products?limit=1'];

/** @returns when they did */
async function allListsAnswer(url: string): Promise<number> {
  const answers = async (path: string) => (await fetch(`${url}${path}`)).status === 200;
  const all = async () => (await Promise.all(LISTS.map(answers))).every(Boolean);
  await until('all lists answer', all, CATCH_UP_MS);
  return performance.now();
}

/** In MiB. @param what of `/proc/<pid>/status` */
async function memoryOf({ pid }: BenchService, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1_024;
}

/** Every combination that has a list, with values that differ from one request to the next. */
function combinations({ orders, users }: Shop): Readonly<Record<string, (n: number) => string>> {
  const user = (n: number) => `user=${userId((Math.abs(n) * 7_919) % users)}`;
  const time = (n: number) =>
    new Date(FIRST_ORDER_MS + ((Math.abs(n) * 104_729) % orders) * BETWEEN_MS).toISOString();
  const to = (n: number) => `placedTo=${encodeURIComponent(time(n))}`;
  const total = (n: number) => `currency=EUR&totalMin=${(Math.abs(n) * 173) % 40_000}`;
  const status = (n: number) => `status=${n % 2 === 0 ? 'confirmed' : 'cancelled'}`;
  const name = (n: number) => `namePrefix=${['ada ', 'gr', 'edsger', 'joan a'][Math.abs(n) % 4]}`;
  return {
    orders: (n) => `/v1/orders?${to(n)}`,
    'orders by status': (n) => `/v1/orders?${status(n)}&${to(n)}`,
    'orders by user': (n) => `/v1/orders?${user(n)}`,
    'orders by user and status': (n) => `/v1/orders?${user(n)}&${status(n)}`,
    'orders by sku': (n) => `/v1/orders?sku=${skuOf(Math.abs(n))}`,
    'orders by sku and status': (n) => `/v1/orders?sku=${skuOf(Math.abs(n))}&${status(n)}`,
    'orders by total': (n) => `/v1/orders?${total(n)}`,
    'orders by total and status': (n) => `/v1/orders?${total(n)}&${status(n)}`,
    'orders by total and user': (n) => `/v1/orders?${total(n)}&${user(n)}`,
    'orders by reference': (n) => `/v1/orders?externalReference=${referenceOf(Math.abs(n))}`,
    'products in stock': (n) => `/v1/products?inStock=${n % 2 === 0}`,
    'products by name and stock': (n) =>
      `/v1/products?namePrefix=${['se', 'earl', 'a'][Math.abs(n) % 3]}&inStock=true`,
    users: () => '/v1/users?',
    'users by status': () => '/v1/users?status=active',
    'users by name': (n) => `/v1/users?${name(n)}`,
    'users by name and status': (n) => `/v1/users?${name(n)}&status=active`,
    'a user by address': (n) => `/v1/users?email=user-${Math.abs(n)}@example.com`,
  };
}

async function timesOf(url: string, query: (n: number) => string): Promise<readonly number[]> {
  const times: number[] = [];
  for (let n = -WARM; n < ASKED; n++) {
    const limit = query(n).includes('email=') ? '' : `&limit=${LIMIT}`;
    const since = performance.now();
    const response = await fetch(`${url}${query(n)}${limit}`);
    await response.arrayBuffer();
    if (n >= 0) times.push(performance.now() - since);
    if (response.status !== 200) throw new Error(`${query(n)}: ${response.status}`);
  }
  return times.sort((a, b) => a - b);
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

/** How long it takes until a list says that it knows what the view knows, while orders are placed and confirmed. */
async function behindUnderLoad({ nats, orders, users }: Shop, url: string) {
  await using opened = await openTestLog(nats, TEST_LOG, { attemptTimeoutMs: 15_000, deadlineMs: 60_000 });
  const { log, requests } = opened;
  const runtime = systemRuntime;
  const buckets = createNatsBuckets({
    requests,
    runtime,
    replicas: 1,
    timeoutMs: 15_000,
    announceLosses: false,
  });
  const bucket = await buckets.open(bucketName(TEST_LOG.prefix, 'orders', 1));
  if (bucket === undefined) throw new Error('the read model of orders has no bucket');
  const since = performance.now();
  const heads: { readonly position: number; readonly at: number }[] = [];
  let commits = 0;
  let most = 0;
  let loading = true;
  const watch = async (): Promise<void> => {
    while (loading || heads.length > 0) {
      const stored = await readCheckpoint(bucket);
      if (loading && stored !== undefined)
        heads.push({ position: numberOf(stored.position), at: performance.now() });
      const response = await fetch(`${url}/v1/orders?limit=1`);
      const reached = Number.parseInt(response.headers.get('position') ?? '0', 10);
      const now = performance.now();
      while ((heads[0]?.position ?? Number.POSITIVE_INFINITY) <= reached)
        most = Math.max(most, now - (heads.shift()?.at ?? now));
      await delay(20);
    }
  };
  const watching = watch();
  const place = async (caller: number): Promise<void> => {
    for (let n = caller; performance.now() < since + LOAD_SECONDS * 1_000; n += 64) {
      const due = since + (commits * 1_000) / LOAD_PER_SECOND;
      await delay(Math.max(0, due - performance.now()));
      const number = orders + 20 * n;
      const version = await appendOrder(log, number, users);
      await confirmOrder(log, number, version);
      commits += 2;
    }
  };
  await Promise.all(Array.from({ length: 64 }, (_, caller) => place(caller)));
  loading = false;
  const perSecond = Math.round((commits * 1_000) / (performance.now() - since));
  await watching;
  return { perSecond, most };
}
