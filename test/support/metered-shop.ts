import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DestinationStream } from 'pino';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { serverFiles } from '../../src/platform/nats-server/launch.ts';
import { createSimulatedProvider } from '../../src/processes/payment/adapters/simulated.ts';
import { startService } from '../../src/service/start.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../src/testing/memory-bucket.ts';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { type HttpServer, paymentApi, startHttpServer } from '../contract/payment-server.ts';
import { type Answer, must } from '../e2e/client.ts';

/** A whole service in this process, on a nats-server of its own, that pays and notifies over HTTP. */
export interface MeteredShop extends AsyncDisposable {
  readonly url: string;
  readonly webhook: HttpServer;
  /** The text of GET /metrics. */
  scrape(): Promise<string>;
  /** Places an order and waits until it is no longer placed. */
  order(userId: string, sku: string, token: string, quantity?: number): Promise<Answer>;
  user(name: string, email: string): Promise<string>;
  product(sku: string, stock: number): Promise<void>;
  /** Stops the nats-server's process where it is, or lets it go on. */
  nats(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
}

const API_KEY = 'test-key';

export async function openMeteredShop(
  variables: Readonly<Record<string, string>> = {},
  destination: DestinationStream = { write: () => undefined },
): Promise<MeteredShop> {
  const dataDir = await mkdtemp(join(tmpdir(), 'jetledger-metered-'));
  const buckets = openMemoryBuckets(createMemoryBucketStores(), (store) => openMemoryBucket(store));
  const bucket = await buckets.create('payments', { durable: true });
  const provider = createSimulatedProvider({ bucket, runtime: systemRuntime });
  const payments = await startHttpServer(paymentApi(provider, API_KEY));
  const webhook = await startHttpServer((_request, response) => void response.writeHead(204).end());
  const config = loadConfig({
    dir: configDir({}),
    env: {
      JETLEDGER_ENV: 'test',
      JETLEDGER_NATS__EMBEDDED__DATA_DIR: dataDir,
      JETLEDGER_NATS__EMBEDDED__BINARY: (await testServerBinary()).path,
      JETLEDGER_PAYMENT__ADAPTER: 'http',
      JETLEDGER_PAYMENT__URL: payments.url,
      JETLEDGER_PAYMENT__API_KEY: API_KEY,
      JETLEDGER_NOTIFICATIONS__ADAPTER: 'webhook',
      JETLEDGER_NOTIFICATIONS__URL: `${webhook.url}/hook`,
      JETLEDGER_NOTIFICATIONS__SECRET: 'a secret of sixteen characters',
      ...variables,
    },
  });
  const service = await startService(config, createLogger(config, { destination }));
  const { url } = service;
  const settled = async (id: string): Promise<Answer> => {
    let answer = await must(200, url, 'GET', `/v1/orders/${id}`, undefined, { prefer: 'wait=5' });
    await until(`the order ${id} is settled`, async () => {
      answer = await must(200, url, 'GET', `/v1/orders/${id}?consistency=strong`);
      return answer.field('status') !== 'placed';
    });
    return answer;
  };
  return {
    url,
    webhook,
    scrape: async () => (await fetch(`${url}/metrics`)).text(),
    order: async (userId, sku, token, quantity = 1) => {
      const body = { userId, lines: [{ sku, quantity }], payment: { token } };
      const placed = await must(201, url, 'POST', '/v1/orders', body);
      const id = String(placed.field('id'));
      await until('the read model shows it', async () => (await fetch(`${url}/v1/orders/${id}`)).ok);
      return settled(id);
    },
    user: async (name, email) =>
      String((await must(201, url, 'POST', '/v1/users', { name, email })).field('id')),
    product: async (sku, stock) => {
      const price = { amountMinor: 450, currency: 'EUR' };
      await must(201, url, 'POST', '/v1/products', { sku, name: 'Tea', price });
      await must(200, url, 'POST', `/v1/products/${sku}/stock`, { receiptId: `${sku}-1`, quantity: stock });
    },
    nats: async (signal) => {
      process.kill(Number(await readFile(serverFiles(dataDir).pid, 'utf8')), signal);
    },
    [Symbol.asyncDispose]: async () => {
      await service.stop();
      await Promise.all([payments.stop(), webhook.stop()]);
      await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
  };
}
