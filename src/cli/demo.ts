import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { styleText } from 'node:util';
import { pino } from 'pino';
import { type Config, ROLES } from '../platform/config/schema.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';
import { startService } from '../service/start.ts';
import type { Command } from './command.ts';

/** An answer of the service, its body parsed. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // The demo prints what it gets and checks single fields by path.
  readonly body: unknown;
}

/** Tells a story of requests and counts what did not come out as expected. */
export interface Story {
  chapter(title: string): void;
  /** A request, shown with its answer. */
  ask(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    /** True for a repetition that is not worth showing. */
    quiet?: boolean,
  ): Promise<Answer>;
  /** Something that must hold for the demo to succeed. */
  expect(what: string, holds: boolean): void;
  /** A quiet line. */
  note(text: string): void;
  readonly failures: number;
}

const TIMEOUT_MS = 10_000;

export function tellStory(baseUrl: string, print: (line: string) => void): Story {
  let failures = 0;
  return {
    get failures() {
      return failures;
    },
    chapter: (title) => print(`\n${styleText('bold', styleText('cyan', title))}`),
    note: (text) => print(styleText('gray', `    ${text}`)),
    ask: async (method, path, body, headers = {}, quiet = false) => {
      const response = await fetch(`${baseUrl}${path}`, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const answer = {
        status: response.status,
        headers: response.headers,
        body: (await response.json()) as unknown,
      };
      if (quiet) return answer;
      const colour = response.ok ? 'green' : 'yellow';
      print(`  ${styleText('bold', method)} ${path}  ${styleText(colour, String(response.status))}`);
      if (body !== undefined) print(styleText('gray', `    sent ${JSON.stringify(body)}`));
      print(styleText('gray', `    got  ${JSON.stringify(answer.body)}`));
      return answer;
    },
    expect: (what, holds) => {
      if (!holds) failures++;
      print(
        holds
          ? styleText('green', `    ok   ${what}`)
          : styleText('bold', styleText('red', `    FAIL ${what}`)),
      );
    },
  };
}

/** A field of a parsed body, `undefined` where the path leads nowhere: `at(body, 'price', 'amountMinor')`. */
export function at(body: unknown, ...path: readonly (string | number)[]): unknown {
  let value = body;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

interface Shop {
  /** Tells runs apart, so that the demo can be repeated on the same data. */
  readonly run: string;
  readonly story: Story;
  readonly userId: string;
  readonly tea: string;
  readonly cup: string;
}

const FINAL_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 100;

/** Tells the whole story; what does not come out as expected is counted by the story. */
export async function tour(story: Story): Promise<void> {
  const run = randomBytes(4).toString('hex');
  const userId = await people(story, run);
  const [tea, cup] = await catalogue(story, run);
  const shop: Shop = { run, story, userId, tea, cup };
  const orderId = await confirmed(shop);
  await failures(shop);
  await refund(shop, orderId);
  await refusals(shop);
  await whatIsStored(shop, orderId);
}

async function people(story: Story, run: string): Promise<string> {
  story.chapter('1. A user registers; the address is unique');
  const email = `Ada.${run}@Example.com`;
  const created = await story.ask('POST', '/v1/users', { email, name: 'Ada' });
  story.expect('the user is created', created.status === 201);
  story.note(`ETag ${created.headers.get('etag')}, Location ${created.headers.get('location')}`);
  const twin = await story.ask('POST', '/v1/users', { email: email.toLowerCase(), name: 'Bob' });
  story.expect('the same address in other letters is refused', twin.status === 409);
  return String(at(created.body, 'id'));
}

async function catalogue(story: Story, run: string): Promise<[string, string]> {
  story.chapter('2. Products are listed and stock arrives');
  const list = async (name: string, amountMinor: number): Promise<string> => {
    const sku = `${name}-${run}`.toUpperCase();
    const product = { sku, name, price: { amountMinor, currency: 'EUR' } };
    const listed = await story.ask('POST', '/v1/products', product);
    story.expect(`${sku} is listed`, listed.status === 201);
    const receipt = { receiptId: `delivery-${run}`, quantity: 10 };
    const stock = await story.ask('POST', `/v1/products/${sku}/stock`, receipt);
    story.expect('10 pieces are on hand', at(stock.body, 'onHand') === 10);
    return sku;
  };
  return [await list('Tea', 450), await list('Cup', 1_200)];
}

async function confirmed({ story, run, userId, tea, cup }: Shop): Promise<string> {
  story.chapter('3. An order goes through: customer, stock, payment, confirmed');
  const lines = [
    { sku: tea, quantity: 1 },
    { sku: cup, quantity: 2 },
  ];
  const key = { 'idempotency-key': `order-${run}` };
  const placed = await story.ask('POST', '/v1/orders', { userId, lines }, key);
  const orderId = String(at(placed.body, 'id'));
  story.expect(
    'the order is placed, total 450 + 2 x 1,200',
    at(placed.body, 'total', 'amountMinor') === 2_850,
  );
  const again = await story.ask('POST', '/v1/orders', { userId, lines }, key);
  story.expect('the same key gives the same order', at(again.body, 'id') === orderId && again.status === 201);
  const order = await outcome(story, orderId, placed);
  story.expect('it is confirmed', at(order, 'status') === 'confirmed');
  return orderId;
}

async function failures({ story, run, userId, tea, cup }: Shop): Promise<void> {
  story.chapter('4. Three orders fail, one at each step; what was reserved is given back');
  const one = [{ sku: tea, quantity: 1 }];
  await fails(story, 'customer_validation', [], { userId: `nobody-${run}`, lines: one });
  const tooMany = [...one, { sku: cup, quantity: 99 }];
  await fails(story, 'inventory', ['OrderStockReleased'], { userId, lines: tooMany });
  const declined = { userId, lines: one, payment: { token: 'tok_declined' } };
  await fails(story, 'payment', ['OrderStockReleased', 'PaymentCancelled'], declined);
  const product = await settled(story, `/v1/products/${tea}`, (body) => at(body, 'reserved') === 1);
  story.expect('only the confirmed order still holds tea', at(product, 'reserved') === 1);
}

/** Places an order that fails at a step, and sees what was taken given back: the events `compensation` names. */
async function fails(
  story: Story,
  step: string,
  compensation: readonly string[],
  request: object,
): Promise<void> {
  const placed = await story.ask('POST', '/v1/orders', request);
  const orderId = String(at(placed.body, 'id'));
  const order = await outcome(story, orderId, placed);
  story.expect(
    `it is rejected at the step ${step}`,
    at(order, 'status') === 'rejected' && at(order, 'step') === step,
  );
  story.note(`reason: ${JSON.stringify(at(order, 'reason'))}`);
  if (compensation.length === 0) return;
  const givenBack = (body: unknown) => compensation.every((type) => typesIn(body).includes(type));
  const settledOrder = await settled(story, `/v1/orders/${orderId}`, givenBack);
  story.expect(`what was taken is given back: ${compensation.join(', ')}`, givenBack(settledOrder));
}

async function refund({ story, tea }: Shop, orderId: string): Promise<void> {
  story.chapter('5. The parcel is lost: the shop refunds the order and writes its goods off');
  const shipped = await story.ask('POST', `/v1/orders/${orderId}/ship`, { tracking: 'T-1' });
  story.expect('it is shipped', at(shipped.body, 'status') === 'shipped');
  const asked = { reason: 'The parcel was lost', restock: false };
  const granted = await story.ask('POST', `/v1/orders/${orderId}/refund`, asked);
  story.expect('the refund is granted', at(granted.body, 'status') === 'refunded');
  const repaid = (body: unknown) => at(body, 'payment', 'status') === 'refunded';
  story.expect('the money is given back', repaid(await settled(story, `/v1/orders/${orderId}`, repaid)));
  const gone = (body: unknown) => at(body, 'onHand') === 9 && at(body, 'reserved') === 0;
  const product = await settled(story, `/v1/products/${tea}`, gone);
  story.expect('9 of 10 pieces of tea are left, none reserved', gone(product));
}

/** The types of the events in the timeline of an order. */
function typesIn(order: unknown): readonly unknown[] {
  const timeline = at(order, 'timeline');
  return Array.isArray(timeline) ? timeline.map((entry) => at(entry, 'type')) : [];
}

/** Asks for the order until it is no longer on its way. */
async function outcome(story: Story, orderId: string, placed: Answer): Promise<unknown> {
  const fresh = { 'min-position': String(at(placed.body, 'position')), prefer: 'wait=5' };
  const giveUpAt = Date.now() + FINAL_WITHIN_MS;
  let order = await story.ask('GET', `/v1/orders/${orderId}`, undefined, fresh);
  while (at(order.body, 'status') === 'placed' && Date.now() < giveUpAt) {
    await sleep(LOOK_EVERY_MS);
    order = await story.ask(
      'GET',
      `/v1/orders/${orderId}`,
      undefined,
      {},
      at(order.body, 'status') === 'placed',
    );
  }
  story.note(typesIn(order.body).join(' -> '));
  return order.body;
}

/** What a path shows once it is as expected, or as it is when the time is up. */
async function settled(story: Story, path: string, holds: (body: unknown) => boolean): Promise<unknown> {
  const giveUpAt = Date.now() + FINAL_WITHIN_MS;
  let answer = await story.ask('GET', path);
  while (!holds(answer.body) && Date.now() < giveUpAt) {
    await sleep(LOOK_EVERY_MS);
    answer = await story.ask('GET', path, undefined, {}, true);
  }
  return answer.body;
}

async function refusals({ story, run, userId, tea }: Shop): Promise<void> {
  story.chapter('6. What is wrong is refused, and the answer says what to do');
  const lines = [{ sku: `NO-${run}`.toUpperCase(), quantity: 1 }];
  const unknown = await story.ask('POST', '/v1/orders', { userId, lines });
  story.expect('an unknown product', unknown.status === 422);
  const stale = await story.ask('PATCH', `/v1/products/${tea}`, { name: 'Green tea' }, { 'if-match': '"1"' });
  story.expect('a change of a version that is gone', stale.status === 412);
  const typo = await story.ask('POST', '/v1/users', { email: `x.${run}@example.com`, nmae: 'X' });
  story.expect('a misspelt field, by name', typo.status === 400);
}

async function whatIsStored({ story, userId, tea }: Shop, orderId: string): Promise<void> {
  story.chapter('7. What is stored: events; what is shown: read models built from them');
  const history = await story.ask('GET', `/v1/orders/${orderId}/events`);
  story.expect('the order is its events', at(history.body, 'items', 0, 'type') === 'OrderPlaced');
  const position = String(at(history.body, 'items', 0, 'position'));
  const fresh = { 'min-position': position, prefer: 'wait=5' };
  const product = await story.ask('GET', `/v1/products/${tea}`, undefined, fresh);
  story.expect('the product is in the catalogue', product.status === 200);
  const user = await story.ask('GET', `/v1/users/${userId}`, undefined, fresh);
  story.expect('the user is there', at(user.body, 'name') === 'Ada');
  const list = await story.ask('GET', `/v1/users/${userId}/orders?limit=10`, undefined, fresh);
  const items = at(list.body, 'items');
  const found = Array.isArray(items) && items.some((order) => at(order, 'id') === orderId);
  story.expect("the user's orders are listed", found);
}

export const demoCommand: Command = {
  name: 'demo',
  usage: '',
  summary:
    'Register users, list products, place orders that succeed and fail, refund one, show what was stored.',
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
    service: { ...config.service, roles: ROLES.join(',') },
    http: { ...config.http, host: '127.0.0.1', port: 0 },
    nats: { ...config.nats, url: '', embedded: { dataDir, port: -1, binary } },
    lists: { dir: '' },
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
