import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { webhook } from '../../src/domain/webhook.ts';
import {
  createGets,
  createHandler,
  messagesOf,
  positionOf,
  systemRuntime,
} from '../../src/eventstore/index.ts';
import { openMessageDeadLetters } from '../../src/processes/engine/index.ts';
import { until } from '../../src/testing/until.ts';
import { must } from '../e2e/client.ts';
import { openShop, type Shop } from '../e2e/shop.ts';
import { bucketsOf } from '../support/echo.ts';
import { openTestLog } from '../support/nats-log.ts';
import { type TracedService, type TracedWorld, tracedWorld } from './tracing-support.ts';

interface Event {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly sequence: string;
}

type Receiver = (secret: string, handle: (event: Event) => Promise<void>, seen?: Set<string>) => Server;

let world: TracedWorld;
let shop: Shop;
let url = '';
let lines: TracedService['lines'];
let folder = '';
let receiver: Receiver;
const servers: Server[] = [];

beforeAll(async () => {
  // As the page has it, beside the library that its reader installs.
  const page = await readFile('docs/webhooks.md', 'utf8');
  const [, code = ''] = /<!-- receiver -->\n```js\n([\s\S]*?)```/.exec(page) ?? [];
  folder = await mkdtemp(join(tmpdir(), 'receiver-'));
  await symlink(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'));
  await writeFile(join(folder, 'receiver.mjs'), code);
  ({ receiver } = (await import(pathToFileURL(join(folder, 'receiver.mjs')).href)) as { receiver: Receiver });
  world = await tracedWorld({
    JETLEDGER_PUBLIC_EVENTS__CONTEXTS: 'orders=forever, catalogue=forever, users=30d',
    JETLEDGER_WEBHOOKS__TARGETS: 'loopback',
  });
  ({ url, lines } = await world.start());
}, 60_000);
afterAll(async () => {
  for (const server of servers) server.close();
  for (const server of servers) server.closeAllConnections();
  await world?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
}

/** A webhook whose receiver is the page's; what it has handled. */
async function subscribed(
  types: readonly string[],
  fails: (event: Event) => boolean | Promise<boolean> = () => false,
  terms: object = {},
) {
  const events: Event[] = [];
  let inner: Server | undefined;
  const { createServer } = await import('node:http');
  const address = await listen(
    createServer((request, response) => {
      inner?.emit('request', request, response);
    }),
  );
  const made = await must(201, url, 'POST', '/v1/webhooks', { url: address, types, ...terms });
  inner = receiver(String(made.field('secret')), async (event) => {
    if (await fails(event)) throw new Error('not now');
    events.push(event);
  });
  return { id: String(made.field('id')), events };
}

const path = (id: string): string => `/v1/webhooks/${id}`;
const names = (events: readonly Event[]): string[] =>
  events.map(({ type }) => type.slice(type.lastIndexOf('.') + 1));

test('a receiver of the page gets the events of an order, signed, each once, and none of other kinds', async () => {
  const { id, events } = await subscribed(['jetledger.public.orders.v1.*']);
  shop = await openShop(url, 'webhooks');
  await until('the order is told', () => events.length === 3, 15_000);
  expect(names(events).sort()).toEqual(['OrderConfirmed', 'OrderPaid', 'OrderPlaced']);
  expect(new Set(events.map(({ subject }) => subject))).toEqual(new Set([shop.orderId]));
  const list = await must(200, url, 'GET', `${path(id)}/deliveries?outcome=taken`);
  expect(list.field('items')).toHaveLength(3);
}, 60_000);

test('what fails is tried again, and a test and a redelivery arrive when they are asked for', async () => {
  let away = true;
  const { id, events } = await subscribed(['jetledger.public.catalogue.v1.*'], () => away);
  await must(201, url, 'POST', '/v1/products', {
    sku: 'HOOK-1',
    name: 'Hook',
    price: { amountMinor: 100, currency: 'EUR' },
  });
  const failed = async () =>
    (await must(200, url, 'GET', `${path(id)}/deliveries?outcome=failed`)).field('items') as Event[];
  await until('it is tried in vain', async () => (await failed()).length > 0, 15_000);
  expect((await failed())[0]).toMatchObject({ attempt: 1, status: 400 });
  const standing = async () => {
    const page = await must(200, url, 'GET', '/v1/admin/webhooks');
    return (page.field('items') as { id: string; open: number }[]).find((one) => one.id === id);
  };
  await until('operators see it', async () => (await standing())?.open === 1, 15_000);
  expect(await standing()).toMatchObject({
    ...{ status: 'enabled', retrying: 1, unread: 0, lastTry: { taken: false, status: 400 } },
    oldestAt: expect.stringMatching(/^20/),
  });
  away = false;
  await until('it is tried again', () => events.length === 1, 15_000);
  await must(200, url, 'POST', `${path(id)}/test`, {});
  await until('the test arrives', () => events.length === 2, 15_000);
  expect(events.at(-1)?.type).toBe('jetledger.webhook.test');
  await must(200, url, 'POST', `${path(id)}/redeliveries`, { since: '2026-01-01T00:00:00Z' });
  const through = async () =>
    (await must(200, url, 'GET', `${path(id)}?consistency=strong`)).field('completed') as {
      delivered: number;
    };
  await until('all of the catalogue is sent again', async () => (await through()).delivered > 1, 15_000);
  // What it has handled already it drops by its id.
  expect(new Set(events.map((event) => event.id)).size).toBe(events.length);
}, 60_000);

test('in order, an event that is not taken holds its own aggregate and no other, and what is held comes once it is taken', async () => {
  const price = { amountMinor: 100, currency: 'EUR' };
  const made = (sku: string) => must(201, url, 'POST', '/v1/products', { sku, name: 'Hook', price });
  const held = 'HOOK-3';
  let bad = held;
  const types = ['jetledger.public.catalogue.v1.*'];
  const { id, events } = await subscribed(types, ({ subject }) => subject === bad, { ordered: true });
  await made(held);
  const failed = async () =>
    (await must(200, url, 'GET', `${path(id)}/deliveries?outcome=failed`)).field('items') as Event[];
  await until('it is tried in vain', async () => (await failed()).length > 0, 15_000);
  for (const amountMinor of [101, 102, 103, 104, 105, 106])
    await must(200, url, 'PATCH', `/v1/products/${held}`, { price: { ...price, amountMinor } });
  await made('HOOK-4');
  await until('another one is told', () => events.some(({ subject }) => subject === 'HOOK-4'), 15_000);
  const waiting = async () => {
    const items = (await must(200, url, 'GET', '/v1/admin/webhooks')).field('items');
    return (items as { id: string; open: number }[]).find((one) => one.id === id)?.open;
  };
  await until('operators see what waits', async () => (await waiting()) === 7, 15_000);
  const { items: consumers } = (await must(200, url, 'GET', '/v1/admin/consumers')).body as {
    items: { consumer: string; lag: number; lagSeconds: number }[];
  };
  expect(consumers).toContainEqual(expect.objectContaining({ consumer: 'webhooks', lag: 7, lagSeconds: 0 }));
  bad = '';
  const told = () => events.filter(({ subject }) => subject === held).map(({ sequence }) => sequence);
  await until('what was held is told', () => told().length === 7, 30_000);
  expect(told()).toEqual(['1', '2', '3', '4', '5', '6', '7']);
}, 60_000);

test('dead letters that are redriven are all sent, more than may wait, of two streams at one position; one that is refused stays', async () => {
  const slowly = async ({ subject }: Event): Promise<boolean> => {
    await delay(100);
    return subject === 'HOOK-4';
  };
  const { id, events } = await subscribed(['*'], slowly);
  await using log = await openTestLog(world.server.url);
  const deadLetters = openMessageDeadLetters({
    ...{ buckets: bucketsOf(log), prefix: 'jl', runtime: systemRuntime, name: 'webhooks' },
    again: () => Promise.reject(new Error('only the service sends again')),
    onTrouble: () => undefined,
  });
  const about = { error: new Error('away'), attempts: 50, firstAt: 0, traceId: '' };
  let kept = 0;
  for (const contract of ['orders', 'catalogue'] as const) {
    const source = `jl-public-${contract}-v1`;
    for await (const { seq, headers } of messagesOf(createGets(log.requests, source, 5_000), 'pub.>')) {
      const payload = { eventId: headers?.get('ce-id'), source, position: seq };
      const stream = { category: 'webhook', id };
      await deadLetters.keep({ stream, position: positionOf(seq), type: contract, payload, ...about });
      kept++;
    }
  }
  await deadLetters.stop();
  // No more than ten may wait.
  expect(kept).toBeGreaterThan(10);
  const parked = async () => {
    const page = await must(200, url, 'GET', `/v1/admin/parked?consumer=webhooks&id=${id}`);
    return page.field('items') as { error: { message: string } }[];
  };
  await must(200, url, 'POST', '/v1/admin/parked/redrive', { filter: { consumer: 'webhooks' } });
  await until('the others are sent', () => events.length === kept - 1, 30_000);
  await until(
    'one is refused and stays',
    async () => /status 400/.test((await parked())[0]?.error.message ?? ''),
    15_000,
  );
  expect(await parked()).toHaveLength(1);
}, 60_000);

test('operators see what notifications are published, and how far they are', async () => {
  const found = async () => {
    const { body } = await must(200, url, 'GET', '/v1/admin/notifications');
    return body as { queue?: object; kept: number; dead: number; recent: { kind: string; state: string }[] };
  };
  await until(
    'a process has told that they are through',
    async () => {
      const { recent } = await found();
      return recent.length > 0 && recent.every(({ state }) => state === 'through');
    },
    20_000,
  );
  const { recent, ...counts } = await found();
  expect(recent.map(({ kind }) => kind)).toContain('order-confirmed');
  expect(JSON.stringify(recent)).not.toContain('text');
  expect(counts).toMatchObject({ queue: { waiting: 0, open: 0, retried: 0 }, kept: recent.length, dead: 0 });
  const tries = await must(200, url, 'GET', '/v1/admin/notifications/deliveries?outcome=taken');
  expect(tries.field('items')).toContainEqual(
    expect.objectContaining({ type: 'order-confirmed', subject: shop.orderId, attempt: 1, outcome: 'taken' }),
  );
}, 60_000);

test('a receiver that says it is gone is sent nothing more, which its events, its answer and the log say', async () => {
  const { createServer } = await import('node:http');
  const target = await listen(createServer((_, response) => response.writeHead(410).end()));
  const types = ['jetledger.public.catalogue.v1.*'];
  const id = String((await must(201, url, 'POST', '/v1/webhooks', { url: target, types })).field('id'));
  const price = { amountMinor: 100, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'HOOK-2', name: 'Hook', price });
  const shown = () => must(200, url, 'GET', `${path(id)}?consistency=strong`);
  await until('it is disabled', async () => (await shown()).field('status') === 'disabled', 15_000);
  expect((await shown()).field('cause')).toBe('gone');
  const { items } = (await must(200, url, 'GET', `${path(id)}/events`)).body as { items: { type: string }[] };
  expect(items.map(({ type }) => type)).toContain('WebhookDisabled');
  const isTold = () =>
    lines.some(({ webhookId, level, cause }) => webhookId === id && level === 50 && cause === 'gone');
  await until('the log says so as an error', isTold, 15_000);
}, 60_000);

test('a webhook of a time when more might be dialled says in the list that nothing may be sent there', async () => {
  await using handle = await openTestLog(world.server.url);
  const { log } = handle;
  const id = 'of-before';
  const terms = { url: 'https://169.254.169.254/latest', types: ['*'], subjects: [], description: '' };
  const command = { type: 'create' as const, webhookId: id, secretId: 's1', ...terms, ordered: false, at: 1 };
  const made = await createHandler({ log, runtime: systemRuntime }).execute(webhook, id, command, {
    commandId: 'made-before',
    actor: 'tester',
  });
  expect(made.outcome).toBe('accepted');
  await must(200, url, 'POST', `${path(id)}/test`, {});
  const items = async () =>
    (await must(200, url, 'GET', `${path(id)}/deliveries`)).field('items') as { error?: string }[];
  await until('it was tried', async () => (await items()).length > 0, 15_000);
  expect((await items())[0]?.error).toBe('The URL is refused: its address may not be dialled.');
}, 60_000);
