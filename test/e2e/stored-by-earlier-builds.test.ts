import { execFile } from 'node:child_process';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import {
  createDataDir,
  type DataDir,
  runCommand,
  startService,
  stopService,
  type Variables,
} from '../support/service-process.ts';
import { ask, must } from './client.ts';
import { PAYMENT, STILL_ORDERS } from './shop.ts';

/** What a client keeps of an answer; `text` is its body, byte for byte. */
interface Kept {
  readonly status: number;
  readonly text: string;
  readonly etag?: string;
  readonly position?: string;
  readonly location?: string;
  readonly link?: string;
}
type Read = Kept & { readonly path: string };
interface Keyed {
  readonly path: string;
  readonly key: string;
  readonly body: Readonly<Record<string, unknown>>;
}
/** A request, what it was answered, and a body that was never sent with its key. */
type Repeat = Keyed & { readonly answer: Kept; readonly other: Keyed['body'] };
/** What `make.mjs` writes down. */
interface Expected {
  readonly users: Readonly<Record<'ada' | 'bea' | 'bert', string>>;
  readonly orders: Readonly<Record<'confirmed' | 'redriven' | 'discarded' | 'open', string>>;
  readonly abandoned: Keyed;
  readonly pending: Keyed;
  readonly reads: readonly Read[];
  readonly repeats: readonly Repeat[];
}

const FIXTURE = fileURLToPath(new URL('../fixtures/stored', import.meta.url));
/** Every snapshot that is loaded is compared with the log. */
const STILL = { ...STILL_ORDERS, JETLEDGER_SNAPSHOTS__VERIFY_SHARE: '1' };
const VIEWS = ['users', 'customers', 'products', 'orders', 'orders_by_user', 'statistics'];
const COMMAND_MS = 60_000;

/** Lists whose index is another one since: its pages are compared as a whole, since its cursors are its own. */
const isIndexed = ({ path }: Pick<Read, 'path'>) => /^\/v1\/(orders|products)\?/.test(path);
const hasCursor = ({ path }: Pick<Read, 'path'>) => path.includes('cursor=');
const itemsIn = (text: string) => (JSON.parse(text) as { readonly items: readonly unknown[] }).items;

async function expectedNow(): Promise<Expected & { readonly formerCursors: readonly Read[] }> {
  const expected = JSON.parse(await readFile(join(FIXTURE, 'expected.json'), 'utf8')) as Expected;
  const pages = expected.reads.filter(isIndexed);
  const whole = ({ path }: Read): Read => {
    const own = pages.filter((page) => page.path === path || page.path.startsWith(`${path}&cursor=`));
    return { path, status: 200, text: JSON.stringify(own.flatMap(({ text }) => itemsIn(text))) };
  };
  const formerCursors = pages.filter(hasCursor);
  const reads = expected.reads.filter((read) => !formerCursors.includes(read));
  return { ...expected, reads: reads.map((read) => (isIndexed(read) ? whole(read) : read)), formerCursors };
}

/** All pages of a list, one after the other. */
async function readPages(url: string, path: string): Promise<Kept> {
  const items: unknown[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const { status, text, link }: Kept = await kept(url, 'GET', next, { headers: { prefer: 'wait=10' } });
    if (status !== 200) return { status, text };
    items.push(...itemsIn(text));
    next = link?.match(/<([^>]+)>; rel="next"/)?.[1];
  }
  return { status: 200, text: JSON.stringify(items) };
}

const unpack = (name: string, folder: string) =>
  promisify(execFile)('tar', ['-xzf', join(FIXTURE, name), '-C', folder]);

const keyOf = (key: string) => ({ 'idempotency-key': key });

async function kept(
  url: string,
  method: string,
  path: string,
  more: Parameters<typeof fetch>[1],
): Promise<Kept> {
  const response = await fetch(`${url}${path}`, { method, ...more });
  const of = (name: string) => {
    const value = response.headers.get(name);
    return value === null ? {} : { [name]: value };
  };
  const headers = { ...of('etag'), ...of('position'), ...of('location'), ...of('link') };
  return { status: response.status, ...headers, text: await response.text() };
}

/** Reads as the earlier build was asked, one after the other. */
async function readAll(url: string, reads: readonly Read[]): Promise<Read[]> {
  const answers: Read[] = [];
  for (const { path } of reads) {
    const asked = { headers: { prefer: 'wait=10' } };
    answers.push({
      path,
      ...(await (isIndexed({ path }) ? readPages(url, path) : kept(url, 'GET', path, asked))),
    });
  }
  return answers;
}

async function repeatAll(url: string, repeats: readonly Repeat[]): Promise<Repeat[]> {
  const answers: Repeat[] = [];
  for (const { path, key, body, other } of repeats) {
    const headers = { ...keyOf(key), 'content-type': 'application/json' };
    const answer = await kept(url, 'POST', path, { headers, body: JSON.stringify(body) });
    answers.push({ path, key, body, other, answer });
  }
  return answers;
}

const repeat = (status: number, url: string, { path, key, body }: Keyed) =>
  must(status, url, 'POST', path, body, keyOf(key));

/** Runs a command that must succeed. */
async function run(data: DataDir, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(args, data.variables, COMMAND_MS);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

/** Serves with these settings until `work` is done, and finds no trouble in what the service has logged. */
async function serving(
  data: DataDir,
  more: Variables,
  work: (url: string) => Promise<void>,
): Promise<string> {
  await using service = await startService({ ...data.variables, ...more });
  await work(service.url);
  const { stdout } = await stopService(service);
  expect(stdout).not.toMatch(/"level":(50|60)/);
  return stdout;
}

async function refusals(url: string, { repeats, abandoned }: Expected): Promise<void> {
  for (const { path, key, other } of repeats) {
    const answer = await must(422, url, 'POST', path, other, keyOf(key));
    expect(answer.field('code')).toBe('idempotency/key-reused');
  }
  for (const email of [
    'ADA@example.com',
    'beatrice@example.com',
    'bea@example.com',
    'abandoned@example.com',
  ]) {
    const twin = await must(409, url, 'POST', '/v1/users', { email, name: 'Twin' });
    expect(twin.field('code')).toBe('user/email-taken');
  }
  expect((await repeat(409, url, abandoned)).field('code')).toBe('user/email-taken');
}

/** Commands that do not need the order process, on aggregates of the earlier build. */
async function goesOn(url: string, { users, reads, pending }: Expected, last: number): Promise<void> {
  // The first commit since: neither opening, nor reading, nor a repeat, nor a refusal has stored anything.
  const registered = await repeat(201, url, pending);
  expect([registered.field('position'), registered.field('email')]).toEqual([
    last + 1,
    'pending@example.com',
  ]);
  const path = `/v1/users/${users.ada}`;
  const ifMatch = { 'if-match': reads.find((read) => read.path === path)?.etag ?? '' };
  const renamed = await must(200, url, 'PATCH', path, { name: 'Ada King' }, ifMatch);
  expect([renamed.field('name'), renamed.field('email')]).toEqual(['Ada King', 'ada@example.com']);
  await must(412, url, 'PATCH', path, { name: 'Ada Queen' }, ifMatch);
  const stock = (receiptId: string, quantity: number) =>
    must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId, quantity });
  const before = await stock('TEA-7', 10);
  expect(before.headers.get('etag')).toBe(reads.find((read) => read.path === '/v1/products/TEA')?.etag);
  const after = await stock('TEA-100', 5);
  expect(after.field('onHand')).toBe(Number(before.field('onHand')) + 5);
}

const typesOf = async (url: string, orderId: string) => {
  const { body } = await must(200, url, 'GET', `/v1/orders/${orderId}/events`);
  return (body as { items: { type: string }[] }).items.map(({ type }) => type);
};

/** What was under way when the earlier build stopped comes to its end. */
async function comesToItsEnd(url: string, { orders }: Expected): Promise<void> {
  const { body } = await must(200, url, 'GET', '/v1/admin/consumers');
  const paused = (body as { items: { consumer: string; paused: boolean }[] }).items.filter(
    (one) => one.paused,
  );
  expect(paused.map(({ consumer }) => consumer)).toEqual(['stock-watch']);
  await must(200, url, 'POST', '/v1/admin/consumers/stock-watch/resume', {});

  const mark = (action: string, id: string) =>
    must(200, url, 'POST', `/v1/admin/parked/${action}`, { filter: { id } });
  await mark('redrive', orders.redriven);
  await mark('discard', orders.discarded);
  await until('there is no dead letter left', async () => {
    const left = await must(200, url, 'GET', '/v1/admin/parked');
    return (left.body as { items: unknown[] }).items.length === 0;
  });
  expect(await typesOf(url, orders.redriven)).toContain('PaymentRefunded');
  expect(await typesOf(url, orders.discarded)).not.toContain('PaymentRefunded');

  // Its deadline was armed by the earlier build.
  const open = () => ask(url, 'GET', `/v1/orders/${orders.open}?consistency=strong`);
  await until('the open order has expired', async () => (await open()).field('status') === 'rejected');
  expect((await open()).field('reason', 'code')).toBe('payment/expired');
  await until('its stock is given back', async () =>
    (await typesOf(url, orders.open)).includes('OrderStockReleased'),
  );
}

/** @returns the id of a new order */
async function sells(url: string, { users, orders }: Expected): Promise<string> {
  const order = { userId: users.bert, lines: [{ sku: 'TEA', quantity: 2 }], payment: PAYMENT };
  const placed = await must(201, url, 'POST', '/v1/orders', order, { prefer: 'wait=10' });
  expect(placed.field('status')).toBe('confirmed');
  const list = await must(200, url, 'GET', `/v1/users/${users.bert}/orders?limit=1`, undefined, {
    prefer: 'wait=10',
  });
  expect(list.field('items', 0, 'id')).toBe(placed.field('id'));
  await must(200, url, 'POST', `/v1/orders/${orders.confirmed}/ship`, {});
  const delivered = await must(200, url, 'POST', `/v1/orders/${orders.confirmed}/deliver`, {});
  expect(delivered.field('status')).toBe('delivered');
  return String(placed.field('id'));
}

/** Without what names the log's incarnation: a restored log has another one, and refuses the old one's. */
function ofAnyIncarnation<T extends Kept>({ position, link, text, ...rest }: T) {
  return { ...rest, position: position?.split('@')[0], text: text.replace(/,"next":"[^"]*"}$/, '}') };
}

/** A view of another version is served as it was until the new one is filled: what differs until then is not compared. */
async function viewsOfThisBuild(url: string, reads: readonly Read[]): Promise<void> {
  const lists = reads.filter(({ path }) => path.startsWith('/v1/orders?status='));
  expect(lists.length).toBeGreaterThan(0);
  await until('the rows of orders are those of this build', async () =>
    isDeepStrictEqual(await readAll(url, lists), lists),
  );
}

const namesIncarnation = ({ path }: Read) =>
  /minPosition=|cursor=/.test(path) && !path.startsWith('/v1/admin/');

describe('what an earlier build stored', () => {
  it('is answered the same, goes on, and comes to its end', async () => {
    await using data = await createDataDir();
    await Promise.all([unpack('data.tgz', data.path), unpack('backup.tgz', data.path)]);
    const backup = join(data.path, 'backup');
    const manifest = JSON.parse(await readFile(join(backup, 'manifest.json'), 'utf8')) as {
      log: { last: number };
    };
    const expected = await expectedNow();
    const { reads, repeats, formerCursors } = expected;
    expect(formerCursors.length).toBeGreaterThan(0);

    await serving(data, STILL, async (url) => {
      await viewsOfThisBuild(url, reads);
      for (const { path } of formerCursors) expect((await ask(url, 'GET', path)).status).toBe(400);
      expect(await readAll(url, reads)).toEqual(reads);
      expect(await repeatAll(url, repeats)).toEqual(repeats);
      await refusals(url, expected);
      // Each stands idle for seconds around its switch, so all of them at once.
      const rebuilt = await Promise.all(VIEWS.map((view) => run(data, 'rebuild', view, '--diff')));
      for (const output of rebuilt) expect(output).toContain('rows compared, 0 differ, 0 changed');
      expect(await readAll(url, reads)).toEqual(reads);
      await goesOn(url, expected, manifest.log.last);
    });

    let sold = '';
    const log = await serving(data, {}, async (url) => {
      await comesToItsEnd(url, expected);
      sold = await sells(url, expected);
      // The history that the backup holds stands unchanged below what came since.
      expect(await run(data, 'verify', backup, '--live')).toContain(`up to position ${manifest.log.last}.`);
      expect(await run(data, 'verify', '--live')).toContain('Whole up to position');
    });
    expect(log).toMatch(new RegExp(`"kind":"order-confirmed".*"orderId":"${sold}"`));
  }, 120_000);

  it('comes back from its backup, and is answered the same', async () => {
    await using old = await createDataDir();
    await using fresh = await createDataDir();
    await Promise.all([unpack('data.tgz', old.path), unpack('backup.tgz', old.path)]);
    await copyFile(join(old.path, 'email.key'), join(fresh.path, 'email.key'));
    const backup = join(old.path, 'backup');
    const expected = await expectedNow();

    expect(await run(fresh, 'verify', backup)).toContain('Whole up to position');
    await run(fresh, 'restore', backup);
    await serving(fresh, STILL, async (url) => {
      const reads = expected.reads.filter((read) => !namesIncarnation(read));
      expect((await readAll(url, reads)).map(ofAnyIncarnation)).toEqual(reads.map(ofAnyIncarnation));
      for (const { path } of expected.reads.filter(namesIncarnation))
        expect((await ask(url, 'GET', path)).status).toBe(path.includes('cursor=') ? 400 : 412);
      const answers = await repeatAll(url, expected.repeats);
      const bare = ({ answer, ...rest }: Repeat) => ({
        ...rest,
        answer: ofAnyIncarnation(answer),
      });
      expect(answers.map(bare)).toEqual(expected.repeats.map(bare));
      await refusals(url, expected);
      expect(await run(fresh, 'verify', backup, '--live')).toContain('Equal on both sides');
    });
  }, 120_000);
});
