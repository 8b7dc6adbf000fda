import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import type { Command } from '../../src/cli/command.ts';
import { parkedCommand } from '../../src/cli/parked.ts';
import { rebuildCommand } from '../../src/cli/rebuild.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { must, since } from '../e2e/client.ts';
import { PAYMENT } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { type EncryptedService, makeLog, startEncrypted } from '../support/encrypted-service.ts';

const PERSONS = 1_000;
const ORDERS = 20;
const AT_ONCE = 16;
/** In every name, address and reason, and in nothing else. */
const PLANTED = 'Zxqplanted';
/** The name of a product, which may be found: a text that repeats nothing stands as it is also where a file is compressed. */
const WITNESS = 'Qvjwitness';
/** So that an order is given up, and what comes after it waits behind it as a dead letter. */
const NO_PROVIDER = {
  JETLEDGER_PAYMENT__ADAPTER: 'http',
  JETLEDGER_PAYMENT__URL: 'http://127.0.0.1:9',
  JETLEDGER_PAYMENT__API_KEY: 'a-key',
  JETLEDGER_PROCESSES__RETRY_ATTEMPTS: '1',
};

interface Servers {
  readonly url: string;
  readonly monitorUrl: string;
  /** Of each server. */
  readonly monitors: readonly string[];
}

async function inParallel(count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Registrations, orders that become dead letters, reasons: everything that takes a person's text. */
async function fill({ url }: EncryptedService): Promise<void> {
  const ids: string[] = [];
  await inParallel(PERSONS, async (n) => {
    const person = { email: `${PLANTED}${n}@example.com`, name: `${PLANTED} ${n}` };
    ids[n] = String((await must(201, url, 'POST', '/v1/users', person)).field('id'));
  });
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: WITNESS, price });
  await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 5_000 });
  const orders: string[] = [];
  await inParallel(ORDERS, async (n) => {
    const path = `/v1/users/${ids[n]}`;
    await must(200, url, 'PATCH', path, { name: `${PLANTED} renamed ${n}` });
    await must(200, url, 'POST', `${path}/email`, { email: `${PLANTED}.new${n}@example.com` });
    const order = { userId: ids[n], lines: [{ sku: 'TEA', quantity: 1 }], payment: PAYMENT };
    orders.push(String((await must(201, url, 'POST', '/v1/orders', order)).field('id')));
    await must(200, url, 'POST', `/v1/users/${ids[n + ORDERS]}/deactivate`, { reason: `${PLANTED} left` });
  });
  const deadLetters = async (): Promise<readonly Record<string, unknown>[]> => {
    const { items } = (await must(200, url, 'GET', '/v1/admin/parked?limit=200')).body as { items: [] };
    return items;
  };
  await until('orders are dead letters', async () => (await deadLetters()).length >= ORDERS, 30_000);
  await inParallel(ORDERS, async (n) => {
    await must(200, url, 'POST', `/v1/orders/${orders[n]}/cancel`, { reason: `${PLANTED} reason ${n}` });
  });
  await until('so are cancellations', async () => (await deadLetters()).length >= 2 * ORDERS, 30_000);
  const { consumer, category, id, position } = (await deadLetters()).at(-1) ?? {};
  const one = await must(200, url, 'GET', `/v1/admin/parked/${consumer}/${category}/${id}/${position}`);
  expect(JSON.stringify(one.body)).toContain(`${PLANTED} reason`);
  const last = await must(200, url, 'PATCH', `/v1/users/${ids[0]}`, { name: `${PLANTED} at last` });
  await must(200, url, 'GET', `/v1/users/${ids[0]}`, undefined, since(last));
  await until('lists are built', async () => {
    const list = await fetch(`${url}/v1/users?namePrefix=${PLANTED.toLowerCase()}&limit=200`);
    return list.ok && (await list.text()).includes(PLANTED);
  });
}

async function run(servers: Servers, command: Command, ...args: string[]): Promise<void> {
  const { code, text } = await runInProcess(servers, command, args);
  if (code !== 0) throw new Error(text);
}

/** How a text looks in base64, wherever it begins. */
function encodings(text: string): readonly string[] {
  const inBase64 = [0, 1, 2].map((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]).toString('base64');
    return whole.slice(4, -4);
  });
  return [text, Buffer.from(text).toString('hex'), ...inBase64];
}

/** The files below folders that hold a text, in any case or encoding. */
async function holding(folders: readonly string[], text: string): Promise<readonly string[]> {
  const wanted = [text, text.toLowerCase()].flatMap(encodings);
  const found: string[] = [];
  for (const folder of folders) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = await readFile(path);
      if (wanted.some((each) => bytes.includes(each))) found.push(path);
    }
  }
  return found;
}

async function storeOf(monitorUrl: string): Promise<string> {
  const answer = (await (await fetch(`${monitorUrl}/jsz`)).json()) as { config: { store_dir: string } };
  return answer.config.store_dir;
}

async function keepsNoName(servers: Servers, replicas: '1' | '3'): Promise<void> {
  const variables = { JETLEDGER_LOG__REPLICAS: replicas, ...NO_PROVIDER };
  await makeLog(servers, variables);
  const backups = await mkdtemp(join(tmpdir(), 'jetledger-encrypted-backup-'));
  try {
    await using service = await startEncrypted(servers, variables);
    await fill(service);
    await run(servers, rebuildCommand, 'users');
    await run(servers, backupCommand, join(backups, 'one'));
    await run(servers, parkedCommand, 'list');
    const stores = await Promise.all(servers.monitors.map(storeOf));
    const everything = [...stores, join(service.folder, 'lists'), backups];
    expect(await holding(everything, PLANTED)).toEqual([]);
    // It would be found: other words of the same events and rows are.
    expect((await holding(stores, WITNESS)).length).toBeGreaterThan(0);
    expect((await holding([backups], WITNESS)).length).toBeGreaterThan(0);
    expect((await holding([join(service.folder, 'lists')], 'deactivated')).length).toBeGreaterThan(0);
  } finally {
    await rm(backups, { recursive: true, force: true });
  }
}

describe('none of 1,000 names and addresses stands in any file', () => {
  it('of one server, of lists or of a backup, after registrations, orders, a rebuild and dead letters', async () => {
    await using server = await startTestServer();
    await keepsNoName({ ...server, monitors: [server.monitorUrl] }, '1');
  }, 180_000);

  it('of three servers', async () => {
    await using cluster = await startTestCluster();
    const monitors = cluster.nodes.map(({ monitorUrl }) => monitorUrl);
    const servers = { url: cluster.urls.join(','), monitorUrl: monitors.join(','), monitors };
    await keepsNoName(servers, '3');
  }, 240_000);
});
