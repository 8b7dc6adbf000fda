import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { pino } from 'pino';
import { startService } from '../main.ts';
import type { Config } from '../platform/config/schema.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';
import type { Command } from './command.ts';
import { at, type Story, tellStory } from './demo-client.ts';

export const demoCommand: Command = {
  name: 'demo',
  usage: '',
  summary: 'Register a user, list products, place orders, and show what was stored.',
  help: `Uses the service that runs at the configured address; without one it starts one of its own, with data in a
temporary folder that is removed at the end. Exits with 0 only if everything came out as expected.

Example:
  jetledger demo`,
  run: async (_args, { config, print }) => {
    const running = await findService(config());
    const service =
      running === undefined
        ? await ownService(config(), print)
        : { url: running, stop: async () => undefined };
    print(`JetLedger at ${service.url}${running === undefined ? ' (started for this demo)' : ''}`);
    try {
      const story = tellStory(service.url, print);
      await tour(story);
      const verdict =
        story.failures === 0
          ? styleText('green', 'Everything came out as expected.')
          : styleText('red', `${story.failures} expectation(s) failed.`);
      print(`\n${verdict}`);
      return story.failures === 0 ? 0 : 1;
    } finally {
      await service.stop();
    }
  },
};

async function findService({ http }: Config): Promise<string | undefined> {
  const host = http.host === '0.0.0.0' ? '127.0.0.1' : http.host;
  const url = `http://${host}:${http.port}`;
  try {
    const response = await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(1_000) });
    return response.ok && at(await response.json(), 'status') === 'live' ? url : undefined;
  } catch {
    return undefined;
  }
}

async function ownService(config: Config, print: (line: string) => void) {
  const dataDir = await mkdtemp(join(tmpdir(), 'jetledger-demo-'));
  print('No service is running; starting one with NATS.');
  const { dataDir: usualDir, binary: explicit } = config.nats.embedded;
  const onProgress = print;
  // The program itself is looked for where `serve` keeps it, so that it is fetched once.
  const binary = (await resolveNatsServer({ explicit, cacheDir: join(usualDir, 'nats-server'), onProgress }))
    .path;
  const own: Config = {
    ...config,
    http: { ...config.http, host: '127.0.0.1', port: 0 },
    nats: { ...config.nats, url: '', embedded: { dataDir, port: -1, binary } },
  };
  const service = await startService(own, pino({ level: 'error' }));
  return {
    url: service.url,
    stop: async () => {
      await service.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function tour(story: Story): Promise<void> {
  // Every run makes its own user and products, so that the demo can be repeated on the same data.
  const run = randomBytes(4).toString('hex');
  const userId = await people(story, run);
  const skus = await catalogue(story, run);
  const orderId = await orders(story, run, userId, skus);
  await refusals(story, run, userId, skus);
  await readModels(story, userId, orderId, skus);
}

async function people(story: Story, run: string): Promise<string> {
  story.chapter('1. A user registers; the address is unique');
  const email = `Ada.${run}@Example.com`;
  const created = await story.ask('POST', '/v1/users', { email, name: 'Ada' });
  const userId = String(at(created.body, 'id'));
  story.expect('the user is created', created.status === 201);
  story.note(`ETag ${created.headers.get('etag')}, Location ${created.headers.get('location')}`);
  const twin = await story.ask('POST', '/v1/users', { email: email.toLowerCase(), name: 'Bob' });
  story.expect('the same address in other letters is refused', twin.status === 409);
  return userId;
}

async function catalogue(story: Story, run: string): Promise<string[]> {
  story.chapter('2. Products are listed and stock arrives');
  const skus: string[] = [];
  for (const [name, amountMinor] of [
    ['Tea', 450],
    ['Cup', 1_200],
  ] as const) {
    const sku = `${name}-${run}`.toUpperCase();
    skus.push(sku);
    const listed = await story.ask('POST', '/v1/products', {
      sku,
      name,
      price: { amountMinor, currency: 'EUR' },
    });
    story.expect(`${sku} is listed`, listed.status === 201);
    const stock = await story.ask('POST', `/v1/products/${sku}/stock`, {
      receiptId: `delivery-${run}`,
      quantity: 10,
    });
    story.expect('10 pieces are on hand', at(stock.body, 'onHand') === 10);
  }
  return skus;
}

async function orders(story: Story, run: string, userId: string, skus: readonly string[]): Promise<string> {
  story.chapter('3. An order is placed; its key makes it safe to repeat');
  const lines = skus.map((sku, index) => ({ sku, quantity: index + 1 }));
  const key = { 'idempotency-key': `order-${run}` };
  const placed = await story.ask('POST', '/v1/orders', { userId, lines }, key);
  const orderId = String(at(placed.body, 'id'));
  story.expect(
    'the order is placed, total 450 + 2 x 1,200',
    at(placed.body, 'total', 'amountMinor') === 2_850,
  );
  const again = await story.ask('POST', '/v1/orders', { userId, lines }, key);
  story.expect('the same key gives the same order', at(again.body, 'id') === orderId && again.status === 201);
  const second = await story.ask('POST', '/v1/orders', { userId, lines: lines.slice(0, 1) });
  const secondId = String(at(second.body, 'id'));
  const cancelled = await story.ask('POST', `/v1/orders/${secondId}/cancel`, { reason: 'changed my mind' });
  story.expect('a second order is placed and cancelled', at(cancelled.body, 'status') === 'cancelled');
  return orderId;
}

async function refusals(story: Story, run: string, userId: string, skus: readonly string[]): Promise<void> {
  story.chapter('4. What is wrong is refused, and the answer says what to do');
  const unknown = await story.ask('POST', '/v1/orders', {
    userId,
    lines: [{ sku: `NO-${run}`.toUpperCase(), quantity: 1 }],
  });
  story.expect('an unknown product', unknown.status === 422);
  const stale = await story.ask(
    'PATCH',
    `/v1/products/${skus[0]}`,
    { name: 'Green tea' },
    { 'if-match': '"1"' },
  );
  story.expect('a change of a version that is gone', stale.status === 412);
  const typo = await story.ask('POST', '/v1/users', { email: `x.${run}@example.com`, nmae: 'X' });
  story.expect('a misspelt field, by name', typo.status === 400);
}

async function readModels(
  story: Story,
  userId: string,
  orderId: string,
  skus: readonly string[],
): Promise<void> {
  story.chapter('5. What is stored: events; what is shown: read models built from them');
  const history = await story.ask('GET', `/v1/orders/${orderId}/events`);
  story.expect('the order is its events', at(history.body, 'items', 0, 'type') === 'OrderPlaced');
  const position = String(at(history.body, 'items', 0, 'position'));
  const fresh = { 'min-position': position, prefer: 'wait=5' };
  const order = await story.ask('GET', `/v1/orders/${orderId}`, undefined, fresh);
  story.expect('the read model shows the order at its position', at(order.body, 'status') === 'placed');
  const product = await story.ask('GET', `/v1/products/${skus[0]}`, undefined, fresh);
  story.expect('the product is in the catalogue', product.status === 200);
  const user = await story.ask('GET', `/v1/users/${userId}`, undefined, fresh);
  story.expect('the user is there', at(user.body, 'name') === 'Ada');
  const list = await story.ask('GET', `/v1/users/${userId}/orders?limit=10`, undefined, fresh);
  const items = at(list.body, 'items');
  story.expect(
    "the user's orders are listed",
    Array.isArray(items) && items.some((o) => at(o, 'id') === orderId),
  );
}
