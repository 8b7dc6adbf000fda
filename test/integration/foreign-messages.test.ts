import { headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { skipCommand } from '../../src/cli/damage/skip.ts';
import type { Finding } from '../../src/cli/doctor/checks.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { inspectCommand } from '../../src/cli/inspect.ts';
import { rebuildCommand } from '../../src/cli/rebuild.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { until } from '../../src/testing/until.ts';
import { type Answer, ask, must, since } from '../e2e/client.ts';
import { type RanInProcess, runInProcess } from '../support/cli-in-process.ts';
import { openTestLog } from '../support/nats-log.ts';
import { parseScrape, sumOf } from '../support/prometheus-text.ts';
import { type TracedService, type TracedWorld, tracedWorld } from './tracing-support.ts';

let world: TracedWorld;
let service: TracedService;
beforeAll(async () => {
  world = await tracedWorld();
  service = await world.start();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const VARIABLES = { JETLEDGER_USERS__EMAIL_KEY: 'c3'.repeat(32) };
const run = (command: Parameters<typeof runInProcess>[1], ...args: string[]): Promise<RanInProcess> =>
  runInProcess(world.server, command, args, VARIABLES);

/** Writes garbage, without a header or behind one of ours, to a subject. Returns the position. */
async function publish(subject: string, ours?: string): Promise<number> {
  await using handle = await openTestLog(world.server.url);
  const how = headers();
  if (ours !== undefined) how.set('Jl-Commit', ours);
  const reply = await handle.connection.request(subject, 'x', { headers: how, timeout: 5_000 });
  return reply.json<{ seq: number }>().seq;
}

const of = (category: string, id: string) => subjectOf('jl', { category, id });

async function place(userId: unknown, sku = 'TEA'): Promise<Answer> {
  const payment = { token: 'tok_success' };
  const lines = [{ sku, quantity: 1 }];
  return must(201, service.url, 'POST', '/v1/orders', { userId, lines, payment }, { prefer: 'wait=10' });
}

const ready = async () => (await ask(service.url, 'GET', '/health/ready')).status === 200;
const restart = async (): Promise<void> => {
  await service.stop();
  service = await world.start();
  await until('the service is ready', ready);
};

let userId: unknown;
let orderId: string;
let foreign: number[];

it('garbage on the subjects of orders, users and products stops nothing: views, reactions and commands go on', async () => {
  const { url } = service;
  await until('the service is ready', ready);
  userId = (await must(201, url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' })).field('id');
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 100 });
  const first = await place(userId);
  orderId = String(first.field('id'));
  foreign = [
    await publish(of('order', orderId)),
    await publish(of('user', String(userId))),
    await publish(of('product', 'TEA')),
    await publish('jl.order.9.9.9.evil'),
    await publish('jl.nonsense.0.0.0.x'),
  ];

  const renamed = await must(200, url, 'PATCH', `/v1/users/${userId}`, { name: 'Ada Lovelace' });
  expect(Number(renamed.field('version'))).toBeGreaterThan(Number(foreign[1]));
  const second = await place(userId);
  expect(second.field('status')).toBe('confirmed');
  const shipped = await must(200, url, 'POST', `/v1/orders/${orderId}/ship`, { tracking: 't' });
  const order = await must(200, url, 'GET', `/v1/orders/${orderId}`, undefined, since(shipped));
  expect(order.field('status')).toBe('shipped');
  const orders = await must(200, url, 'GET', `/v1/users/${userId}/orders`, undefined, since(shipped));
  expect((orders.field('items') as object[]).length).toBe(2);
  const events = await must(200, url, 'GET', `/v1/orders/${orderId}/events`);
  expect((events.field('items') as { position: number }[]).map(({ position }) => position)).not.toContain(
    foreign[0],
  );
  const past = await must(200, url, 'GET', `/v1/orders/${orderId}?version=${foreign[0]}`);
  expect(past.field('status')).toBe('confirmed');
  const today = new Date().toISOString().slice(0, 10);
  const path = `/v1/statistics?from=${today}&to=${today}`;
  const statistics = await must(200, url, 'GET', path, undefined, since(shipped));
  expect(JSON.stringify(statistics.body)).toContain('"ordersPlaced":2');
});

it('operators are told: by the metric, the log, doctor, inspect and verify, which calls the log whole', async () => {
  const position = { position: foreign[0], category: 'order', id: orderId };
  await until('the metric counts them', async () => {
    const samples = parseScrape(await (await fetch(`${service.url}/metrics`)).text());
    return sumOf(samples, 'jetledger_log_foreign_messages', {}) === foreign.length;
  });
  const lines = service.lines.filter(({ msg }) => msg === 'a message of somebody else lies in the log');
  expect(lines.map((line) => line.position)).toEqual(foreign);
  const findings = (await run(doctorCommand, '--json')).json().findings as Finding[];
  const finding = findings.find(({ check }) => check === 'foreign messages');
  expect(finding).toMatchObject({ level: 'warn', advice: expect.stringContaining('jl.>') });
  for (const at of foreign) expect(finding?.detail).toContain(`position ${at} on jl.`);
  const inspected = await run(inspectCommand, 'position', String(foreign[0]));
  expect(inspected.json()).toMatchObject({ ...position, foreign: { bytes: 1 }, decisions: [] });
  const verified = await run(verifyCommand, '--live');
  expect(verified.text).toContain(`foreign  position ${foreign[3]}: on jl.order.9.9.9.evil`);
  expect([verified.code, verified.text]).toEqual([0, expect.stringContaining('Whole up to position')]);
});

it('a restart and a rebuild pass them, too', async () => {
  await restart();
  const rebuilt = await run(rebuildCommand, 'orders', '--json');
  expect(rebuilt.code).toBe(0);
  const placed = await place(userId);
  const order = await must(
    200,
    service.url,
    'GET',
    `/v1/orders/${placed.field('id')}`,
    undefined,
    since(placed),
  );
  expect(order.field('status')).toBe('confirmed');
}, 60_000);

it('a damaged commit stops views, which name position and cure; a mark heals them without a restart, undone or not', async () => {
  const { url } = service;
  const damaged = await publish(of('order', 'damaged-order'), 'a-commit-of-ours');
  const details = async () => {
    const checks = (await ask(url, 'GET', '/health/ready')).field('checks') as Record<
      string,
      { ok: boolean; detail?: string }
    >;
    return Object.entries(checks).filter(([name, { ok }]) => name.startsWith('view ') && !ok);
  };
  // The log moves on.
  await must(200, url, 'PATCH', `/v1/users/${userId}`, { name: 'Ada' });
  await until('views stand still', async () => (await details()).length > 0);
  for (const [, { detail }] of await details()) {
    expect(detail).toContain(`cannot apply the commit at position ${damaged} and stands still there`);
    expect(detail).toContain(`jetledger skip ${damaged} --reason TEXT`);
  }
  const refused = await ask(url, 'POST', '/v1/orders/damaged-order/cancel', { reason: 'x' });
  expect(refused.status).toBeGreaterThanOrEqual(400);
  const found = await run(verifyCommand, '--live');
  expect([found.code, found.text]).toEqual([1, expect.stringContaining(`damaged  position ${damaged}: `)]);

  await expect(run(skipCommand, String(foreign[0]), '--reason', 'x')).rejects.toMatchObject({
    code: 'mark/foreign',
  });
  const marked = await run(skipCommand, String(damaged), '--reason', 'a disk lied', '--actor', 'Ada L.');
  expect(marked).toMatchObject({ code: 0, text: `Position ${damaged} is passed over.` });
  await until('every view is at work again', ready, 30_000);
  const placed = await place(userId);
  await must(200, url, 'GET', `/v1/orders/${placed.field('id')}`, undefined, since(placed));
  const shown = await must(200, url, 'GET', '/v1/admin/skipped');
  const mark = {
    position: damaged,
    category: 'order',
    id: 'damaged-order',
    reason: 'a disk lied',
    by: 'Ada L.',
  };
  expect(shown.field('items')).toEqual([{ ...mark, at: expect.any(String) }]);
  const whole = await run(verifyCommand, '--live');
  expect([whole.code, whole.text]).toEqual([
    0,
    expect.stringContaining(`skipped  position ${damaged} of order/`),
  ]);
  const inspected = await run(inspectCommand, 'position', String(damaged));
  expect(inspected.json()).toMatchObject({ damaged: expect.any(String), skipped: { reason: 'a disk lied' } });
  expect((await run(skipCommand)).text).toMatch(/by Ada L\.: a disk lied\n1 passed over\.$/);

  await restart();
  const again = await must(200, service.url, 'GET', `/v1/orders/${placed.field('id')}`);
  expect(again.field('status')).toBe('confirmed');
}, 90_000);

it('a mark on a sound commit takes it out of the views, and undoing the mark brings it back', async () => {
  const { url } = service;
  const listed = await must(201, url, 'POST', '/v1/products', {
    sku: 'POT',
    name: 'Pot',
    price: { amountMinor: 900, currency: 'EUR' },
  });
  const seen = async (status: number) => (await ask(url, 'GET', '/v1/products/POT')).status === status;
  await must(200, url, 'GET', '/v1/products/POT', undefined, since(listed));
  const position = String(listed.field('position'));
  await run(skipCommand, position, '--reason', 'to try it');
  await until('the view is without it', () => seen(404), 30_000);
  const undone = await run(skipCommand, position, '--undo', '--reason', 'tried');
  expect(undone.text).toBe(`Position ${position} is not passed over any more.`);
  await until('the view has it again', () => seen(200), 30_000);
}, 90_000);
