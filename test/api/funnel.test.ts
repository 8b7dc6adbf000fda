import { afterEach, beforeEach, expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import type { RecordedCommit } from '../../src/eventstore/log.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { createFunnel, createMinutes } from '../../src/service/operators/funnel.ts';
import { until } from '../../src/testing/until.ts';
import { type MemoryService, memoryService, TEST_EPOCH } from '../support/memory-service.ts';
import { type Client, clientOf, confirmedOrder, field, list, ordered } from './requests.ts';

const MINUTE_MS = 60_000;

let service: MemoryService;
let client: Client;
let now: number;

beforeEach(async () => {
  now = TEST_EPOCH;
  let ids = 0;
  const runtime = {
    ...{ now: () => now, random: () => 0.5, sleep: async () => undefined },
    id: () => `00000000-0000-7000-8000-${String(++ids).padStart(12, '0')}`,
  };
  service = await memoryService({ runtime });
  client = clientOf(service);
  await list(client, 'TEA');
});
afterEach(async () => service[Symbol.asyncDispose]());

const funnel = async () => (await client.get('/v1/admin/orders/funnel')).json();

it('orders are counted at each step they have come to, in the last hour and day', async () => {
  await confirmedOrder(service, client, 'u1', 'TEA');
  now += 90 * MINUTE_MS;
  const id = await ordered(client, 'u1', 'TEA');
  const command = {
    type: 'reject',
    step: 'customer_validation',
    code: 'customer/unknown',
    reason: 'Nobody.',
    at: now,
  } as const;
  await service.deps.handler.execute(order, id, command, { commandId: 'r1', actor: 'order-process' });
  expect(await funnel()).toMatchObject({
    complete: true,
    since: new Date(now - 24 * 60 * MINUTE_MS).toISOString(),
    hour: {
      ...{ placed: 1, validated: 0, reserved: 0, paid: 0, confirmed: 0 },
      rejected: [{ code: 'customer/unknown', count: 1 }],
    },
    day: { placed: 2, validated: 1, reserved: 1, paid: 1, confirmed: 1, rejected: [{ count: 1 }] },
  });
  now += 24 * 60 * MINUTE_MS;
  expect(await funnel()).toMatchObject({ day: { placed: 0, confirmed: 0, rejected: [] } });
});

it('orders on their way are told by what they wait for, the oldest first', async () => {
  const first = await ordered(client, 'u1', 'TEA');
  now += MINUTE_MS;
  await ordered(client, 'u1', 'TEA');
  await confirmedOrder(service, client, 'u1', 'TEA');
  const waiting = async () => {
    now += 10_000;
    return field(await client.get('/v1/admin/orders/funnel'), 'waiting') as { count: number }[] | undefined;
  };
  await until('the list is made', async () => (await waiting())?.[0]?.count === 2, 10_000);
  expect(await waiting()).toMatchObject([
    { step: 'customer_validation', count: 2, more: false, oldest: [{ id: first }, {}] },
    { step: 'inventory', count: 0, oldest: [] },
    { step: 'payment', count: 0, oldest: [] },
  ]);
});

it('an answer of the last seconds serves everybody, and the log is read only once', async () => {
  const scanned: unknown[] = [];
  const { log, views, runtime } = service.deps;
  const scan: typeof log.scan = (options) => {
    scanned.push(options.after);
    return log.scan(options);
  };
  const ask = createFunnel({ log: { ...log, scan }, views, runtime });
  await ordered(client, 'u1', 'TEA');
  await Promise.all([ask(), ask(), ask()]);
  await until('it is counted', async () => {
    now += 6_000;
    return (await ask()).day.placed === 1;
  });
  const head = await log.head();
  now += 6_000;
  await ask();
  expect([scanned[0], scanned.at(-1)]).toEqual([BEGINNING, head]);
  const before = scanned.length;
  await ask();
  expect(scanned).toHaveLength(before);
});

it('minutes older than a day are forgotten', async () => {
  await ordered(client, 'u1', 'TEA');
  const commits: RecordedCommit[] = [];
  const scan = service.log.scan({ after: BEGINNING, filter: { category: order.category } });
  for await (const batch of scan) commits.push(...batch.commits);
  const minutes = createMinutes();
  for (const commit of commits) minutes.take(commit);
  const wide = 48 * 60 * MINUTE_MS;
  expect(minutes.last(wide, now).placed).toBe(1);
  minutes.forget(now + 25 * 60 * MINUTE_MS);
  expect(minutes.last(wide, now).placed).toBe(0);
});
