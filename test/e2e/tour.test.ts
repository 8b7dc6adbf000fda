import { execFile, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  createDataDir,
  type DataDir,
  runCommand,
  type ServiceProcess,
  startService,
  stopService,
} from '../support/service-process.ts';
import { ask, must, since } from './client.ts';
import { openShop, PAYMENT, type Shop, STILL_ORDERS, showShop } from './shop.ts';

/** Each view's new bucket is fed for a second after the switch, until everybody has noticed. */
const REBUILD_MS = 120_000;
/** Clients that leave no time to the rebuild would only make it longer. */
const PACE_MS = 15;
/** An order goes through all its steps in this time, on a busy machine too. */
const SHOWN_WITHIN_MS = 20_000;
const README = fileURLToPath(new URL('../../README.md', import.meta.url));
const hasCurl = spawnSync('curl', ['--version']).status === 0;
if (!hasCurl) console.warn('curl is not on PATH: the tour of the README is NOT tested');

let data: DataDir;
let service: ServiceProcess;

beforeAll(async () => {
  data = await createDataDir();
  service = await startService({ ...data.variables, ...STILL_ORDERS });
});
afterAll(async () => {
  await stopService(service);
  await data[Symbol.asyncDispose]();
});

/** The commands of the first shell block after a heading, a command each, its lines joined. */
async function commandsOf(heading: string): Promise<string[]> {
  const section = (await readFile(README, 'utf8')).split(`## ${heading}\n`)[1] ?? '';
  const block = /```sh\n([\s\S]*?)```/.exec(section)?.[1] ?? '';
  const lines = block.replaceAll('\\\n', ' ').split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/** Runs a curl command as it stands in the README, against the service of this test. */
async function curl(url: string, command: string, variables: Record<string, string>) {
  // A live stream never ends by itself: after a second it is left, as with Ctrl-C.
  const isStream = command.startsWith('curl -N');
  const here = command
    .replace('curl', isStream ? 'curl -s -i -m 1' : 'curl -s -i')
    .replace(/\s+#.*$/, isStream ? '; true' : '')
    .replaceAll('localhost:3000', new URL(url).host);
  const env = { PATH: process.env.PATH, ...variables };
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', here], { env });
  const [head = '', body = ''] = stdout.split('\r\n\r\n');
  const json: unknown = isStream ? { stream: body } : JSON.parse(body);
  return { status: Number(head.split(' ')[1]), head, json: json as Record<string, unknown> };
}

const ORDER_LINES = [
  { sku: 'TEA-1', quantity: 2 },
  { sku: 'CUP-1', quantity: 1 },
];
const CONFIRMED = { status: 'confirmed', total: { amountMinor: 2_100, currency: 'EUR' }, lines: ORDER_LINES };

const STEPS = [
  'OrderPlaced',
  'CustomerValidated',
  'OrderStockReserved',
  'PaymentAuthorised',
  'PaymentCaptured',
  'OrderConfirmed',
];

const RELEASED = expect.arrayContaining([expect.objectContaining({ type: 'OrderStockReleased' })]);

/** What a reader is told to see: for each curl command of the tour its status and the fields that matter. */
const TOLD: readonly (readonly [number, object, RegExp?])[] = [
  [201, { email: 'ada@example.com', name: 'Ada' }, /\netag: "\d+"\r\nposition: \S+/],
  [201, { sku: 'TEA-1', onHand: 0 }],
  [201, { sku: 'CUP-1', onHand: 0 }],
  [200, { sku: 'TEA-1', onHand: 100 }],
  [200, { sku: 'CUP-1', onHand: 10 }],
  [201, { status: 'placed' }],
  [200, { items: STEPS.map((type) => ({ type })) }],
  [200, CONFIRMED],
  [200, { items: [CONFIRMED] }],
  [200, { stream: expect.stringMatching(/event: OrderPlaced[\s\S]*event: OrderConfirmed/) }],
  [400, { code: 'request/invalid' }],
  [201, { status: 'placed' }],
  [
    200,
    { status: 'rejected', step: 'payment', reason: { code: 'payment/card_declined' }, timeline: RELEASED },
  ],
];

/** What the README says of `make demo`, in its order. */
const SHOWN_BY_DEMO = [
  /A user registers/,
  /Products are listed/,
  /ok {3}it is confirmed/,
  /rejected at the step customer_validation[\s\S]*step inventory[\s\S]*step payment/,
  /What is wrong is refused/,
  /What is stored: events/,
];

describe('the tour', () => {
  it.skipIf(!hasCurl)(
    'of the README shows what it says, word for word, on an empty log',
    async () => {
      await using own = await createDataDir();
      await using started = await startService(own.variables);
      const ids: Record<string, string> = {};
      const told = [...TOLD];
      const answered: string[] = [];
      for (const command of await commandsOf('A tour with curl')) {
        const variable = /^([A-Z]+)=\.\.\./.exec(command)?.[1];
        if (variable !== undefined)
          ids[variable] = answered.at(command.includes('first answer') ? 0 : -1) ?? '';
        if (command.startsWith('npx jetledger ')) {
          const args = command.split(' ').slice(2);
          expect(await runCommand(args, own.variables)).toMatchObject({ code: 0, stderr: '' });
        }
        if (!command.startsWith('curl')) continue;
        const [status, json, head = /^HTTP/] = told.shift() ?? [];
        const run = async () => {
          const answer = await curl(started.url, command, ids);
          expect(answer, command).toMatchObject({ status, json, head: expect.stringMatching(head) });
          answered.push(String(answer.json.id));
        };
        // What is read shows it a moment later; what is sent is sent once.
        await (command.includes(' -d ')
          ? run()
          : vi.waitFor(run, { timeout: SHOWN_WITHIN_MS, interval: 200 }));
      }
      expect(told).toEqual([]);
    },
    60_000,
  );

  it('through every operation gives what it promises, from the first answer to the last row', async () => {
    const { url } = service;
    const shop = await openShop(url, 'tour');
    const user = `/v1/users/${shop.userId}`;
    const renamed = await must(200, url, 'PATCH', user, { name: 'Ada King' });
    expect(renamed.headers.get('etag')).toBe(`"${String(renamed.field('version'))}"`);
    await must(412, url, 'PATCH', user, { name: 'Late' }, { 'if-match': '"1"' });
    await must(200, url, 'POST', `${user}/email`, { email: 'king@example.com' });
    await must(201, url, 'POST', '/v1/users', { email: shop.email, name: 'Next' });
    await must(200, url, 'POST', `${user}/deactivate`, { reason: 'leaves' });
    await must(409, url, 'PATCH', user, { name: 'Nobody' });
    await must(200, url, 'POST', `${user}/reactivate`);
    await must(200, url, 'PATCH', `/v1/products/${shop.sku}`, { price: { amountMinor: 500 } });
    const cancelled = await must(200, url, 'POST', `/v1/orders/${shop.orderId}/cancel`, { reason: 'no' });
    const fresh = since(cancelled);

    const shown = await must(200, url, 'GET', user, undefined, fresh);
    expect(shown.body).toMatchObject({ name: 'Ada King', email: 'king@example.com', status: 'active' });
    const order = await must(200, url, 'GET', `/v1/orders/${shop.orderId}`, undefined, fresh);
    expect(order.body).toMatchObject({ status: 'cancelled', total: { amountMinor: 900, currency: 'EUR' } });
    const product = await must(200, url, 'GET', `/v1/products/${shop.sku}`, undefined, fresh);
    expect(product.body).toMatchObject({ price: { amountMinor: 500 }, onHand: 10 });
    const products = await must(200, url, 'GET', '/v1/products?limit=200', undefined, fresh);
    expect(products.field('items')).toContainEqual(product.body);
    const orders = await must(200, url, 'GET', `${user}/orders`, undefined, fresh);
    expect(orders.field('items')).toEqual([order.body]);
    const history = await must(200, url, 'GET', `/v1/orders/${shop.orderId}/events`);
    expect(history.field('items')).toMatchObject([{ type: 'OrderPlaced' }, { type: 'OrderCancelled' }]);

    await must(404, url, 'GET', '/v1/orders/nobody');
    await must(405, url, 'PUT', user);
    const problem = await must(400, url, 'POST', '/v1/users', { email: 'x@example.com', nmae: 'X' });
    expect(problem.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect((await must(200, url, 'GET', '/openapi.json')).field('openapi')).toMatch(/^3\.1/);
    expect((await fetch(`${url}/docs`)).headers.get('content-type')).toMatch(/^text\/html/);
  });

  it('of `jetledger demo` succeeds against a running service and with one of its own', async () => {
    await using own = await createDataDir();
    await using started = await startService(own.variables);
    const [joined, alone] = await Promise.all([
      runCommand(['demo'], { ...own.variables, JETLEDGER_HTTP__PORT: new URL(started.url).port }),
      runCommand(['demo'], { ...data.variables, JETLEDGER_HTTP__PORT: '1' }),
    ]);
    for (const { code, stdout, stderr } of [joined, alone]) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('Everything came out as expected.');
      for (const shown of SHOWN_BY_DEMO) expect(stdout).toMatch(shown);
    }
    expect(joined.stdout).toContain(`JetLedger at ${started.url}\n`);
    expect(alone.stdout).toContain('(started for this demo)');
  });
});

describe('`jetledger rebuild --all` while the service runs', () => {
  it('fails no read, changes no row, and loses nothing that is written meanwhile', async () => {
    const { url } = service;
    const shops: Shop[] = [];
    for (const n of [1, 2, 3]) shops.push(await openShop(url, `rebuilt-${n}`));
    const before = await Promise.all(shops.map((shop) => showShop(url, shop)));
    const writer = await must(201, url, 'POST', '/v1/users', { email: 'writer@example.com', name: 'Writer' });
    const userId = String(writer.field('id'));

    let over = false;
    const reader = async (shop: Shop): Promise<number> => {
      const expected = before[shops.indexOf(shop)];
      let reads = 0;
      // A failed read rejects, and so does one that shows something else.
      for (; !over; reads++) {
        expect(await showShop(url, shop)).toEqual(expected);
        await delay(PACE_MS);
      }
      return reads;
    };
    const placed: string[] = [];
    const orders = async (): Promise<void> => {
      while (!over) {
        const lines = [{ sku: shops[0]?.sku, quantity: 1 }];
        const body = { userId, lines, payment: PAYMENT };
        placed.unshift(String((await must(201, url, 'POST', '/v1/orders', body)).field('id')));
        await delay(PACE_MS);
      }
    };
    const rebuilding = runCommand(['rebuild', '--all'], data.variables, REBUILD_MS).finally(() => {
      over = true;
    });
    const reads = await Promise.all([...shops.map(reader), orders()]);
    const { code, stdout } = await rebuilding;
    expect(code).toBe(0);
    for (const view of ['users', 'products', 'orders', 'orders_by_user']) {
      expect(stdout).toMatch(new RegExp(`^${view}: now in jl_${view}_v[23]$`, 'm'));
    }
    expect(Math.min(...reads.map((count) => count ?? 1))).toBeGreaterThan(0);

    expect(await Promise.all(shops.map((shop) => showShop(url, shop)))).toEqual(before);
    const last = await must(201, url, 'POST', '/v1/orders', {
      userId,
      lines: [{ sku: shops[0]?.sku, quantity: 1 }],
      payment: PAYMENT,
    });
    placed.unshift(String(last.field('id')));
    const shown: unknown[] = [];
    for (let path = `/v1/users/${userId}/orders?limit=200`; path !== ''; ) {
      const page = await must(200, url, 'GET', path, undefined, since(last));
      const items = page.field('items');
      if (Array.isArray(items))
        for (const index of items.keys()) shown.push(page.field('items', index, 'id'));
      path = /<(.+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1] ?? '';
    }
    expect(shown).toEqual(placed);
    expect((await ask(url, 'GET', '/health/ready')).status).toBe(200);
  }, 60_000);
});

describe('the command line', () => {
  it('`config` prints what is in force, with secrets masked', async () => {
    const secrets = {
      JETLEDGER_USERS__EMAIL_KEY: 'c3'.repeat(32),
      JETLEDGER_NATS__TOKEN: 'opensesame',
      NATS_URL: 'nats://ada:hunter2@example.com:4222',
    };
    const [text, json] = await Promise.all([
      runCommand(['config'], secrets),
      runCommand(['config', '--json'], secrets),
    ]);
    expect(JSON.parse(json.stdout)).toMatchObject({ environment: 'development', http: { port: 0 } });
    for (const { code, stdout } of [text, json]) {
      expect(code).toBe(0);
      expect(stdout).toContain('example.com:4222');
      expect(stdout).not.toMatch(/c3c3|opensesame|hunter2/);
    }
  });

  it('explains its commands, and answers a wrong one with 2', async () => {
    const overview = await runCommand(['help']);
    const names = [...overview.stdout.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1] ?? '');
    expect(names).toEqual(expect.arrayContaining(['serve', 'demo', 'topology', 'rebuild', 'config', 'help']));
    // test/unit/cli/reference.test.ts asks for the help of every command; here a process of its own prints it.
    for (const name of ['serve', 'rebuild']) {
      const { code, stdout } = await runCommand(['help', name]);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: jetledger ${name}[^]*Examples?:`));
    }
    const wrong = [['nonsense'], ['rebuild', '--al'], ['serve', '--port']];
    const refused = await Promise.all(wrong.map((args) => runCommand(args, data.variables)));
    for (const { code, stderr } of refused) {
      expect(code).toBe(2);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    }
  }, 60_000);
});
