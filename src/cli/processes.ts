import type { Logger } from 'pino';
import type { UseCases } from '../app/use-cases.ts';
import type { CommandHandler } from '../eventstore/command.ts';
import type { Log } from '../eventstore/log.ts';
import { createNatsBuckets } from '../eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { Config } from '../platform/config/schema.ts';
import { checkStreams } from '../platform/topology.ts';
import { createNatsTimers } from '../processes/engine/adapters/timers-nats.ts';
import type { Consumer } from '../processes/engine/consumer.ts';
import { type Engine, startEngine } from '../processes/engine/engine.ts';
import type { Timer, Timers } from '../processes/engine/timers.ts';
import { startDelivery } from '../processes/notification/adapters/delivery.ts';
import { createLogNotifier } from '../processes/notification/adapters/log.ts';
import { createNatsOutbox } from '../processes/notification/adapters/outbox-nats.ts';
import { createWebhookNotifier } from '../processes/notification/adapters/webhook.ts';
import type { Notifier } from '../processes/notification/port.ts';
import { createCustomerWatch } from '../processes/order-process/customer-watch.ts';
import { createDeadline, PAYMENT_DEADLINE, sweepDeadlines } from '../processes/order-process/deadline.ts';
import {
  createClaimTimeout,
  createEmailBackstop,
  EMAIL_CLAIM,
} from '../processes/order-process/email-backstop.ts';
import { createOrderProcess } from '../processes/order-process/order-process.ts';
import { createStockWatch } from '../processes/order-process/stock-watch.ts';
import { createHttpProvider } from '../processes/payment/adapters/http.ts';
import { createSimulatedProvider } from '../processes/payment/adapters/simulated.ts';
import type { PaymentProvider } from '../processes/payment/port.ts';
import type { ReadSide } from '../projections/read-side.ts';
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
}

const SWEEP_EVERY_MS = 3_600_000;
const PAYMENT_BUCKET = 'payments';

/** Starts the order process and what belongs to it: consumers, timers, deliveries, the hourly sweep. */
export async function startProcesses(deps: ProcessDeps): Promise<Processes> {
  const { config, nats, log, handler, logger } = deps;
  await checkStreams(nats.connection, streamsOf(config));
  const { prefix, replicas } = config.log;
  const { requests } = nats;
  const runtime = systemRuntime;
  const timeoutMs = config.nats.requestTimeoutMs;
  const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
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
    settings: { prefix, groups: config.processes.groups, instance: config.service.name },
    onError: (consumer, err) => logger.error({ consumer, err }, 'a consumer has stopped'),
  });
  const fired = timers.deliver(timerHandler(deps));
  const delivery = startDelivery({
    connection: nats.connection,
    runtime,
    prefix,
    notifier: notifierOf(config, logger),
    onTrouble,
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
  const notifications = createNatsOutbox({
    requests: nats.requests,
    prefix,
    timeoutMs: config.nats.requestTimeoutMs,
  });
  const directory = createCustomerDirectory(readSide);
  const openOrders = createOpenOrders(readSide);
  const { staleClaimMs } = config.users;
  return [
    createOrderProcess({ handler, runtime, directory, payments, timers, notifications }) as Consumer,
    createStockWatch({ handler, runtime }) as Consumer,
    createCustomerWatch({ handler, runtime, directory, openOrders }) as Consumer,
    createEmailBackstop({ runtime, timers, staleClaimMs }) as Consumer,
  ];
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
  { logger }: ProcessDeps,
  ledger: () => Promise<Parameters<typeof createSimulatedProvider>[0]['bucket']>,
): Promise<PaymentProvider> {
  const { adapter, url, apiKey, timeoutMs } = payment;
  if (adapter === 'simulated')
    return createSimulatedProvider({ bucket: await ledger(), runtime: systemRuntime });
  const onBreaker = (state: string): void =>
    logger.warn({ state }, 'circuit breaker of the payment provider');
  return createHttpProvider({ baseUrl: url, apiKey, timeoutMs, onBreaker });
}

function notifierOf({ notifications }: Config, logger: Logger): Notifier {
  const { adapter, url, secret } = notifications;
  return adapter === 'log'
    ? createLogNotifier(logger)
    : createWebhookNotifier({ url, secret, runtime: systemRuntime });
}
