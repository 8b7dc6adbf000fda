import { isLive, webhook } from '../../domain/webhook.ts';
import {
  bucketStream,
  createGets,
  EventStoreError,
  type Log,
  loadAt,
  managerOf,
  messagesOf,
  type Requests,
  systemRuntime,
} from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { backlogOf } from '../../processes/delivery/flow.ts';
import { type DeliverySource, defaultDeliverySettings } from '../../processes/delivery/port.ts';
import type { StoredReceiver } from '../../processes/delivery/receiver.ts';
import { deliveryBucket } from '../../processes/delivery/worker.ts';
import { NOTIFICATIONS } from '../../processes/notification/adapters/receiver.ts';
import { WEBHOOKS } from '../../processes/webhook/directory.ts';
import { publicSources } from '../public-events.ts';
import { notificationReport } from '../status.ts';
import { bucketsOf } from '../with-nats.ts';

/** By the name of the consumer that delivers them: how many messages wait for their receivers. @throws LogUnavailable */
export type WaitingDeliveries = ReadonlyMap<string, () => Promise<number>>;

/** Counts what waits of notifications and webhooks, over all instances, from the places that are stored. */
export function waitingDeliveries(config: Config, requests: Requests, log: Log): WaitingDeliveries {
  return new Map([
    [
      NOTIFICATIONS,
      async () => (await notificationReport(config, requests, await managerOf(requests))).pending,
    ],
    [WEBHOOKS, () => waitingForWebhooks(config, requests, log)],
  ]);
}

async function waitingForWebhooks(config: Config, requests: Requests, log: Log): Promise<number> {
  const bucket = deliveryBucket(config.log.prefix);
  if ((await bucketsOf(config, requests).open(bucket)) === undefined) return 0;
  const heads = new Map<string, number>();
  for (const source of publicSources(config, requests)) heads.set(source.name, await headOf(source));
  const at = { now: systemRuntime.now(), maxOpen: defaultDeliverySettings.maxOpen };
  let waiting = 0;
  // Read message by message: every role may, and a consumer is more than most of them may have here.
  const gets = createGets(requests, bucketStream(bucket), config.nats.requestTimeoutMs);
  const keys = `$KV.${bucket}.receiver.`;
  for await (const { subject, data } of messagesOf(gets, `${keys}*`)) {
    const id = subject.slice(keys.length);
    if (id === NOTIFICATIONS || data.length === 0) continue;
    const place = JSON.parse(Buffer.from(data).toString('utf8')) as StoredReceiver;
    const { open, unread } = backlogOf(place, heads, true, at);
    if (open + unread === 0) continue;
    const { state } = await loadAt(log, webhook, id, {});
    // To one that is disabled nothing is on its way, and the place of one that was removed stays.
    if (isLive(state) && state.status === 'enabled') waiting += open + unread;
  }
  return waiting;
}

async function headOf(source: DeliverySource): Promise<number> {
  try {
    return await source.head();
  } catch (error) {
    if (error instanceof EventStoreError && error.code === 'stream/missing') return 0;
    throw error;
  }
}
