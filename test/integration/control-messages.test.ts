import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import type { Finding } from '../../src/cli/doctor/checks.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { inspectCommand } from '../../src/cli/inspect.ts';
import { rebuildCommand } from '../../src/cli/rebuild.ts';
import { statusCommand } from '../../src/cli/status.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import type { ServerReport, ViewReport } from '../../src/service/status.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must, since } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { publishControl, TEST_LOG } from '../support/nats-log.ts';
import { openSse } from '../support/sse-client.ts';
import {
  clientTrace,
  openShop,
  type TracedService,
  type TracedWorld,
  tracedWorld,
} from './tracing-support.ts';

const EMAIL_KEY = { JETLEDGER_USERS__EMAIL_KEY: 'c3'.repeat(32) };

let world: TracedWorld;
let service: TracedService;
let folder: string;
let published = 0;
const started = new Date().toISOString();
const ORDERS = 3;

/** Messages of the log's own, as other instances and operators leave them between the commits. */
async function sprinkle(): Promise<number> {
  await publishControl(world.server.url, TEST_LOG.prefix, 'marks');
  published += 2;
  return publishControl(world.server.url, TEST_LOG.prefix, 'fence');
}
const cli = (command: Parameters<typeof runInProcess>[1], ...args: string[]) =>
  runInProcess(world.server, command, args, EMAIL_KEY);
const ready = async (): Promise<boolean> => (await ask(service.url, 'GET', '/health/ready')).status === 200;

async function status(): Promise<Pick<ServerReport, 'log'> & { views: readonly ViewReport[] }> {
  return (await cli(statusCommand, '--json')).json() as never;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-controls-'));
  world = await tracedWorld();
  await sprinkle();
  service = await world.start();
  const { userId, sku, order } = await openShop(service.url, 'ada');
  for (let i = 1; i <= ORDERS; i++) {
    await sprinkle();
    const placed = await order(clientTrace(i));
    await sprinkle();
    const path = `/v1/orders/${placed.field('id')}`;
    await until('the order is confirmed', async () => {
      await sprinkle();
      const read = await ask(service.url, 'GET', path, undefined, since(placed));
      return read.status === 200 && read.field('status') === 'confirmed';
    });
  }
  await must(200, service.url, 'GET', `/v1/users/${userId}?consistency=strong`);
  await must(200, service.url, 'GET', `/v1/products/${sku}?consistency=strong`);
  await sprinkle();
}, 60_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it('readiness, lists that are as fresh as the log, live streams and lag come up to an end that is no commit', async () => {
  await until('the service is ready', ready);
  const now = { prefer: 'wait=10' };
  const path = '/v1/orders?status=confirmed';
  const list = await must(200, service.url, 'GET', path, undefined, now);
  expect(list.field('items')).toHaveLength(ORDERS);
  const stream = await openSse(`${service.url}/v1/orders/${list.field('items', 0, 'id')}/stream`);
  await until('the whole order', () => stream.events.some(({ event }) => event === 'OrderConfirmed'));
  stream.close();
  const { log } = await status();
  expect(log.commits).toBe(log.position - published);
  await until('no view is behind', async () => (await status()).views.every(({ lag }) => lag === 0));
});

it('rebuilds, also from a time, end', async () => {
  const whole = await cli(rebuildCommand, 'statistics', '--json');
  expect(whole.json()).toMatchObject({ view: 'statistics', switched: true });
  await sprinkle();
  const fromTime = await cli(rebuildCommand, 'users', '--from-time', started, '--json');
  expect(fromTime.json()).toMatchObject({ view: 'users', switched: true });
}, 60_000);

it('operators see a whole log', async () => {
  const backup = join(folder, 'backup');
  const position = await sprinkle();
  expect(await cli(inspectCommand, 'position', String(position))).toMatchObject({
    code: 1,
    text: `There is no commit at position ${position}; the log ends at ${position}.`,
  });
  const verified = await cli(verifyCommand, '--live', '--json');
  expect(verified.json()).toMatchObject({ ok: true, here: { last: position } });
  expect((await cli(backupCommand, backup)).code).toBe(0);
  await sprinkle();
  const both = await cli(verifyCommand, backup, '--live', '--json');
  expect(both.json()).toMatchObject({ ok: true, here: { last: position }, there: { last: position } });
  const { findings } = (await cli(doctorCommand, '--json')).json() as { findings: Finding[] };
  const about = findings.filter(({ check }) => /view|consumer|log/.test(check));
  expect(about.filter(({ level }) => level !== 'ok')).toEqual([]);
}, 60_000);

it('a service that starts behind them is ready, and its views and consumers go on', async () => {
  await sprinkle();
  await service.stop();
  await sprinkle();
  service = await world.start();
  await until('the service is ready', ready);
  const { order } = await openShop(service.url, 'grace');
  const placed = await order(clientTrace(9));
  await until('the order is confirmed', async () => {
    const read = await ask(service.url, 'GET', `/v1/orders/${placed.field('id')}`, undefined, since(placed));
    return read.field('status') === 'confirmed';
  });
}, 60_000);
