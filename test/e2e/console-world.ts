import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { expect } from 'vitest';
import { product } from '../../src/domain/product.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { ProductListedSchema, StockReceivedSchema } from '../../src/gen/jetledger/product/v1/product_pb.ts';
import { type DeadLetter, entryKey } from '../../src/processes/engine/dead-letters/entry.ts';
import { bucketNames, toBytes } from '../../src/processes/engine/rows.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { findChromium, launchChromium } from '../support/chromium.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { bucketsOf } from '../support/echo.ts';
import { openTestLog } from '../support/nats-log.ts';
import { type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import {
  createDataDir,
  type DataDir,
  type ServiceProcess,
  startService,
} from '../support/service-process.ts';
import { ask } from './client.ts';
import { openShop, type Shop } from './shop.ts';

const found = await findChromium();
const { path } = found;
/** Never silently: in the CI a missing browser is a failure. */
export const needed = path !== undefined || (process.env.CI ?? '') !== '';
/** For the names of tests. */
export const reason = path === undefined ? ` (NOT RUN, there is no browser: ${found.missing})` : '';
export const WAIT_MS = 20_000;
/** Where screenshots go; none are made unless it is set. */
const SHOTS = process.env.CONSOLE_SCREENSHOTS ?? '';
/** A product with as many events as an aggregate may have that stays usable. */
export const LONG = { sku: 'TEA-LONG', events: 5_000, commits: 500 } as const;

/** A service with a small shop, and a browser: what all tests of the console share. */
export interface ConsoleWorld extends AsyncDisposable {
  readonly nats: TestServer;
  readonly data: DataDir;
  readonly service: ServiceProcess;
  readonly issuer: OidcIssuer;
  readonly shop: Shop;
  /** A page of its own; whatever it complains about, and whatever the policy refuses, fails the test. */
  openPage(to: string, width?: number, url?: string): Promise<Page & AsyncDisposable>;
  /** Dead letters as the order process would have left them; of what has been handled meanwhile, so that they can go. */
  plant(entries: readonly Partial<DeadLetter>[]): Promise<void>;
}

const complaints: string[] = [];

export async function startConsoleWorld(): Promise<ConsoleWorld> {
  const [nats, data, issuer] = await Promise.all([
    startTestServer({ syncAlways: true }),
    createDataDir(),
    startOidcIssuer(),
  ]);
  const launched = path === undefined ? undefined : launchChromium(path);
  const monitored = { NATS_URL: nats.url, JETLEDGER_NATS__MONITOR_URLS: nats.monitorUrl };
  await applyTopology({ ...data.variables, ...monitored });
  const handle = await openTestLog(nats.url);
  await appendLong(handle.log);
  const service = await startService({
    ...{ ...data.variables, ...monitored },
    JETLEDGER_TRACING__DEV_TRACES: '100',
  });
  const browser = await launched;
  const shop = await openShop(service.url, 'console');
  const status = async () =>
    (await ask(service.url, 'GET', `/v1/orders/${shop.orderId}?consistency=strong`)).field('status');
  await until('the order is confirmed', async () => (await status()) === 'confirmed', WAIT_MS);
  return {
    ...{ nats, data, service, issuer, shop },
    openPage: (to, width = 1_280, url = service.url) => openPage(browser, `${url}/console${to}`, width),
    plant: async (entries) => {
      const bucket = await bucketsOf(handle).create(bucketNames('jl').parked, { durable: true });
      const write = async (entry: DeadLetter): Promise<void> => {
        const key = entryKey(entry.consumer, entry, entry.position);
        await bucket.write({ key, value: toBytes(entry), expectedRevision: 0 });
      };
      const AT_ONCE = 50;
      for (let at = 0; at < entries.length; at += AT_ONCE)
        await Promise.all(entries.slice(at, at + AT_ONCE).map((given) => write(deadLetter(shop, given))));
    },
    [Symbol.asyncDispose]: async () => {
      await browser?.close();
      await handle.close();
      await service[Symbol.asyncDispose]();
      await issuer[Symbol.asyncDispose]();
      await data[Symbol.asyncDispose]();
      await nats.stop();
    },
  };
}

/** Before a service runs, which would react to each of them. */
async function appendLong(log: Log): Promise<void> {
  const { encode } = codecOf(product);
  const now = BigInt(Date.now());
  const listed = { sku: LONG.sku, name: 'Tea', priceMinor: 450n, currency: 'EUR', listedAt: now };
  let version = 0;
  for (let at = 0; at < LONG.commits; at++) {
    const events = Array.from({ length: LONG.events / LONG.commits }, (_, n) => {
      if (at + n === 0) return encode(create(ProductListedSchema, listed));
      const receipt = { receiptId: `bulk-${at}-${n}`, quantity: 1n, receivedAt: now };
      return encode(create(StockReceivedSchema, receipt));
    });
    const decisions = [{ commandId: `bulk-${at}`, actor: 'op', time: now, events }];
    const commit = create(CommitSchema, { commitId: `bulk-${at}`, decisions });
    const result = await log.append({ category: product.category, id: LONG.sku }, version, commit);
    if (!result.appended) throw new Error(`somebody else has written ${LONG.sku}`);
    ({ version } = result);
  }
}

function deadLetter({ orderId }: Shop, given: Partial<DeadLetter>): DeadLetter {
  return {
    ...{ consumer: 'order-process', category: 'order', id: orderId, position: positionOf(1) },
    ...{ commitId: '', behind: false, attempts: 8, traceId: '', write: 'w1' },
    events: [{ type: 'jetledger.order.v1.OrderPlaced', schemaVersion: 1, payload: {} }],
    error: { name: 'Error', message: 'The payment provider answered 503.', stack: '' },
    ...{ firstAt: Date.now() - 3_600_000, lastAt: Date.now() - 60_000 },
    ...given,
  };
}

async function openPage(
  browser: Browser | undefined,
  url: string,
  width: number,
): Promise<Page & AsyncDisposable> {
  if (browser === undefined) throw new Error(`there is no browser: ${found.missing}`);
  const page = await browser.newPage({ colorScheme: 'light', viewport: { width, height: 860 } });
  page.setDefaultTimeout(WAIT_MS);
  complaints.length = 0;
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (told) => {
    if (told.type() === 'error') complaints.push(told.text());
  });
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (e) => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI))",
  );
  await page.goto(url);
  return page as Page & AsyncDisposable;
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}

/** What axe finds wrong with the page as it is, by day and by night, and whether it scrolls sideways. */
export async function expectSound(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate<AxeResults>('axe.run()');
    expect(
      violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`)),
    ).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  const size = page.viewportSize() ?? { width: 1_280, height: 860 };
  await page.setViewportSize({ width: 375, height: 800 });
  const wide = await page.evaluate<number>('document.documentElement.scrollWidth');
  expect(wide).toBeLessThanOrEqual(375);
  await page.setViewportSize(size);
  expect(complaints).toEqual([]);
}

export async function shoot(page: Page, name: string): Promise<void> {
  if (SHOTS === '') return;
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

export const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name });

/** Fills in what the dialog asks, and goes on. */
export async function answer(
  page: Page,
  action: string,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill('a test wants it');
  for (const [label, value] of Object.entries(more)) await dialog.getByLabel(new RegExp(label)).fill(value);
  await dialog.getByRole('button', { name: action, exact: true }).click();
}
