import type { Meter } from '@opentelemetry/api';
import { type LiveWebhook, type WebhookCommand, type WebhookRejection, webhook } from '../domain/webhook.ts';
import {
  type CommandHandler,
  type CommandMeta,
  EventStoreError,
  positionOf,
  systemRuntime,
} from '../eventstore/index.ts';
import { type Attempts, openAttempts } from '../processes/delivery/adapters/attempts.ts';
import { createDialler } from '../processes/delivery/adapters/dial.ts';
import type { Deliverable, DeliveryOutlet, EventPlace, GivenUpEvent } from '../processes/delivery/port.ts';
import { deliveryWorker } from '../processes/delivery/worker.ts';
import {
  type Buckets,
  type EngineObserver,
  type GivenUpMessage,
  openMessageDeadLetters,
  type Worker,
} from '../processes/engine/index.ts';
import { send } from '../processes/webhook/adapters/deliver.ts';
import { followWebhooks, WEBHOOKS } from '../processes/webhook/directory.ts';
import type { Base } from './base.ts';
import { publicSources } from './public-events.ts';

interface WebhookDeps extends Pick<Base, 'config' | 'nats' | 'log' | 'logger' | 'metering'> {
  readonly handler: CommandHandler;
  readonly buckets: Buckets;
  readonly observer: EngineObserver;
}

/** Delivers public events to webhooks; the worker is the engine's to run. */
export function startWebhooks(deps: WebhookDeps): { readonly worker: Worker; stop(): Promise<void> } {
  const { config, nats, log, logger, buckets, observer } = deps;
  const { requests } = nats;
  const { prefix } = config.log;
  const runtime = systemRuntime;
  const timeoutMs = config.nats.requestTimeoutMs;
  const { maxInFlight, giveUpMs } = config.webhooks;
  const trouble = (what: string, err: unknown): void => logger.warn({ err }, what);
  const attempts = openAttempts(requests, prefix, timeoutMs);
  const { sendTo, close } = createSender(deps, attempts);
  const receivers = followWebhooks({ log, runtime, trouble, sendTo });
  const deadLetters = openMessageDeadLetters({
    ...{ buckets, prefix, runtime, name: WEBHOOKS, observer, onTrouble: trouble },
    again: async ({ id, events }, { at }) => {
      for (const { payload } of events) await requestAgain(deps, id, payload as KeptEvent, at);
    },
  });
  const worker = deliveryWorker({
    ...{ name: WEBHOOKS, buckets, prefix, runtime, receivers },
    sources: publicSources(config, requests),
    outlet: outletOf(deps, attempts, (given) => deadLetters.keep(deadLetterOf(given))),
    settings: { maxInFlight, giveUpMs },
  });
  return {
    worker,
    stop: async () => {
      receivers.stop();
      close();
      await deadLetters.stop();
    },
  };
}

/** Sends one event, signed with every secret that holds now, and keeps what came of it. */
function createSender({ config, nats, metering }: WebhookDeps, attempts: Attempts) {
  const { targets, timeoutMs } = config.webhooks;
  const runtime = systemRuntime;
  const dialler = createDialler({ targets, timeoutMs });
  const count = metering && countDeliveries(metering.meter);
  const secretsOf = (id: string, { secretId, previous }: LiveWebhook): readonly string[] => {
    const before = previous !== undefined && previous.until > runtime.now() ? [previous.secretId] : [];
    return [secretId, ...before].map((secret) => nats.emailKey.webhookSecret(id, secret));
  };
  return {
    sendTo: async (id: string, state: LiveWebhook, event: Deliverable, attempt: number) => {
      const to = { url: state.url, secrets: secretsOf(id, state) };
      const { tried, kept } = await send({ dialler, runtime }, to, event, attempt);
      attempts.keep(id, kept);
      count?.(tried.taken ? 'taken' : 'failed');
      return tried;
    },
    close: dialler.close,
  };
}

function countDeliveries(meter: Meter): (outcome: 'taken' | 'failed') => void {
  const deliveries = meter.createCounter('jetledger.webhook.deliveries', {
    description: 'Tries to deliver events to webhooks by what came of them',
  });
  for (const outcome of ['taken', 'failed'] as const) deliveries.add(0, { outcome });
  return (outcome) => deliveries.add(1, { outcome });
}

/** What a dead letter holds: enough to find the event again. */
interface KeptEvent extends EventPlace {
  readonly eventId: string;
}

function deadLetterOf({ receiver, event, attempts, firstAt, error }: GivenUpEvent): GivenUpMessage {
  const { source, position, id: eventId, type } = event;
  const payload: KeptEvent = { eventId, source, position };
  return {
    stream: { category: webhook.category, id: receiver },
    position: positionOf(position),
    ...{ type, payload, attempts, firstAt, traceId: '' },
    error: new Error(`The webhook did not take it: ${error}.`),
  };
}

async function requestAgain(
  deps: WebhookDeps,
  id: string,
  { eventId, ...place }: KeptEvent,
  at: number,
): Promise<void> {
  const requestId = `again-${at}-${place.source}-${place.position}`;
  const command = { type: 'requestEvent', requestId, eventId, place, at } as const;
  const refused = await ask(deps, id, command, `${id}/${requestId}`);
  // Some of those before are through soon.
  if (refused?.code === 'webhook/too-many-requests')
    throw new EventStoreError(refused.code, refused.message, { retryable: true });
}

/** A command of the service's own; why it was refused. For a webhook that was removed meanwhile nothing is left to do. */
async function ask(
  { handler }: WebhookDeps,
  id: string,
  command: WebhookCommand,
  commandId: string,
): Promise<WebhookRejection | undefined> {
  const meta: CommandMeta = { commandId, actor: WEBHOOKS };
  const result = await handler.execute(webhook, id, command, meta);
  return result.outcome === 'rejected' ? result.rejection : undefined;
}

function outletOf(deps: WebhookDeps, attempts: Attempts, giveUp: DeliveryOutlet['giveUp']): DeliveryOutlet {
  const { logger, config } = deps;
  const runtime = systemRuntime;
  return {
    giveUp: async (given) => {
      await giveUp(given);
      const { receiver, event, error } = given;
      logger.error({ webhookId: receiver, eventId: event.id, reason: error }, 'an event was given up');
    },
    disable: async (id, cause, reason) => {
      const command = { type: 'disable', cause, reason, at: runtime.now() } as const;
      await ask(deps, id, command, runtime.id());
      logger.error(
        { webhookId: id, cause, reason },
        'a webhook was disabled: nothing is sent to it until it is enabled',
      );
    },
    complete: async (id, requestId, counts) => {
      const command = { type: 'complete', requestId, ...counts, at: runtime.now() } as const;
      await ask(deps, id, command, `${id}/${requestId}/complete`);
    },
    testEvent: (requestId, at) => ({
      ...{ source: '', position: 0, id: requestId, type: 'jetledger.webhook.test', subject: '', time: at },
      body: () =>
        JSON.stringify({
          specversion: '1.0',
          id: requestId,
          source: `/${config.log.stream}/webhooks`,
          type: 'jetledger.webhook.test',
          time: new Date(at).toISOString(),
          datacontenttype: 'application/json',
          data: {},
        }),
    }),
    find: async (id, eventId) => (await attempts.list(id)).find((attempt) => attempt.id === eventId),
    trouble: (what, err) => logger.warn({ err }, what),
  };
}
