import { createHandler } from '../../src/eventstore/handler.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startEngine } from '../../src/processes/engine/engine.ts';
import { createNatsTimers } from '../../src/processes/engine/timers/nats-timers.ts';
import { createNatsOutbox } from '../../src/processes/notification/adapters/outbox.ts';
import { createDeadline, sweepDeadlines } from '../../src/processes/order/deadline.ts';
import { createSimulatedProvider } from '../../src/processes/payment/adapters/simulated.ts';
import { startProjections } from '../../src/projections/engine/start.ts';
import { customers } from '../../src/projections/views/customers.ts';
import { orders } from '../../src/projections/views/orders.ts';
import { ordersByUser } from '../../src/projections/views/orders-by-user.ts';
import { createAskToErase } from '../../src/service/personal/erasing.ts';
import { createCustomerDirectory, createOpenOrders } from '../../src/service/processes.ts';
import { reactions } from '../../src/service/shop.ts';
import { type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { createReadModels } from '../support/read-models.ts';
import { type Passes, watchedCalls } from './calls.ts';

/** A worker that has everything but has not begun. */
export interface OrderWorker {
  begin(): void;
  stop(): Promise<void>;
}

const TIMEOUT_MS = 1_000;
/** Who dies is replaced after this long. */
const TTL_MS = 800;
const ACK_WAIT_MS = 1_000;
const ANSWER_TIMEOUT_MS = 300;
const RETRIES = { backoffBaseMs: 50, backoffCapMs: 1_000, attempts: 1_000_000, retryUnknown: false };

/** The order process as the service runs it, on the real adapters, with every call of its ports told to `passes`. */
export async function openOrderWorker(url: string, passes: Passes): Promise<OrderWorker> {
  const handle = await openTestLog(url);
  let stop = async (): Promise<void> => undefined;
  return {
    begin: () => {
      stop = begin(handle, passes);
    },
    stop: async () => {
      await stop();
      await handle.close();
    },
  };
}

function begin({ log, requests }: LogHandle, passes: Passes): () => Promise<void> {
  const runtime = systemRuntime;
  const { prefix } = TEST_LOG;
  const bucketsOf = (announceLosses: boolean) =>
    createNatsBuckets({ requests, runtime, replicas: 1, timeoutMs: TIMEOUT_MS, announceLosses });
  const fatal = (what: string, error: unknown): void => console.error(`${what} has stopped`, error);
  const views = startProjections({
    log,
    buckets: bucketsOf(true),
    projections: [customers, orders, ordersByUser],
    runtime,
    onError: fatal,
  });
  const readSide = createReadModels({
    log,
    buckets: bucketsOf(false),
    runtime,
    requestCheckpoint: views.requestCheckpoint,
    coveredBy: views.coveredBy,
  });
  const timers = createNatsTimers({
    requests,
    runtime,
    prefix,
    timeoutMs: TIMEOUT_MS,
    ackWaitMs: ACK_WAIT_MS,
  });
  const openOrders = createOpenOrders(readSide);
  const watched = watchedCalls(
    {
      handler: createHandler({ log, runtime }),
      runtime,
      directory: createCustomerDirectory(readSide),
      payments: lazily(async () => {
        const bucket = await bucketsOf(false).create(`${prefix}_payments`, { durable: true });
        return createSimulatedProvider({ bucket, runtime, answerTimeoutMs: ANSWER_TIMEOUT_MS });
      }),
      timers,
      notifications: createNatsOutbox({ requests, prefix, timeoutMs: TIMEOUT_MS }),
      staleClaimMs: 10_000,
      askToErase: createAskToErase({ buckets: bucketsOf(false), prefix }),
    },
    passes,
  );
  const engine = startEngine({
    log,
    handler: watched.handler,
    buckets: bucketsOf(false),
    runtime,
    consumers: reactions.map(({ create }) => create({ ...watched, openOrders })),
    settings: { prefix, ...RETRIES, ttlMs: TTL_MS, instance: `worker-${process.pid}` },
    onError: fatal,
  });
  const fired = timers.deliver(createDeadline({ handler: watched.handler, runtime, timers }));
  // As at every start of the service; what cannot be reached just now is armed by its event.
  void sweepDeadlines({ handler: watched.handler, timers, openOrders }).catch(() => undefined);
  return async () => {
    await Promise.all([engine.stop(), fired.stop()]);
    readSide.stop();
    await views.stop();
  };
}

type Provider = ReturnType<typeof createSimulatedProvider>;

/** A provider that is opened when it is first asked. */
function lazily(open: () => Promise<Provider>): Omit<Provider, 'ledger'> {
  let opened: Promise<Provider> | undefined;
  const provider = (): Promise<Provider> => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  return {
    createIntent: async (intent) => (await provider()).createIntent(intent),
    authorise: async (key) => (await provider()).authorise(key),
    capture: async (key) => (await provider()).capture(key),
    cancel: async (key) => (await provider()).cancel(key),
    refund: async (key) => (await provider()).refund(key),
  };
}
