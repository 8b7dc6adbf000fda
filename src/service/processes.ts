import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { UseCases } from '../app/use-cases.ts';
import {
  BEGINNING,
  type CommandHandler,
  combineObservers,
  createNatsBuckets,
  type Log,
  systemRuntime,
} from '../eventstore/index.ts';
import type { Config } from '../platform/config/schema.ts';
import { checkStreams } from '../platform/topology.ts';
import {
  checkGroups,
  createNatsTimers,
  type Engine,
  type EngineObserver,
  type EngineSettings,
  logEngine,
  meterEngine,
  type Reaction,
  startEngine,
  type Timer,
  type Timers,
  traceEngine,
} from '../processes/engine/index.ts';
import { type ExchangeObserver, meterExchange, traceExchange } from '../processes/exchange.ts';
import type { NotificationOutbox } from '../processes/notification/port.ts';
import { sweepDeadlines } from '../processes/order/deadline.ts';
import {
  type AskToErase,
  type CustomerDirectory,
  NotSeenYet,
  type OpenOrders,
} from '../processes/order/ports.ts';
import { meterOrders, traceSteps } from '../processes/order/telemetry.ts';
import { createHttpProvider } from '../processes/payment/adapters/http.ts';
import { createSimulatedProvider } from '../processes/payment/adapters/simulated.ts';
import type { PaymentProvider } from '../processes/payment/port.ts';
import { type Page, type PageRequest, ViewBehind, type ViewReader } from '../projections/engine/index.ts';

import { type CustomerQueries, customerQueries } from '../projections/views/customers.ts';
import { type OrderQueries, orderQueries } from '../projections/views/orders.ts';
import { type OrdersByUserQueries, ordersByUserQueries } from '../projections/views/orders-by-user.ts';
import { type Metering, NAMESPACE } from './metering.ts';
import { startNotifications } from './notifications.ts';
import type { Nats } from './open.ts';
import { createAskToErase } from './personal/erasing.ts';
import { createPublishers } from './public-events.ts';
import { consumers, reactions, timers as timerKinds } from './shop.ts';
import { streamsOf } from './topology.ts';
import { startWebhooks } from './webhooks.ts';

const PAGE = 200;

/** The order side's directory of customers: a view of user events, waited for where a decision needs it. */
export function createCustomerDirectory(customers: CustomerQueries): CustomerDirectory {
  return {
    customer: async (userId, asOfPosition) => {
      const row = await seen(() => customers.customer(userId, { minPosition: asOfPosition }));
      if (row === undefined) return 'unknown';
      const { status } = JSON.parse(Buffer.from(row.json).toString('utf8')) as {
        status: 'active' | 'deactivated' | 'forgotten';
      };
      return status;
    },
  };
}

/** Which orders are open, from the read models. */
export function createOpenOrders(
  orders: Pick<OrderQueries, 'placedOrders'> & OrdersByUserQueries,
): OpenOrders {
  return {
    ofUser: async function* (userId, asOfPosition) {
      const pages = allPages((page) => orders.ordersOfUser(userId, { ...page, minPosition: asOfPosition }));
      for await (const { id, status } of pages) if (status === 'placed' || status === 'confirmed') yield id;
    },
    awaitingPayment: async function* () {
      yield* orders.placedOrders();
    },
  };
}

function openOrdersOf(views: ViewReader): OpenOrders {
  return createOpenOrders({ ...orderQueries(views), ...ordersByUserQueries(views) });
}

async function* allPages(
  ask: (page: PageRequest) => Promise<Page>,
): AsyncGenerator<{ readonly id: string; readonly status: string }> {
  let cursor: string | undefined;
  do {
    const page = await seen(() => ask({ limit: PAGE, cursor }));
    for (const item of page.items) {
      yield JSON.parse(Buffer.from(item).toString('utf8')) as { id: string; status: string };
    }
    cursor = page.next;
  } while (cursor !== undefined);
}

async function seen<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ViewBehind) throw new NotSeenYet(error.view, error.wanted);
    throw error;
  }
}

/** Everything that reacts to events in this process. */
export interface Processes {
  readonly status: Engine['status'];
  stop(): Promise<void>;
}

export interface ProcessDeps {
  readonly config: Config;
  readonly nats: Nats;
  readonly log: Log;
  readonly handler: CommandHandler;
  readonly useCases: UseCases;
  readonly views: ViewReader;
  readonly logger: Logger;
  readonly metering: Metering | undefined;
  readonly tracer: Tracer | undefined;
}

const SWEEP_EVERY_MS = 3_600_000;
const PAYMENT_BUCKET = 'payments';

/** Starts the order process and what belongs to it: consumers, timers, deliveries, the hourly sweep. */
export async function startProcesses(deps: ProcessDeps): Promise<Processes> {
  const { config, nats, log, handler, logger } = deps;
  await checkStreams(nats.requests, streamsOf(config));
  const { prefix, replicas } = config.log;
  const { requests } = nats;
  const runtime = systemRuntime;
  const timeoutMs = config.nats.requestTimeoutMs;
  const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
  await checkGroups({ buckets, prefix }, consumers, config.processes.groups);
  const onTrouble = (what: string, err: unknown): void => logger.warn({ err }, what);
  const observer = observerOf(deps);
  // Read before requests are answered, so that a reaction that begins now misses none of them.
  const head = await log.head();
  const timers = createNatsTimers({ requests, runtime, prefix, timeoutMs, onTrouble, observer });
  const payments = await paymentProvider(config, deps, () =>
    buckets.create(`${prefix}_${PAYMENT_BUCKET}`, { durable: true }),
  );
  const isForgotten = isForgottenIn(deps.views);
  const notifications = startNotifications({ ...deps, buckets, observer, isForgotten });
  const askToErase = createAskToErase({ buckets, prefix });
  const webhooks = startWebhooks({ ...deps, buckets, observer });
  const engine = startEngine({
    log,
    handler,
    buckets,
    runtime,
    consumers: [
      ...consumersOf(deps, askToErase, timers, payments, notifications.outbox),
      ...(await createPublishers({ config, requests, log }, buckets)),
    ],
    workers: [notifications.worker, webhooks.worker],
    head,
    settings: { prefix, instance: config.service.name, ...engineSettingsOf(config.processes) },
    onError: (consumer, err) => logger.error({ consumer, err }, 'a consumer has stopped'),
    observer,
  });
  const fired = timers.deliver(timerHandler(deps, timers, askToErase));
  const sweeping = sweepHourly(deps, timers, onTrouble);
  return {
    status: engine.status,
    stop: async () => {
      clearInterval(sweeping);
      await Promise.all([engine.stop(), fired.stop()]);
      await Promise.all([notifications.stop(), webhooks.stop()]);
    },
  };
}

function sweepHourly(
  { handler, views }: ProcessDeps,
  timers: Timers,
  onTrouble: (what: string, err: unknown) => void,
): NodeJS.Timeout {
  const openOrders = openOrdersOf(views);
  const sweep = (): void => {
    sweepDeadlines({ handler, timers, openOrders }).catch((err: unknown) =>
      onTrouble('arming deadlines', err),
    );
  };
  sweep();
  return setInterval(sweep, SWEEP_EVERY_MS);
}

/** A bug is a dead letter at once: nobody waits for the retries of what cannot work. */
function engineSettingsOf(processes: Config['processes']): Partial<EngineSettings> {
  const { groups, parkAfterMs, retryFirstMs, retryLongestMs, retryAttempts } = processes;
  return {
    groups,
    deadLetterAfterMs: parkAfterMs,
    backoffBaseMs: retryFirstMs,
    backoffCapMs: retryLongestMs,
    attempts: retryAttempts,
    retryUnknown: false,
  };
}

function isForgottenIn(views: ProcessDeps['views']): (userId: string) => Promise<boolean> {
  const directory = createCustomerDirectory(customerQueries(views));
  return async (userId) => (await directory.customer(userId, BEGINNING)) === 'forgotten';
}

function consumersOf(
  deps: ProcessDeps,
  askToErase: AskToErase,
  timers: Timers,
  payments: PaymentProvider,
  notifications: NotificationOutbox,
): Reaction[] {
  const { config, views } = deps;
  const runtime = systemRuntime;
  const directory = createCustomerDirectory(customerQueries(views));
  const openOrders = openOrdersOf(views);
  const { staleClaimMs } = config.users;
  const traced = deps.tracer && { aroundStep: traceSteps(deps.tracer) };
  const ports = { directory, openOrders, payments, timers, notifications, askToErase, ...traced };
  return reactions.map(({ create }) => create({ runtime, staleClaimMs, ...ports }));
}

function timerHandler(
  { handler, useCases }: ProcessDeps,
  armed: Pick<Timers, 'arm' | 'disarm'>,
  askToErase: AskToErase,
): (fired: Timer) => Promise<void> {
  const { abandonStaleClaim, forgetWhenDue } = useCases;
  const deps = {
    handler,
    runtime: systemRuntime,
    timers: armed,
    abandonStaleClaim,
    forgetWhenDue,
    askToErase,
  };
  const handlers = new Map(timerKinds.map(({ kind, create }) => [kind, create(deps)]));
  return async (fired) => {
    const handle = handlers.get(fired.kind);
    if (handle === undefined) throw new Error(`Nobody handles timers of the kind ${fired.kind}.`);
    await handle(fired);
  };
}

async function paymentProvider(
  { payment }: Config,
  deps: ProcessDeps,
  ledger: () => Promise<Parameters<typeof createSimulatedProvider>[0]['bucket']>,
): Promise<PaymentProvider> {
  const { adapter, url, apiKey, timeoutMs } = payment;
  if (adapter === 'simulated')
    return createSimulatedProvider({ bucket: await ledger(), runtime: systemRuntime });
  const onBreaker = (state: string): void =>
    deps.logger.warn({ state }, 'circuit breaker of the payment provider');
  const { metering, tracer } = deps;
  const observer = combineObservers<ExchangeObserver>(
    tracer && traceExchange(tracer),
    metering && meterExchange(metering.meter, 'payment'),
  );
  return createHttpProvider({ baseUrl: url, apiKey, timeoutMs, onBreaker, observer });
}

/** Who listens to the engine and to its timers. */
function observerOf({ metering, tracer, logger, config }: ProcessDeps): EngineObserver {
  const timers = timerKinds.map(({ kind }) => kind);
  return combineObservers<EngineObserver>(
    tracer && traceEngine({ tracer, prefix: config.log.prefix, now: systemRuntime.now }),
    logEngine(logger),
    metering &&
      meterEngine(metering.meter, {
        namespace: NAMESPACE,
        consumers: consumers.map(({ name }) => name),
        timers,
      }),
    metering && meterOrders(metering.meter),
  );
}
