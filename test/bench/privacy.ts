import { user } from '../../src/domain/user.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { createPersonKeys } from '../../src/eventstore/personal/bucket-keys.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../src/eventstore/personal/personal-data.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { rebuild } from '../../src/projections/engine/rebuild/rebuild.ts';
import { users } from '../../src/projections/views/users.ts';
import { createMemoryBucket } from '../../src/testing/memory-bucket.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { must } from '../e2e/client.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { ratePerSecond } from './bare-replay.ts';
import { loadRows } from './http.ts';
import { type BenchRequest, type Load, load } from './http-load.ts';
import { type BenchService, prepareServer, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { cpuOf, interleaved, ratioOf, rounded, scaled, secondsOf } from './measure.ts';
import { type OrderLog, openOrderLog } from './order-log.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const CALLERS = 32;
const USERS = 100_000;
const LEAST = 20_000;
const ADA = 'Augusta Ada King';

/** What it costs that names and addresses are encrypted. */
export const privacyScenario: Scenario = {
  name: 'privacy',
  title: 'Encrypted names and addresses beside plain ones, the same build',
  run: async (options: BenchOptions) => [...(await requests(options)), ...(await rebuilds(options))],
};

/** A service of the role api on a server of its own. */
interface Side extends AsyncDisposable {
  readonly service: BenchService;
  readonly server: TestServer;
  readonly orders: readonly BenchRequest[];
}

async function openSide(encrypt: 'on' | 'off'): Promise<Side> {
  const server = await startTestServer();
  await prepareServer(server.url);
  const service = await startServiceOn(server.url, 'api', { JETLEDGER_PRIVACY__ENCRYPT: encrypt });
  const orders = await openBenchShop(service.url);
  const close = async (): Promise<void> => {
    await service[Symbol.asyncDispose]();
    await server.stop();
  };
  return { service, server, orders, [Symbol.asyncDispose]: close };
}

async function requests({ rounds, scale, print }: BenchOptions): Promise<ResultRow[]> {
  await using sealed = await openSide('on');
  await using plain = await openSide('off');
  const seconds = secondsOf(scale);
  await interleaved(1, { sealed: () => register(sealed, seconds), plain: () => register(plain, seconds) });
  const registered = await interleaved(rounds, {
    sealed: () => register(sealed, seconds),
    plain: () => register(plain, seconds),
  });
  const placed = await interleaved(rounds, {
    sealed: () => load(sealed.service, sealed.orders, seconds),
    plain: () => load(plain.service, plain.orders, seconds),
  });
  for (const [what, { sealed: on, plain: off }] of Object.entries({ registered, placed }))
    print(`${what}: ${told(on)} beside ${told(off)}`);
  return [
    ...loadRows('`POST /v1/users`, encrypted / plain', registered.sealed, registered.plain),
    ...loadRows('`POST /v1/orders`, encrypted / plain', placed.sealed, placed.plain),
  ];
}

const told = (loads: readonly Load[]): string =>
  loads.map(({ perSecond, cpu }) => `${Math.round(perSecond)}/s ${Math.round(cpu)} us`).join(', ');

let persons = 0;

async function register({ service: { url, pid } }: Side, seconds: number): Promise<Load> {
  const [began, before] = [performance.now(), await cpuOf(pid)];
  const until = began + seconds * 1_000;
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      await must(201, url, 'POST', '/v1/users', { email: `augusta${persons++}@example.com`, name: ADA });
      done++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  const cpu = ((await cpuOf(pid)) - before) / done;
  return { perSecond: (done / (performance.now() - began)) * 1_000, cpu };
}

async function rebuilds({ rounds, scale, print }: BenchOptions): Promise<ResultRow[]> {
  await using sealed = await openOrderLog();
  await using plain = await openOrderLog();
  const count = scaled(USERS, scale, LEAST);
  print(`filling two logs with ${count} users`);
  for (const [log, encrypt] of [
    [sealed, true],
    [plain, false],
  ] as const)
    await fillUsers(log, count, encrypt);
  const measured = await interleaved(rounds, {
    sealed: () => ratePerSecond(() => rebuildUsers(sealed, count)),
    plain: () => ratePerSecond(() => rebuildUsers(plain, count)),
  });
  return [
    {
      name: `rebuild of \`users\`, ${count.toLocaleString('en-US')} users, encrypted / plain`,
      ratio: ratioOf(measured.sealed, measured.plain),
      goal: 0.8,
      product: rounded(measured.sealed),
      baseline: rounded(measured.plain),
      unit: 'events/s',
    },
  ];
}

async function fillUsers({ log }: OrderLog, count: number, encrypt: boolean): Promise<void> {
  const masters = createMasterKeys(new Uint8Array(32).fill(5));
  const keys = createPersonKeys({ bucket: createMemoryBucket('keys'), masters });
  const handler = createHandler({
    log,
    runtime: systemRuntime,
    personal: createPersonalData({ keys, encrypt }),
  });
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) {
      const userId = systemRuntime.id();
      const person = { userId, email: `ada${n}@example.com`, name: ADA, emailAttempt: 'a', at: Date.now() };
      const command = { type: 'register', ...person } as const;
      await handler.execute(
        user,
        userId,
        command,
        { commandId: userId, actor: 'bench' },
        { assumeNew: true },
      );
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, worker));
}

async function rebuildUsers({ log, requests }: OrderLog, events: number): Promise<number> {
  const [runtime, timeoutMs] = [systemRuntime, 15_000];
  const buckets = createNatsBuckets({ requests, runtime, replicas: 1, timeoutMs, announceLosses: true });
  const settings = { prefix: TEST_LOG.prefix, resolveMs: 0, graceMs: 0 };
  await rebuild({ log, buckets, projection: users, runtime, settings });
  return events;
}
