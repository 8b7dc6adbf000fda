import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { createNatsBucket } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { LedgerEntry } from '../../src/processes/payment/adapters/ledger.ts';
import {
  createSimulatedProvider,
  type SimulatedProvider,
} from '../../src/processes/payment/adapters/simulated.ts';
import { PaymentUnavailable } from '../../src/processes/payment/port.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';

const BUCKET = 'payments';

async function open(url: string): Promise<AsyncDisposable & { provider: SimulatedProvider }> {
  const connection = await connect({
    servers: url,
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  const kind = { replicas: 1, persist: 'sync', storage: 'file' } as const;
  await ensureBucket(await jetstreamManager(connection), BUCKET, kind);
  const requests = createRequests(connection);
  const traits = { timeoutMs: 500, batches: true, announceLosses: false };
  const settings = { requests, runtime: systemRuntime, name: BUCKET, ...traits };
  return {
    provider: createSimulatedProvider({
      bucket: createNatsBucket(settings),
      runtime: systemRuntime,
      answerTimeoutMs: 50,
    }),
    [Symbol.asyncDispose]: async () => {
      requests.close();
      await connection.close();
    },
  };
}

async function entriesOf(provider: SimulatedProvider): Promise<Map<string, LedgerEntry>> {
  const entries = new Map<string, LedgerEntry>();
  for await (const entry of provider.ledger()) entries.set(entry.key, entry);
  return entries;
}

describe('the ledger of the simulated provider', () => {
  it('outlives the service and the server, to the minor unit and the millisecond', async () => {
    await using server = await startTestServer({ syncAlways: true });
    await using first = await open(server.url);
    const { provider } = first;
    const tokens = ['tok_success', 'tok_declined', 'tok_timeout', 'tok_capture_declined'];
    for (const [index, token] of tokens.entries()) {
      const key = `order-${index}`;
      await provider.createIntent({ key, amountMinor: BigInt(1_001 * (index + 1)), currency: 'EUR', token });
      await provider.authorise(key).catch(() => undefined);
      if (token !== 'tok_declined') await provider.capture(key);
    }
    await provider.cancel('order-early');
    await provider.refund('order-0');
    const before = await entriesOf(provider);
    expect(before.size).toBe(5);

    await server.kill9();
    await expect(provider.refund('order-2')).rejects.toThrow(PaymentUnavailable);
    await server.restart();

    await using second = await open(server.url);
    await until('it answers', async () => (await entriesOf(second.provider)).size === 5);
    expect(await entriesOf(second.provider)).toEqual(before);
    expect(await second.provider.refund('order-2')).toMatchObject({ amountMinor: 3_003n });
    expect(await second.provider.authorise('order-early')).toEqual({ outcome: 'cancelled' });
  }, 30_000);
});
