import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { UseCases } from '../app/use-cases.ts';
import type { CommandHandler } from '../eventstore/command.ts';
import type { Log } from '../eventstore/log.ts';
import { createNatsBuckets } from '../eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { Config } from '../platform/config/schema.ts';
import { checkStreams } from '../platform/topology.ts';
import { createNatsTimers } from '../processes/engine/adapters/timers-nats.ts';
import { checkGroups } from '../processes/engine/check-groups.ts';
import type { Consumer } from '../processes/engine/consumer.ts';
import { type Engine, startEngine } from '../processes/engine/engine.ts';
import { logEngine } from '../processes/engine/logged-engine.ts';
import { meterEngine } from '../processes/engine/metered-engine.ts';
import type { EngineObserver } from '../processes/engine/observer.ts';
import { combineObservers } from '../processes/engine/observers.ts';
import type { Timer, Timers } from '../processes/engine/timers.ts';
import { startDelivery } from '../processes/notification/adapters/delivery.ts';
import { createLogNotifier } from '../processes/notification/adapters/log.ts';
import { createNatsOutbox } from '../processes/notification/adapters/outbox-nats.ts';
import { createWebhookNotifier } from '../processes/notification/adapters/webhook.ts';
import type { Notifier } from '../processes/notification/port.ts';
import { consumerDescriptions, createConsumers } from '../processes/order-process/consumers.ts';
import { createDeadline, PAYMENT_DEADLINE, sweepDeadlines } from '../processes/order-process/deadline.ts';
import { createClaimTimeout, EMAIL_CLAIM } from '../processes/order-process/email-backstop.ts';
import { createHttpProvider } from '../processes/payment/adapters/http.ts';
import { createSimulatedProvider } from '../processes/payment/adapters/simulated.ts';
import type { PaymentProvider } from '../processes/payment/port.ts';
import { type Exchange, plainExchange, tracedExchange } from '../processes/telemetry/client-span.ts';
import { traceDelivery } from '../processes/telemetry/traced-delivery.ts';
import { traceOutbox } from '../processes/telemetry/traced-outbox.ts';
import { traceSteps } from '../processes/telemetry/traced-steps.ts';
import { traceFiring } from '../processes/telemetry/traced-timers.ts';
import { traceTries } from '../processes/telemetry/traced-tries.ts';
import { meteredExchange } from '../processes/telemetry-metrics/http-calls.ts';
import { meterNotifications } from '../processes/telemetry-metrics/notifications.ts';
import { meterOrders } from '../processes/telemetry-metrics/orders.ts';
import { meterTimers } from '../processes/telemetry-metrics/timers.ts';
import type { ReadSide } from '../projections/read-side.ts';
import type { Metering } from './metering.ts';
import type { Nats } from './open.ts';
import { createCustomerDirectory, createOpenOrders } from './order-side.ts';
import { streamsOf } from './streams.ts';

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
  readonly readSide: ReadSide;
  readonly logger: Logger;
  readonly metering: Metering | undefined;
  readonly tracer: Tracer | undefined;
}

const SWEEP_EVERY_MS = 3_600_000;
const PAYMENT_BUCKET = 'payments';

/** Starts the order process and what belongs to it: consumers, timers, deliveries, the hourly sweep. */
export async function startProcesses(deps: ProcessDeps): Promise<Processes> {
  const { config, nats, log, handler, logger, metering } = deps;
  await checkStreams(nats.connection, streamsOf(config));
  const { prefix, replicas } = config.log;
  const { requests } = nats;
  const runtime = systemRuntime;
  const timeoutMs = config.nats.requestTimeoutMs;
  const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
  const { groups, parkAfterMs: spillMs } = config.processes;
  await checkGroups({ buckets, prefix }, consumerDescriptions, groups);
  const onTrouble = (what: string, err: unknown): void => logger.warn({ err }, what);
  const timers = createNatsTimers({ requests, runtime, prefix, timeoutMs, onTrouble });
  const payments = await paymentProvider(config, deps, () =>
    buckets.create(`${prefix}_${PAYMENT_BUCKET}`, { durable: true }),
  );
  const engine = startEngine({
    log,
    buckets,
    runtime,
    consumers: consumersOf(deps, timers, payments),
    settings: { prefix, groups, spillMs, instance: config.service.name },
    onError: (consumer, err) => logger.error({ consumer, err }, 'a consumer has stopped'),
    observer: observerOf(deps),
  });
  const handled = timerHandler(deps);
  const { tracer } = deps;
  const onTimer = tracer ? traceFiring(handled, { tracer, prefix, now: runtime.now }) : handled;
  const kinds = [PAYMENT_DEADLINE, EMAIL_CLAIM];
  const fired = timers.deliver(metering ? meterTimers(metering.meter, kinds, onTimer) : onTimer);
  const delivery = startDelivery({
    connection: nats.connection,
    runtime,
    prefix,
    notifier: notifierOf(deps),
    onTrouble,
    ...(tracer && { around: traceDelivery(tracer) }),
    ...(metering && { onOutcome: meterNotifications(metering.meter) }),
    onGivenUp: ({ notification, error }) =>
      logger.error({ notificationId: notification?.id, err: error }, 'a notification was given up'),
  });
  const openOrders = createOpenOrders(deps.readSide);
  const sweep = (): void => {
    sweepDeadlines({ handler, timers, openOrders }).catch((err: unknown) =>
      onTrouble('arming deadlines', err),
    );
  };
  sweep();
  const sweeping = setInterval(sweep, SWEEP_EVERY_MS);
  return {
    status: engine.status,
    stop: async () => {
      clearInterval(sweeping);
      await Promise.all([engine.stop(), fired.stop(), delivery.stop()]);
    },
  };
}

function consumersOf(deps: ProcessDeps, timers: Timers, payments: PaymentProvider): Consumer[] {
  const { config, nats, handler, readSide } = deps;
  const runtime = systemRuntime;
  const { prefix } = config.log;
  const { requests } = nats;
  const outbox = createNatsOutbox({ requests, prefix, timeoutMs: config.nats.requestTimeoutMs });
  const { tracer } = deps;
  const notifications = tracer ? traceOutbox(outbox, { tracer, prefix }) : outbox;
  const directory = createCustomerDirectory(readSide);
  const openOrders = createOpenOrders(readSide);
  const { staleClaimMs } = config.users;
  const { retryFirstMs: baseMs, retryLongestMs: capMs, retryAttempts: maxAttempts } = config.processes;
  const traced = tracer && { aroundStep: traceSteps(tracer) };
  const ports = { directory, openOrders, payments, timers, notifications, ...traced };
  return createConsumers({ handler, runtime, staleClaimMs, ...ports }, { baseMs, capMs, maxAttempts });
}

function timerHandler({ handler, useCases }: ProcessDeps): (fired: Timer) => Promise<void> {
  const expire = createDeadline({ handler, runtime: systemRuntime });
  const lookAgain = createClaimTimeout(useCases.abandonStaleClaim);
  return async (fired) => {
    if (fired.kind === PAYMENT_DEADLINE) await expire(fired);
    else if (fired.kind === EMAIL_CLAIM) await lookAgain(fired);
    else throw new Error(`Nobody handles timers of the kind ${fired.kind}.`);
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
  const exchange = exchangeWith(deps, 'payment');
  return createHttpProvider({ baseUrl: url, apiKey, timeoutMs, onBreaker, exchange });
}

function notifierOf(deps: ProcessDeps): Notifier {
  const { adapter, url, secret } = deps.config.notifications;
  return adapter === 'log'
    ? createLogNotifier(deps.logger)
    : createWebhookNotifier({
        url,
        secret,
        runtime: systemRuntime,
        exchange: exchangeWith(deps, 'webhook'),
      });
}

/** How another system is asked over HTTP. */
function exchangeWith({ metering, tracer }: ProcessDeps, server: 'payment' | 'webhook'): Exchange {
  const exchange = tracer === undefined ? plainExchange : tracedExchange(tracer);
  return metering === undefined ? exchange : meteredExchange(exchange, metering.meter, server);
}

/** What is told of each try of a consumer. */
function observerOf({ metering, tracer, logger, config }: ProcessDeps): EngineObserver {
  const names = consumerDescriptions.map(({ name }) => name);
  return combineObservers(
    tracer && traceTries({ tracer, prefix: config.log.prefix }),
    logEngine(logger),
    metering && meterEngine(metering.meter, names),
    metering && meterOrders(metering.meter),
  );
}
