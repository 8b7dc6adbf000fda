import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import { findChromium, launchChromium } from '../support/chromium.ts';
import {
  createDataDir,
  type DataDir,
  type ServiceProcess,
  startService,
} from '../support/service-process.ts';
import { type Answer, ask, must } from './client.ts';
import { openShop, type Shop } from './shop.ts';

const found = await findChromium();
const { path } = found;
// Never silently: in the CI a missing browser is a failure.
const needed = path !== undefined || (process.env.CI ?? '') !== '';
const reason = path === undefined ? ` (NOT RUN, there is no browser: ${found.missing})` : '';

const EVIL = '<img src=x onerror="globalThis.hacked = true">';
const WAIT_MS = 10_000;

let data: DataDir;
let service: ServiceProcess;
let browser: Browser | undefined;
let shop: Shop;
let declined: { readonly orderId: string; readonly traceId: string };
let confirmed: { readonly orderId: string; readonly traceId: string };

const traceIdOf = ({ headers }: Answer): string => headers.get('traceparent')?.split('-')[1] ?? '';

/** Places an order and waits until its trace holds its last step, and the notification that follows it. */
async function placeOrder(token: string, lastStep: string): Promise<typeof declined> {
  const lines = [{ sku: shop.sku, quantity: 1 }];
  const order = { userId: shop.userId, lines, payment: { token } };
  const placed = await must(201, service.url, 'POST', '/v1/orders', order);
  const traceId = traceIdOf(placed);
  await until(
    `the trace has ${lastStep}`,
    async () => {
      const { body } = await ask(service.url, 'GET', `/dev/traces/${traceId}.json`);
      const names = ((body as { spans?: { name: string }[] }).spans ?? []).map(({ name }) => name);
      return names.includes(lastStep) && names.includes('process notification');
    },
    WAIT_MS,
  );
  return { orderId: String(placed.field('id')), traceId };
}

beforeAll(async () => {
  data = await createDataDir();
  const launched = path === undefined ? undefined : launchChromium(path);
  service = await startService(data.variables);
  browser = await launched;
  shop = await openShop(service.url, 'traced');
  declined = await placeOrder('tok_declined', 'authorize_payment');
  confirmed = await placeOrder('tok_success', 'confirm');
});
afterAll(async () => {
  await browser?.close();
  await service[Symbol.asyncDispose]();
  await data[Symbol.asyncDispose]();
});

it('the traces as data say which step of an order failed, and why', async () => {
  expect(service.output().stdout).toContain(`the last traces are at ${service.url}/dev/traces`);
  const list = (await must(200, service.url, 'GET', '/dev/traces.json?limit=1000')).body as {
    traces: { traceId: string }[];
  };
  const summary = (wanted: string) => list.traces.find(({ traceId }) => traceId === wanted);
  expect(summary(declined.traceId)).toMatchObject({
    name: 'POST /v1/orders',
    answer: '201',
    error: true,
    failed: { name: 'authorize_payment', reason: 'The card was declined.' },
    parts: expect.arrayContaining(['api', 'order-process', 'projections']),
    ids: expect.arrayContaining([declined.orderId]),
  });
  expect(summary(confirmed.traceId)).toMatchObject({ answer: '201', error: false });
  const { body } = await must(200, service.url, 'GET', `/dev/traces/${declined.traceId}.json`);
  const failed = (body as { spans: { status: string }[] }).spans.filter(({ status }) => status === 'error');
  expect(failed).toMatchObject([
    {
      name: 'authorize_payment',
      error: 'The card was declined.',
      attributes: { 'jetledger.step': 'payment', 'jetledger.reason': 'payment/card_declined' },
    },
  ]);
});

describe(`the page of the traces in a real browser${reason}`, () => {
  const complaints: string[] = [];

  /** A page of its own; whatever it complains about fails the test. */
  async function openPage(): Promise<Page & AsyncDisposable> {
    if (browser === undefined) throw new Error(`there is no browser: ${found.missing}`);
    const page = await browser.newPage({ colorScheme: 'light', viewport: { width: 1280, height: 720 } });
    page.setDefaultTimeout(WAIT_MS);
    complaints.length = 0;
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (told) => {
      if (told.type() === 'error') complaints.push(told.text());
    });
    return page as Page & AsyncDisposable;
  }

  /** A computed style of everything that a selector finds. */
  const stylesOf = (page: Page, selector: string, property: string): Promise<string[]> =>
    page.evaluate<string[]>(
      `[...document.querySelectorAll('${selector}')].map((each) => getComputedStyle(each).${property})`,
    );
  const isRed = (colour: string): boolean => {
    const [red = 0, green = 255, blue = 255] = (colour.match(/[\d.]+/g) ?? []).map(Number);
    return red > 180 && green < 120 && blue < 120;
  };

  it.runIf(needed)(
    'shows the failing step of an order in red, with the reason, by day and by night',
    async () => {
      await using page = await openPage();
      await page.goto(`${service.url}/dev/traces`);
      await page.getByRole('searchbox').fill(declined.orderId);
      const row = page.locator(`tr[data-trace="${declined.traceId}"]`);
      expect(await row.locator('.reason').textContent()).toBe('authorize_payment The card was declined.');
      expect(await page.locator('#rows tr').count()).toBe(1);
      expect((await stylesOf(page, '.step', 'color')).map(isRed)).toEqual([true]);
      await row.click();
      await page.waitForURL(`**/dev/traces/${declined.traceId}`);
      const failed = page.locator('.row.failed');
      await failed.first().waitFor();
      expect(await failed.locator('.name').allTextContents()).toEqual(['authorize_payment']);
      expect(await failed.locator('.why').textContent()).toBe('The card was declined.');
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect((await stylesOf(page, '.row.failed .name', 'color')).map(isRed)).toEqual([true]);
        expect((await stylesOf(page, '.row.failed .strip', 'backgroundColor')).map(isRed)).toEqual([true]);
        expect((await stylesOf(page, '.row:not(.failed) .name', 'color')).some(isRed)).toBe(false);
      }
      // It is the one that is chosen, so the pane beside tells the rest.
      const pane = page.getByRole('complementary');
      expect(await pane.locator('p.error').textContent()).toBe('The card was declined.');
      expect(await pane.textContent()).toContain('payment/card_declined');
      expect(complaints).toEqual([]);
    },
  );

  it.runIf(needed)(
    'shows nothing in red of an order that went well, and is reached by its address',
    async () => {
      await using page = await openPage();
      for (const address of [`/dev/traces/${confirmed.traceId}`, `/dev/traces?trace=${confirmed.traceId}`]) {
        await page.goto(`${service.url}${address}`);
        await page.getByRole('treeitem', { name: /^confirm, internal/ }).waitFor();
        expect(await page.locator('.failed, .failure, .error').count()).toBe(0);
        const colours = await stylesOf(page, '.row .name', 'color');
        expect(colours.length).toBeGreaterThan(10);
        expect(colours.filter(isRed)).toEqual([]);
      }
      expect(complaints).toEqual([]);
    },
  );

  it.runIf(needed)('takes names, values, reasons and ids for text, whatever they are', async () => {
    await using page = await openPage();
    const spans = [evilSpan('1', undefined), evilSpan('2', '1')];
    const traceId = 'e'.repeat(32);
    const summary = {
      ...{ traceId, name: EVIL, answer: `500 ${EVIL}`, start: 0, durationMs: 3, spans: 2, omitted: 1 },
      ...{ error: true, failed: { name: EVIL, reason: EVIL }, parts: [EVIL], ids: [EVIL] },
    };
    await page.route('**/dev/traces.json?*', (route) => route.fulfill({ json: { traces: [summary] } }));
    await page.route(`**/dev/traces/${traceId}.json`, (route) => route.fulfill({ json: { traceId, spans } }));
    await page.goto(`${service.url}/dev/traces`);
    await page.getByRole('link', { name: EVIL }).click();
    await page.getByRole('complementary').getByText(EVIL).first().waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.evaluate('globalThis.hacked')).toBeUndefined();
    // Its values stand there as they were sent.
    const cells = await page.locator('.values td').allTextContents();
    expect(cells.filter((cell) => cell === EVIL).length).toBeGreaterThanOrEqual(2);
    await page.goto(`${service.url}/dev/traces?trace=${encodeURIComponent(EVIL)}`);
    await page.locator('.empty a').waitFor();
    expect(await page.locator('img').count()).toBe(0);
  });

  it.runIf(needed)('is used with the keyboard alone', async () => {
    await using page = await openPage();
    await page.goto(`${service.url}/dev/traces`);
    await page.locator('#rows tr').first().waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type(declined.orderId);
    await page.locator('#rows tr').nth(1).waitFor({ state: 'detached' });
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    const chosen = page.locator('.row[aria-selected=true]');
    await chosen.waitFor();
    const focused = () => page.evaluate<string>('document.activeElement.getAttribute("aria-label")');
    expect(await focused()).toMatch(/^authorize_payment, internal, .* failed: The card was declined\.$/);
    const all = await page.getByRole('treeitem').count();
    await page.keyboard.press('ArrowLeft');
    expect(await page.getByRole('treeitem').count()).toBeLessThan(all);
    expect(await chosen.getAttribute('aria-expanded')).toBe('false');
    await page.keyboard.press('ArrowRight');
    expect(await page.getByRole('treeitem').count()).toBe(all);
    await page.keyboard.press('Home');
    expect(await focused()).toMatch(/^POST \/v1\/orders, server, /);
    expect(await page.getByRole('complementary').getByRole('heading', { level: 2 }).textContent()).toBe(
      'POST /v1/orders',
    );
    await page.keyboard.press('Escape');
    await page.locator('#rows tr').first().waitFor();
    expect(new URL(page.url()).pathname).toBe('/dev/traces');
  });

  it.runIf(needed)('looks for new traces until it is told to pause', async () => {
    await using page = await openPage();
    await page.clock.install();
    let asked = 0;
    page.on('request', (request) => {
      if (request.url().includes('/dev/traces.json')) asked++;
    });
    await page.goto(`${service.url}/dev/traces`);
    await page.locator('#rows tr').first().waitFor();
    const refused = await ask(service.url, 'GET', '/v1/orders/nothing');
    const again = page.waitForRequest('**/dev/traces.json?*');
    await page.clock.runFor(2_500);
    await again;
    await page.locator(`tr[data-trace="${traceIdOf(refused)}"] .refused`).waitFor();
    await page.getByRole('button', { name: 'Live' }).click();
    const before = asked;
    await page.clock.runFor(60_000);
    expect(asked).toBe(before);
    const resumed = page.waitForRequest('**/dev/traces.json?*');
    await page.getByRole('button', { name: 'Paused' }).click();
    await resumed;
  });

  it.runIf(needed)('draws a trace of 500 spans, and links lead to other traces', async () => {
    await using page = await openPage();
    const traceId = 'f'.repeat(32);
    const link = { traceId: confirmed.traceId, spanId: '0'.repeat(16) };
    const spans = Array.from({ length: 500 }, (_, index) => ({
      ...evilSpan(String(index), index === 0 ? undefined : String(Math.floor(index / 3))),
      ...{ start: index, end: index + 100, name: `step ${index}`, status: 'unset', links: [link] },
    }));
    await page.route(`**/dev/traces/${traceId}.json`, (route) => route.fulfill({ json: { traceId, spans } }));
    await page.goto(`${service.url}/dev/traces/${traceId}#400`);
    await page.getByRole('treeitem', { name: /^step 499,/ }).waitFor();
    expect(await page.getByRole('treeitem').count()).toBe(500);
    expect(await page.getByRole('complementary').getByRole('heading', { level: 2 }).textContent()).toBe(
      'step 400',
    );
    await page.getByRole('complementary').getByRole('link', { name: confirmed.traceId }).click();
    await page.getByRole('treeitem', { name: /^confirm, internal/ }).waitFor();
  });
});

/** A span that a caller has written as much of as any caller ever could, and more. */
function evilSpan(spanId: string, parentSpanId: string | undefined) {
  return {
    spanId,
    ...(parentSpanId !== undefined && { parentSpanId }),
    name: EVIL,
    kind: 'server',
    start: 0,
    end: 3,
    attributes: { [EVIL]: EVIL, list: [EVIL], number: 7 },
    events: [{ name: EVIL, time: 1, attributes: { 'exception.message': EVIL } }],
    links: [{ traceId: 'javascript:alert(1)', spanId: EVIL }],
    status: 'error',
    error: EVIL,
  };
}
