import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll } from 'vitest';
import type { Bucket } from '../../src/eventstore/bucket.ts';
import { createNatsBucket } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createHttpProvider } from '../../src/processes/payment/adapters/http.ts';
import {
  createSimulatedProvider,
  type SimulatedProvider,
} from '../../src/processes/payment/adapters/simulated.ts';
import { createMemoryBucket } from '../../src/testing/memory-bucket.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { paymentContract } from './payment-contract.ts';
import { paymentApi, startHttpServer } from './payment-server.ts';

const API_KEY = 'test-key';

const simulated = (bucket: Bucket): SimulatedProvider =>
  createSimulatedProvider({ bucket, runtime: systemRuntime, answerTimeoutMs: 300, lateMs: 400 });

paymentContract('the simulated provider with its ledger in memory', async () => {
  const bucket = createMemoryBucket('payments');
  const provider = simulated(bucket);
  return { provider, second: simulated(bucket), ledger: provider.ledger, stop: async () => {} };
});

let server: TestServer | undefined;
beforeAll(async () => {
  server = await startTestServer();
}, 60_000);
afterAll(async () => {
  await server?.stop();
});

paymentContract('the simulated provider with its ledger on NATS', async () => {
  const name = `payments-${randomUUID().slice(0, 8)}`;
  const connections: NatsConnection[] = [];
  const open = async (): Promise<SimulatedProvider> => {
    const connection = await connect({ servers: server?.url ?? '', noAsyncTraces: true });
    connections.push(connection);
    const kind = { replicas: 1, persist: 'sync', storage: 'file' } as const;
    await ensureBucket(await jetstreamManager(connection), name, kind);
    const requests = createRequests(connection);
    const traits = { timeoutMs: 1_000, batches: true, announceLosses: false };
    return simulated(createNatsBucket({ requests, runtime: systemRuntime, name, ...traits }));
  };
  const provider = await open();
  const stop = async (): Promise<void> => {
    for (const connection of connections) await connection.close();
  };
  return { provider, second: await open(), ledger: provider.ledger, stop };
});

paymentContract('the HTTP provider', async () => {
  const behind = simulated(createMemoryBucket('payments'));
  const http = await startHttpServer(paymentApi(behind, API_KEY));
  // Repetitions of its own would hide how often the provider says "not now", and the breaker would open.
  const open = () =>
    createHttpProvider({
      baseUrl: http.url,
      apiKey: API_KEY,
      timeoutMs: 2_000,
      retries: 0,
      breaker: { failures: 1_000, openMs: 10 },
    });
  return { provider: open(), second: open(), ledger: behind.ledger, stop: http.stop };
});
