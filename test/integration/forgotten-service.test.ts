import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import type { Command } from '../../src/cli/command.ts';
import { forgottenCommand } from '../../src/cli/copies/forgotten.ts';
import { forgetCommand } from '../../src/cli/personal/forget.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must, since } from '../e2e/client.ts';
import { PAYMENT } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { type EncryptedService, makeLog, SECRETS, startEncrypted } from '../support/encrypted-service.ts';

const NAME = 'Augusta Ada Byron';
const EMAIL = 'augusta.byron@example.com';
const deliveryAddress = { name: NAME, street: '1 Byron Road', city: 'Nottingham', country: 'GB' };
const PERSONAL = /byron|nottingham/i;

let folder: string;
let server: TestServer;
let service: EncryptedService;
let user = '';
/** A backup from before the forgetting, the ledger from after it, and the values that are to be gone. */
let [backup, ledger, values] = ['', '', ''];
/** Like the backup, with its keys elsewhere. */
let apart = '';

async function run(on: Pick<TestServer, 'url' | 'monitorUrl'>, command: Command, ...args: string[]) {
  return runInProcess(on, command, args, SECRETS);
}

async function exportOf(
  url: string,
): Promise<{ readonly text: string; readonly body: Record<string, unknown> }> {
  const response = await fetch(`${url}/v1/users/${user}/export`);
  const text = await response.text();
  expect(response.status).toBe(200);
  return { text, body: JSON.parse(text) as Record<string, unknown> };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-forgotten-service-'));
  [backup, ledger, values] = ['backup', 'ledger', 'values'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  apart = join(folder, 'apart');
  server = await startTestServer();
  await makeLog(server);
  service = await startEncrypted(server);
  const { url } = service;
  user = String((await must(201, url, 'POST', '/v1/users', { email: EMAIL, name: NAME })).field('id'));
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 50 });
  const order = { userId: user, lines: [{ sku: 'TEA', quantity: 2 }], payment: PAYMENT, deliveryAddress };
  await must(201, url, 'POST', '/v1/orders', order, { prefer: 'wait=10' });
  await until('all are told', () => service.notified.length >= 2, 30_000);
}, 60_000);
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

it('an export has names, addresses and what was told, opened, from a log that holds them encrypted', async () => {
  const { body } = await exportOf(service.url);
  expect(body).toMatchObject({
    user: { name: NAME, email: EMAIL },
    events: [{ type: 'UserCreated', data: { name: NAME, email: EMAIL } }],
    addresses: [{ events: [{ type: 'EmailClaimed' }] }],
    orders: [{ order: { deliveryAddress, status: 'confirmed', total: { amountMinor: 900 } } }],
    complete: true,
  });
  const kinds = (body.notifications as readonly { readonly kind: string }[]).map(({ kind }) => kind);
  expect(kinds).toEqual(['welcome', 'order-confirmed']);
});

it('of whoever was forgotten an export has what is left, and nothing by which it could be known', async () => {
  await run(server, forgetCommand, user, '--collect', values);
  await run(server, backupCommand, backup);
  await run(server, backupCommand, apart, '--keys', join(folder, 'keys before'));
  expect((await run(server, forgetCommand, user, '--wait')).code).toBe(0);
  await run(server, forgottenCommand, ledger);
  const { text, body } = await exportOf(service.url);
  expect(text).not.toMatch(PERSONAL);
  expect(body).toMatchObject({
    user: { name: 'forgotten', email: 'forgotten', status: 'forgotten' },
    addresses: [],
    nameDigests: [],
    orders: [{ order: { total: { amountMinor: 900 }, deliveryAddress: { name: 'forgotten' } } }],
    complete: true,
  });
  const { code, text: proof } = await run(server, forgetCommand, user, '--prove', '--values', values);
  expect([code, proof]).toEqual([0, expect.stringContaining('Nothing was found of')]);
}, 60_000);

it('a service on a backup from before shows the person as forgotten, finishes it, and proves it', async () => {
  await using fresh = await startTestServer();
  expect((await run(fresh, restoreCommand, backup, '--forgotten', ledger)).code).toBe(0);
  await run(fresh, topologyCommand, 'apply');
  await using restored = await startEncrypted(fresh);
  const { url } = restored;
  const shown = await ask(url, 'GET', `/v1/users/${user}?consistency=strong`);
  expect([shown.status, shown.field('name'), shown.field('email')]).toEqual([200, 'forgotten', 'forgotten']);
  const { text } = await exportOf(url);
  expect(text).not.toMatch(PERSONAL);
  const renamed = await ask(url, 'PATCH', `/v1/users/${user}`, { name: NAME });
  expect(renamed.status).toBe(410);
  const others = await must(201, url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' });
  const list = await must(200, url, 'GET', `/v1/users/${user}`, undefined, since(others));
  expect(list.field('name')).toBe('forgotten');
  const { code, text: proof } = await run(fresh, forgetCommand, user, '--prove', '--values', values);
  expect([code, proof]).toEqual([0, expect.stringContaining('Nothing was found of')]);
}, 90_000);

it('where keys are copied apart, an old backup is free of the person as soon as the old keys are gone', async () => {
  const prove = (dir: string) =>
    run(server, forgetCommand, user, '--prove', '--values', values, '--backup', dir);
  expect((await prove(backup)).code).toBe(1);
  expect((await prove(apart)).code).toBe(0);
  const newest = join(folder, 'keys after');
  await run(server, backupCommand, join(folder, 'apart after'), '--keys', newest);
  await using fresh = await startTestServer();
  const restore = (...args: string[]) => run(fresh, restoreCommand, apart, '--forgotten', ledger, ...args);
  await expect(restore()).rejects.toThrow(/copied apart.*--keys/);
  await expect(restore('--keys', folder)).rejects.toThrow('no whole copy of the keys');
  await expect(run(server, verifyCommand, apart)).rejects.toThrow(/copied apart.*--keys/);
  expect((await restore('--keys', newest)).code).toBe(0);
  const verified = await run(fresh, verifyCommand, apart, '--keys', newest);
  expect([verified.code, verified.text]).toEqual([0, expect.stringContaining('none of')]);
  await run(fresh, topologyCommand, 'apply');
  await using restored = await startEncrypted(fresh);
  expect((await ask(restored.url, 'GET', `/v1/users/${user}?consistency=strong`)).field('name')).toBe(
    'forgotten',
  );
}, 90_000);

it('nobody is forgotten because a word of the proof was left out', async () => {
  const created = await must(201, service.url, 'POST', '/v1/users', {
    email: 'bob@example.com',
    name: 'Bob',
  });
  const id = String(created.field('id'));
  await writeFile(join(folder, 'bob'), 'bob@example.com\n');
  for (const args of [
    ['--values', join(folder, 'bob')],
    ['--in', folder],
    ['--backup', backup],
  ]) {
    await expect(run(server, forgetCommand, id, ...args)).rejects.toThrow('Nobody was forgotten');
  }
  expect((await ask(service.url, 'GET', `/v1/users/${id}?consistency=strong`)).field('status')).toBe(
    'active',
  );
});
