import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import { type Answer, ask, must } from './client.ts';
import { button, type ConsoleWorld, expectSound, needed, reason, shoot, WAIT_MS } from './console-world.ts';

const EVIL = '<img src=x onerror="globalThis.hacked = true">';

interface Traced {
  readonly orderId: string;
  readonly traceId: string;
}

const traceIdOf = ({ headers }: Answer): string => headers.get('traceparent')?.split('-')[1] ?? '';

/** Places an order and waits until its trace holds its last step, and the notification that follows it. */
async function placeOrder({ service, shop }: ConsoleWorld, token: string, lastStep: string): Promise<Traced> {
  const lines = [{ sku: shop.sku, quantity: 1 }];
  const order = { userId: shop.userId, lines, payment: { token } };
  const placed = await must(201, service.url, 'POST', '/v1/orders', order);
  const traceId = traceIdOf(placed);
  const ended = async (): Promise<boolean> => {
    const { body } = await ask(service.url, 'GET', `/v1/admin/traces/${traceId}`);
    const names = ((body as { spans?: { name: string }[] }).spans ?? []).map(({ name }) => name);
    return names.includes(lastStep) && names.includes('process notification');
  };
  await until(`the trace has ${lastStep}`, ended, WAIT_MS);
  return { orderId: String(placed.field('id')), traceId };
}

/** A span that a caller has written as much of as any caller ever could, and more. */
function evilSpan(spanId: string, parentSpanId: string | undefined) {
  return {
    ...{ spanId, ...(parentSpanId !== undefined && { parentSpanId }) },
    ...{ name: EVIL, kind: 'server', start: 0, end: 3, status: 'error', error: EVIL },
    attributes: { [EVIL]: EVIL, list: [EVIL], number: 7 },
    events: [{ name: EVIL, time: 1, attributes: { 'exception.message': EVIL } }],
    links: [{ traceId: 'javascript:alert(1)', spanId: EVIL }],
  };
}

const isRed = (colour: string): boolean => {
  const [red = 0, green = 255, blue = 255] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return red > 160 && green < 140 && blue < 140;
};

/** A computed style of everything that a selector finds. */
const stylesOf = (page: Page, selector: string, property: string): Promise<string[]> =>
  page.evaluate<string[]>(
    `[...document.querySelectorAll('${selector}')].map((each) => getComputedStyle(each).${property})`,
  );

const sectionOf = (name: string, body: object) => ({
  contentType: 'text/event-stream',
  body: `event: ${name}\ndata: ${JSON.stringify(body)}\n\n`,
});

/** Traces in the console, on the world of `console.test.ts`. */
export function describeTraces(world: () => ConsoleWorld): void {
  let declined: Traced;
  let confirmed: Traced;

  describe(`traces${reason}`, () => {
    beforeAll(async () => {
      declined = await placeOrder(world(), 'tok_declined', 'authorize_payment');
      confirmed = await placeOrder(world(), 'tok_success', 'confirm');
    });

    it('as data they say which step of an order failed, and why; addresses of before lead there', async () => {
      const { service } = world();
      const list = (await must(200, service.url, 'GET', '/dev/traces.json?limit=1000')).body as {
        items: { traceId: string }[];
      };
      const summary = (wanted: string) => list.items.find(({ traceId }) => traceId === wanted);
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
      const failed = (body as { spans: { status: string }[] }).spans.filter(
        ({ status }) => status === 'error',
      );
      expect(failed).toMatchObject([
        {
          name: 'authorize_payment',
          error: 'The card was declined.',
          attributes: { 'jetledger.step': 'payment', 'jetledger.reason': 'payment/card_declined' },
        },
      ]);
      const page = await fetch(`${service.url}/dev/traces?q=x`, { redirect: 'manual' });
      expect([page.status, page.headers.get('location')]).toEqual([308, '/console/traces?q=x']);
    });

    describe.runIf(needed)('in a real browser', () => {
      it('the failing step of an order is red and says why, by day and by night', async () => {
        await using page = await world().openPage('/traces');
        await page.getByRole('searchbox').fill(declined.orderId);
        await page.getByText('authorize_payment The card was declined.').waitFor();
        expect(await page.locator('tbody tr').count()).toBe(1);
        await expectSound(page);
        await page.getByRole('link', { name: 'POST /v1/orders' }).click();
        await page.waitForURL(`**/console/traces/${declined.traceId}`);
        const failed = page.locator('.row.failed');
        await failed.first().waitFor();
        expect(await failed.locator('.name').allTextContents()).toEqual(['authorize_payment']);
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          expect((await stylesOf(page, '.row.failed .name', 'color')).map(isRed)).toEqual([true]);
          expect((await stylesOf(page, '.row:not(.failed) .name', 'color')).some(isRed)).toBe(false);
        }
        // It is the one that is chosen, so the pane beside tells the rest.
        const pane = page.getByRole('complementary');
        expect(await pane.locator('p.error').textContent()).toBe('The card was declined.');
        await pane.getByText('payment/card_declined').waitFor();
        await expectSound(page);
        await shoot(page, 'traces');
      });

      it('names, values, reasons and ids are text, whatever they are', async () => {
        await using page = await world().openPage('/health');
        const spans = [evilSpan('1', undefined), evilSpan('2', '1')];
        const traceId = 'e'.repeat(32);
        const summary = {
          ...{ traceId, name: EVIL, answer: `500 ${EVIL}`, start: 0, durationMs: 3, spans: 2, omitted: 1 },
          ...{ error: true, failed: { name: EVIL, reason: EVIL }, parts: [EVIL], ids: [EVIL] },
        };
        const live = sectionOf('traces', { items: [summary] });
        await page.route('**/v1/admin/live?also=traces', (route) => route.fulfill(live));
        await page.route(`**/v1/admin/traces/${traceId}`, (route) =>
          route.fulfill({ json: { traceId, spans } }),
        );
        await page.getByRole('link', { name: 'Traces' }).click();
        await page.getByRole('link', { name: EVIL }).click();
        await page.getByRole('complementary').getByText(EVIL).first().waitFor();
        // Its values stand there as they were sent.
        const cells = await page.locator('.values td').allTextContents();
        expect(cells.filter((cell) => cell === EVIL).length).toBeGreaterThanOrEqual(2);
        await page.goto(`${world().service.url}/console/traces/${encodeURIComponent(EVIL)}`);
        await page.getByRole('alert').waitFor();
        expect(await page.locator('img').count()).toBe(0);
        expect(await page.evaluate('globalThis.hacked')).toBeUndefined();
      });

      it('the waterfall is used with the keyboard alone', async () => {
        await using page = await world().openPage('/traces');
        await page.locator('tbody tr').first().waitFor();
        await page.keyboard.press('/');
        await page.keyboard.type(declined.orderId);
        await page.locator('tbody tr').nth(1).waitFor({ state: 'detached' });
        await page.getByRole('link', { name: 'POST /v1/orders' }).focus();
        await page.keyboard.press('Enter');
        const chosen = page.locator('.row[aria-selected=true]');
        await chosen.waitFor();
        const focused = () => page.locator('.row:focus').textContent();
        expect(await focused()).toMatch(/authorize_payment, internal, .* failed: The card was declined\.$/);
        const all = await page.getByRole('treeitem').count();
        await page.keyboard.press('ArrowLeft');
        expect(await page.getByRole('treeitem').count()).toBeLessThan(all);
        expect(await chosen.getAttribute('aria-expanded')).toBe('false');
        await page.keyboard.press('ArrowRight');
        expect(await page.getByRole('treeitem').count()).toBe(all);
        await page.keyboard.press('Home');
        expect(await focused()).toMatch(/POST \/v1\/orders, server, /);
        await page.keyboard.press('Escape');
        await page.waitForURL('**/console/traces');
      });

      it('new traces are shown until the reader pauses', async () => {
        await using page = await world().openPage('/traces');
        const refuse = async () => traceIdOf(await ask(world().service.url, 'GET', '/v1/orders/nothing'));
        const link = (traceId: string) => page.locator(`a[href="/console/traces/${traceId}"]`);
        await link(await refuse()).waitFor();
        await button(page, 'Pause').click();
        const unseen = await refuse();
        await button(page, /Go on, [1-9]\d* newer/).waitFor();
        expect(await link(unseen).count()).toBe(0);
        await button(page, /Go on/).click();
        await link(unseen).waitFor();
      });

      it('a trace of 500 spans is drawn, and links lead to other traces', async () => {
        await using page = await world().openPage('/health');
        const traceId = 'f'.repeat(32);
        const link = { traceId: confirmed.traceId, spanId: '0'.repeat(16) };
        const spans = Array.from({ length: 500 }, (_, index) => ({
          ...evilSpan(String(index), index === 0 ? undefined : String(Math.floor(index / 3))),
          ...{ start: index, end: index + 100, name: `step ${index}`, status: 'unset', links: [link] },
        }));
        await page.route(`**/v1/admin/traces/${traceId}`, (route) =>
          route.fulfill({ json: { traceId, spans } }),
        );
        await page.goto(`${world().service.url}/console/traces/${traceId}#400`);
        await page.getByRole('treeitem', { name: /^step 499\b/ }).waitFor();
        expect(await page.getByRole('treeitem').count()).toBe(500);
        const pane = page.getByRole('complementary');
        expect(await pane.getByRole('heading', { level: 2 }).textContent()).toBe('step 400');
        await page.getByRole('treeitem', { name: /^step 1\b/ }).click();
        await pane.getByRole('heading', { name: 'step 1', exact: true }).waitFor();
        await page.locator('.row[aria-selected=true] .twisty').click();
        expect(await page.getByRole('treeitem').count()).toBeLessThan(500);
        await pane.getByRole('link', { name: confirmed.traceId }).click();
        await page.getByRole('treeitem', { name: /^confirm\b.*internal/ }).waitFor();
        // Nothing of an order that went well is red.
        expect(await page.locator('.failed, .failure, .error').count()).toBe(0);
        const colours = await stylesOf(page, '.row .name', 'color');
        expect(colours.length).toBeGreaterThan(10);
        expect(colours.filter(isRed)).toEqual([]);
      });
    });
  });
}
