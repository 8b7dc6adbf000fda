import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { AUDIENCE, CLIENT } from '../support/oidc-issuer.ts';
import { serviceBuild } from '../support/service-build.ts';
import { startService } from '../support/service-process.ts';
import { ask, must } from './client.ts';
import { describeTraces } from './console-traces.ts';
import {
  answer,
  button,
  type ConsoleWorld,
  expectSound,
  LONG,
  needed,
  reason,
  shoot,
  startConsoleWorld,
} from './console-world.ts';

const FIRST_PAINT_MS = 2_000;

let world: ConsoleWorld;

beforeAll(async () => {
  world = await startConsoleWorld();
}, 180_000);
afterAll(async () => world?.[Symbol.asyncDispose]());

it('what the browser loads is at most 250 KiB compressed', async () => {
  const folder = join(dirname(await serviceBuild()), '../api/console');
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))));
  expect(files).toHaveLength(3);
  expect(gzipSync(Buffer.concat(files)).length).toBeLessThan(250 * 1_024);
});

describe.runIf(needed)(`the console in a real browser${reason}`, () => {
  it('a healthy system is one calm screen', async () => {
    await using page = await world.openPage('');
    await page.getByRole('heading', { name: 'Everything is well.' }).waitFor();
    expect(await page.locator('.troubles li').count()).toBe(0);
    await expectSound(page);
    await shoot(page, 'overview');
  });

  it('health shows servers, copies, storage, and processes with roles and versions', async () => {
    await using page = await world.openPage('/health');
    const servers = page.getByRole('region', { name: 'Servers' });
    await servers.getByText('well').waitFor();
    await page.getByRole('region', { name: 'Processes' }).getByText('api, projections, processes').waitFor();
    await page.getByText('Head of the log').waitFor();
    await button(page, /Times in local time/).click();
    await button(page, /Times in UTC/).waitFor();
    await expectSound(page);
    await shoot(page, 'health');
  });

  it('dead letters are grouped by cause; one and a group are redriven, and the outcome shows', async () => {
    const { body: history } = await ask(world.service.url, 'GET', `/v1/orders/${world.shop.orderId}/events`);
    const positions = (history as { items: { position: number }[] }).items.map(({ position }) => position);
    const ends = [Math.min(...positions), Math.max(...positions)];
    await world.plant(ends.map((position) => ({ position: positionOf(position) })));
    await world.plant([
      { id: world.shop.sku, category: 'product', position: positionOf(2), consumer: 'stock-watch' },
    ]);
    await using page = await world.openPage('/stuck');
    await page.getByText('2 dead letters').waitFor();
    await page.getByText('stock-watch').waitFor();
    await button(page, 'Show them').first().click();
    await page
      .getByRole('link', { name: `order/${world.shop.orderId}` })
      .first()
      .waitFor();
    await shoot(page, 'stuck');
    await button(page, 'Redrive all 2').click();
    await page.getByText('2 dead letters marked to be handled again.').waitFor();
    await page.getByText('2 of 2 done, 0 failed again, 0 waiting').waitFor();
    await page.getByRole('region', { name: /^order-process/ }).waitFor({ state: 'detached' });
    await expectSound(page);
  });

  it('giving up wants a reason and a typed confirmation', async () => {
    const error = { name: 'Error', message: 'No such thing.', stack: '' };
    await world.plant([{ position: positionOf(3), error }]);
    await using page = await world.openPage('/stuck');
    const card = page.getByRole('region', { name: /No such thing/ });
    await card
      .getByRole('button', { name: /Give up/ })
      .first()
      .click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('a test wants it');
    expect(await dialog.getByRole('button', { name: 'Give up', exact: true }).isDisabled()).toBe(true);
    await answer(page, 'Give up', { Type: 'give up 1' });
    await page.getByText('Marked to be given up.').waitFor();
    await card.waitFor({ state: 'detached' });
    await page.getByText('a test wants it').first().waitFor();
  });

  it('an aggregate is found by its address and its id, and shown at each version', async () => {
    await using page = await world.openPage('/aggregate');
    await page.getByRole('searchbox').fill(world.shop.email);
    await button(page, 'Find').click();
    await page.getByRole('heading', { name: `user/${world.shop.userId}` }).waitFor();
    await page.getByRole('searchbox').fill(world.shop.orderId);
    await button(page, 'Find').click();
    await page.getByRole('option', { name: /OrderPlaced/ }).waitFor();
    const slider = page.getByRole('slider');
    await slider.focus();
    await page.keyboard.press('Home');
    const state = page.getByRole('region', { name: 'State' });
    await state.getByText('"placed"').waitFor();
    await page.keyboard.press('End');
    await state.getByText('"confirmed"').waitFor();
    await page.getByRole('region', { name: 'Changes' }).getByText('status').waitFor();
    await expectSound(page);
    await shoot(page, 'aggregate');
  });

  it('a reaction is paused with a reason and resumed, and says who did it', async () => {
    await using page = await world.openPage('/reactions');
    const row = page.getByRole('row', { name: /order-process/ });
    await row.getByRole('button', { name: /Pause/ }).click();
    await answer(page, 'Pause');
    await row.getByText('paused').waitFor();
    await row.getByText('a test wants it').waitFor();
    await shoot(page, 'reactions');
    await expectSound(page);
    await row.getByRole('button', { name: 'Resume' }).click();
    await row.getByRole('button', { name: /Pause/ }).waitFor();
    await page.getByText('resume').first().waitFor();
  });

  it('a view is rebuilt with its comparison, another one cancelled, and the view goes back', async () => {
    await using page = await world.openPage('/views');
    const row = page.getByRole('row', { name: /^orders sound/ });
    const rebuildAs = async (more: Readonly<Record<string, string>> = {}) => {
      await row.getByRole('button', { name: /Rebuild/ }).click();
      await answer(page, 'Rebuild', more);
    };
    await rebuildAs();
    await page.getByText(/Now in jl_orders_v2\. 1 rows compared, 0 differ/).waitFor({ timeout: 40_000 });
    await row.getByText('jl_orders_v2').waitFor();
    await rebuildAs({ 'At most': '1' });
    await page
      .getByRole('region', { name: 'rebuild of orders' })
      .getByText(/of .* commits/)
      .waitFor();
    await shoot(page, 'views');
    await button(page, 'Cancel').click();
    await page.getByText('The view is as it was.').waitFor();
    await row.getByRole('button', { name: /Roll back/ }).click();
    await answer(page, 'Go back');
    await page.getByText('Now in jl_orders_v1.').waitFor({ timeout: 40_000 });
    await expectSound(page);
  }, 150_000);

  it('it is used with the keyboard alone', async () => {
    await using page = await world.openPage('');
    await page.getByRole('link', { name: 'Views' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('To the page');
    await page.getByRole('link', { name: 'Views' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Views', level: 1 }).waitFor();
    await page
      .getByRole('row', { name: /^users/ })
      .getByRole('button', { name: /Rebuild/ })
      .focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
  });
});

describe.runIf(needed)(`the console with authentication${reason}`, () => {
  it('people sign in at the issuer, or paste a token; nothing is kept behind a reload', async () => {
    const auth = {
      JETLEDGER_AUTH__ENABLED: 'true',
      JETLEDGER_AUTH__ISSUER: world.issuer.url,
      JETLEDGER_AUTH__AUDIENCE: AUDIENCE,
      JETLEDGER_AUTH__JWKS_URL: `${world.issuer.url}/jwks`,
    };
    const oidc = {
      JETLEDGER_CONSOLE__OIDC__ISSUER: world.issuer.url,
      JETLEDGER_CONSOLE__OIDC__CLIENT_ID: CLIENT,
    };
    const shared = { NATS_URL: world.nats.url, JETLEDGER_SERVICE__ROLES: 'api', ...auth };
    await using signing = await startService({ ...world.data.variables, ...shared, ...oidc });
    await using page = await world.openPage('/health', 1_280, signing.url);
    await button(page, 'Sign in').click();
    await page.getByText('Head of the log').waitFor();
    expect([new URL(page.url()).pathname, world.issuer.granted()]).toEqual(['/console/health', 1]);
    const stored = await page.evaluate<string>(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }])',
    );
    expect(stored).not.toContain('eyJ');
    await expectSound(page);
    await page.reload();
    await button(page, 'Sign in').waitFor();
    const store = {
      JETLEDGER_TRACING__DEV_TRACES: '0',
      JETLEDGER_CONSOLE__TRACE_URL: 'https://traces.example.com/trace/{traceId}',
    };
    await using pasting = await startService({ ...world.data.variables, ...shared, ...store });
    await using other = await world.openPage('', 1_280, pasting.url);
    await other.getByLabel(/Access token/).fill(await world.issuer.tokenFor('orders'));
    await button(other, 'Go on').click();
    await other.getByText(/scope/i).first().waitFor();
    await other.reload();
    await other.getByLabel(/Access token/).fill(await world.issuer.tokenFor('admin'));
    await button(other, 'Go on').click();
    await other.getByRole('link', { name: 'Views' }).waitFor();
    await other.getByText('live').waitFor();
    // Where no traces are kept, commits link with the store that is named.
    await other.getByRole('link', { name: 'Traces' }).click();
    await other.getByText('This process keeps none').waitFor();
    await other.getByRole('link', { name: 'One aggregate' }).click();
    await other.getByRole('searchbox').fill(world.shop.orderId);
    await button(other, 'Find').click();
    const link = other.locator('a[href^="https://traces.example.com/trace/"]').first();
    expect(await link.getAttribute('href')).toBe(
      `https://traces.example.com/trace/${await link.textContent()}`,
    );
  }, 150_000);

  it('the page is a page of this service only', async () => {
    const { status, headers } = await fetch(`${world.service.url}/console`);
    expect(status).toBe(200);
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    const foreign = { headers: { origin: 'https://evil.example' } };
    expect((await fetch(`${world.service.url}/v1/admin/live`, foreign)).status).toBe(403);
    expect(await must(200, world.service.url, 'GET', '/console/settings.json')).toMatchObject({
      body: { auth: 'off' },
    });
  });
});

describe.runIf(needed)(`the console where something is waited for${reason}`, () => {
  it('timers show when they are due, and a payment of which nobody answers is in doubt', async () => {
    const { userId, sku } = world.shop;
    const lines = [{ sku, quantity: 1 }];
    const order = { userId, lines, payment: { token: 'tok_never' } };
    await must(201, world.service.url, 'POST', '/v1/orders', order);
    await using page = await world.openPage('/timers');
    const due = page.getByRole('region', { name: 'Timers' }).getByRole('row', { name: /payment-deadline/ });
    await due
      .getByText(/^in \d+ min$/)
      .first()
      .waitFor();
    const doubtful = page
      .getByRole('region', { name: 'Payments in doubt' })
      .getByRole('row', { name: /order/ });
    await doubtful.getByText('tried again').waitFor({ timeout: 40_000 });
    await shoot(page, 'timers');
    await expectSound(page);
    await doubtful.getByRole('link').click();
    const waits = page.getByRole('list', { name: 'Waits for' });
    await waits.getByText('timer payment-deadline').waitFor();
    await waits.getByText(/order-process is at/).waitFor();
    await expectSound(page);
  }, 90_000);
});
describeTraces(() => world);

describe.runIf(needed)(`orders${reason}`, () => {
  it('are a funnel of the last hour and day; the oldest at each step lead to their pages', async () => {
    const { userId, sku } = world.shop;
    const lines = [{ sku, quantity: 1 }];
    const order = { userId, lines, payment: { token: 'tok_never' } };
    const placed = await must(201, world.service.url, 'POST', '/v1/orders', order);
    await using page = await world.openPage('/orders');
    const day = page.getByRole('region', { name: 'Last day, by step' });
    await day.getByRole('row', { name: /^placed [1-9]/ }).waitFor();
    await day.getByRole('row', { name: /^confirmed [1-9]/ }).waitFor();
    const waiting = page.getByRole('region', { name: 'On their way' });
    const link = waiting.locator(`a[href="/console/aggregate/order/${placed.field('id')}"]`);
    await link.waitFor();
    await waiting.getByText('it is paid').waitFor();
    await shoot(page, 'orders');
    await expectSound(page);
    await link.click();
    await page.getByRole('heading', { name: `order/${placed.field('id')}` }).waitFor();
  });
});

describe.runIf(needed)(`the log as it grows${reason}`, () => {
  it('is filtered, paused and gone on with, and leads to an aggregate at that version', async () => {
    const { service, shop } = world;
    const receive = (receiptId: string) =>
      must(200, service.url, 'POST', `/v1/products/${shop.sku}/stock`, { receiptId, quantity: 1 });
    await using page = await world.openPage('/log');
    const rows = page.getByRole('region', { name: 'Commits' }).locator('tbody tr');
    await rows.filter({ hasText: 'OrderPlaced' }).first().waitFor();
    await page.getByLabel('Id', { exact: true }).fill(shop.sku);
    await page.getByLabel('Type of event').fill('StockReceived');
    await button(page, 'Filter').click();
    await page.waitForURL(`**/console/log?type=StockReceived&id=${shop.sku}`);
    await receive('log-1');
    const first = rows.filter({ hasText: '"log-1"' });
    await first.waitFor({ state: 'attached' });
    await shoot(page, 'log');
    await expectSound(page);
    const before = await rows.count();
    await button(page, 'Pause').click();
    await page.getByText('paused').waitFor();
    await receive('log-2');
    expect(await rows.count()).toBe(before);
    await button(page, 'Go on').click();
    await rows.filter({ hasText: '"log-2"' }).waitFor({ state: 'attached' });
    expect(await rows.count()).toBe(before + 1);
    await first.getByRole('link', { name: `product/${shop.sku}` }).click();
    await page.getByRole('heading', { name: `product/${shop.sku}` }).waitFor();
    const chosen = page.getByRole('option', { selected: true });
    await chosen.getByText('StockReceived').waitFor();
    const last = page.getByRole('option').last();
    expect(await chosen.getAttribute('id')).not.toBe(await last.getAttribute('id'));
    await page.getByText('log-1').first().waitFor({ state: 'attached' });
  });
});

describe.runIf(needed)(`the console with what goes out and what was done${reason}`, () => {
  it('notifications are through, and a webhook shows how its last try ended, is disabled and enabled', async () => {
    const target = { url: 'http://127.0.0.1:9/events', types: ['*'], description: 'Parcels' };
    await must(201, world.service.url, 'POST', '/v1/webhooks', target);
    await using page = await world.openPage('/outgoing');
    const told = page.getByRole('region', { name: 'Notifications' });
    await told
      .getByRole('row', { name: /order-confirmed/ })
      .getByText('through')
      .first()
      .waitFor();
    const card = page.getByRole('region', { name: target.url });
    await card.getByRole('button', { name: 'Test' }).click();
    await card.getByText(/Last try/).waitFor();
    await card.getByRole('button', { name: 'Show tries' }).click();
    await card.getByRole('row', { name: /jetledger.webhook.test/ }).waitFor();
    await shoot(page, 'outgoing');
    await expectSound(page);
    await card.getByRole('button', { name: /Disable/ }).click();
    await answer(page, 'Disable');
    await card.getByText('disabled: operator').waitFor();
    await card.getByRole('button', { name: 'Enable' }).click();
    await card.getByText('enabled').waitFor();
  }, 60_000);

  it('the last backup is shown with its proof, and what the processes run with', async () => {
    const { data, nats } = world;
    // The keys of the service lie in its data folder.
    const variables = { ...data.variables, JETLEDGER_USERS__EMAIL_KEY: '' };
    const folder = join(await mkdtemp(join(tmpdir(), 'console-')), 'backup');
    for (const command of [backupCommand, verifyCommand])
      expect((await runInProcess(nats, command, [folder], variables)).code).toBe(0);
    await rm(dirname(folder), { recursive: true });
    await using page = await world.openPage('/backups');
    await page.getByText('whole').waitFor();
    await page.getByText(/of the last backup\./).waitFor();
    await shoot(page, 'backups');
    await expectSound(page);
    await page.getByRole('link', { name: 'Configuration' }).click();
    await page.getByText('all run with the same settings').waitFor();
    const settings = page.getByRole('region', { name: 'Settings' });
    await settings
      .getByRole('row', { name: /tracing.devTraces/ })
      .getByText('JETLEDGER_TRACING__DEV_TRACES')
      .waitFor();
    await expectSound(page);
    await page.getByLabel('Show').selectOption('all');
    await page.getByLabel('Name').fill('http.');
    await shoot(page, 'configuration');
    await settings
      .getByRole('row', { name: /http.bodyLimitBytes/ })
      .getByText('default')
      .waitFor();
  }, 90_000);

  it('what operators asked for is found by person, kind and result', async () => {
    await must(200, world.service.url, 'POST', '/v1/admin/consumers/stock-watch/pause', {
      reason: 'to try it',
    });
    await must(200, world.service.url, 'POST', '/v1/admin/consumers/stock-watch/resume');
    await using page = await world.openPage('/actions');
    const all = page.getByRole('region', { name: 'Actions' });
    await all.getByText('to try it').waitFor();
    await shoot(page, 'actions');
    await page.getByLabel('What').selectOption('resume');
    await all.getByText('to try it').waitFor({ state: 'detached' });
    expect(new URL(page.url()).search).toBe('?action=resume');
    await all.getByRole('link', { name: 'stock-watch' }).waitFor();
    await expectSound(page);
    await page.getByLabel('Who').fill('nobody');
    await page.getByLabel('Who').press('Enter');
    await page.getByText('Nobody has asked for anything like that.').waitFor();
  }, 60_000);
});

describe.runIf(needed)(`the console with much to show${reason}`, () => {
  /** When the browser painted something first, in milliseconds after the page was asked for. */
  const firstPaint = (page: Page): Promise<number> =>
    page.evaluate<number>("performance.getEntriesByName('first-contentful-paint')[0].startTime");

  it('an aggregate of five thousand events stays usable', async () => {
    await using page = await world.openPage(`/aggregate/product/${LONG.sku}`);
    await page.getByText(/of 500, version/).waitFor({ timeout: 60_000 });
    expect(await firstPaint(page)).toBeLessThan(FIRST_PAINT_MS);
    expect(await page.getByRole('option').count()).toBeLessThan(200);
    await page.getByRole('slider').focus();
    await page.keyboard.press('Home');
    await page.getByRole('option', { name: /ProductListed/ }).waitFor();
    await page.getByText(/Commit 1 of/).waitFor();
    await expectSound(page);
  }, 180_000);

  it('ten thousand dead letters stay usable', async () => {
    const letters = Array.from({ length: 10_000 }, (_, at) => ({
      ...{ id: `many-${at}`, position: positionOf(10 + at), consumer: 'customer-watch' },
      error: { name: 'Error', message: `The row of user u-${at} is gone.`, stack: '' },
    }));
    await world.plant(letters);
    await using page = await world.openPage('/stuck');
    await page.getByText('10,000 dead letters').waitFor();
    expect(await firstPaint(page)).toBeLessThan(FIRST_PAINT_MS);
    await page
      .getByRole('region', { name: /customer-watch/ })
      .getByRole('button', { name: 'Show them' })
      .click();
    await page
      .getByRole('link', { name: 'user/many-0' })
      .or(page.getByRole('link', { name: 'order/many-0' }))
      .waitFor();
    await button(page, 'Show more').click();
    await page.getByRole('link', { name: /many-99$/ }).waitFor();
    await expectSound(page);
  }, 120_000);
});
