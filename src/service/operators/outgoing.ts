import type {
  NotificationsAdmin,
  NotificationsSituation,
  WebhookSituation,
  WebhooksAdmin,
} from '../../api/operators/ports.ts';
import {
  type Bucket,
  createGets,
  isStreamMissing,
  managerOf,
  type Requests,
  type Runtime,
} from '../../eventstore/index.ts';
import type { Attempts } from '../../processes/delivery/adapters/attempts.ts';
import { backlogOf } from '../../processes/delivery/flow.ts';
import { type DeliverySource, defaultDeliverySettings } from '../../processes/delivery/port.ts';
import type { StoredReceiver } from '../../processes/delivery/receiver.ts';
import { deliveryBucket, readPlace } from '../../processes/delivery/worker.ts';
import { type Buckets, type DeadLetterPort, parseRow } from '../../processes/engine/index.ts';
import { notificationStream, parseNotification } from '../../processes/notification/adapters/outbox.ts';
import { NOTIFICATIONS } from '../../processes/notification/adapters/receiver.ts';
import type { ViewReader } from '../../projections/engine/index.ts';
import { type WebhookRow, webhookQueries } from '../../projections/views/webhooks.ts';

const RECENT = 20;

/** The notifications, from their stream and the place of their delivery. */
export function createNotificationsAdmin(deps: {
  readonly requests: Requests;
  readonly buckets: Pick<Buckets, 'open'>;
  readonly prefix: string;
  readonly timeoutMs: number;
  readonly parked: Pick<DeadLetterPort, 'list'>;
}): NotificationsAdmin {
  const { requests, buckets, prefix, timeoutMs, parked } = deps;
  const stream = notificationStream(prefix);
  const gets = createGets(requests, stream, timeoutMs);
  const subject = `${prefix}n.>`;
  const stateOf = async () => {
    try {
      return (await (await managerOf(requests, timeoutMs)).streams.info(stream)).state;
    } catch (error) {
      if (isStreamMissing(error)) return undefined;
      throw error;
    }
  };
  return async () => {
    const [state, stored, letters] = await Promise.all([
      stateOf(),
      readPlace(buckets, prefix, NOTIFICATIONS),
      parked.list({ consumer: NOTIFICATIONS }),
    ]);
    const dead = letters.length;
    if (state === undefined) return { kept: 0, dead, recent: [] };
    const { last_seq: last, first_seq: first, messages: kept } = state;
    const from = Math.max(first, last - RECENT + 1);
    const found = await gets.directBatch({ next_by_subj: subject, seq: Math.max(1, from), batch: RECENT });
    const place = stored?.sources[stream];
    const queue = place && queueOf(place, state);
    const seq = place && (place.open[0]?.[0] ?? place.high + 1);
    const oldest =
      seq !== undefined && seq <= last ? await gets.leader({ next_by_subj: subject, seq }) : undefined;
    return {
      ...{ kept, dead },
      ...(queue && { queue }),
      ...(oldest?.time !== undefined && { oldestAt: oldest.time }),
      recent: found
        .flatMap(({ data, seq }) => {
          const notification = readable(data);
          return notification === undefined ? [] : [{ ...notification, state: reached(seq, place) }];
        })
        .reverse(),
    };
  };
}

type Place = StoredReceiver['sources'][string];

/** How many notifications of a stream are not through. */
export function queueOf(
  { high, open }: Pick<Place, 'high' | 'open'>,
  { first_seq: first, last_seq: last }: { readonly first_seq: number; readonly last_seq: number },
): NonNullable<NotificationsSituation['queue']> {
  return {
    waiting: Math.max(0, last - Math.max(high, first - 1)),
    open: open.length,
    retried: open.filter(([, , attempts]) => attempts > 0).length,
  };
}

/** What was told to whom; its text is for them. Undefined for a message that is none. */
function readable(data: Uint8Array) {
  try {
    const { id, kind, userId, orderId, time: at } = parseNotification(Buffer.from(data).toString('utf8'));
    return { id, kind, userId, ...(orderId !== undefined && { orderId }), at };
  } catch {
    return undefined;
  }
}

function reached(seq: number, place: Place | undefined): NotificationsSituation['recent'][number]['state'] {
  if (place === undefined) return 'unknown';
  if (seq > place.high) return 'waiting';
  return place.open.some(([position]) => position === seq) ? 'begun' : 'through';
}

export interface WebhooksDeps {
  readonly views: ViewReader;
  readonly buckets: Pick<Buckets, 'open'>;
  readonly prefix: string;
  readonly runtime: Pick<Runtime, 'now'>;
  /** What they are sent from. */
  readonly sources: readonly Pick<DeliverySource, 'name' | 'head' | 'at' | 'page'>[];
  readonly attempts: Pick<Attempts, 'last'>;
}

/** The webhooks, from their view, the places that are stored of them, and their last tries. */
export function createWebhooksAdmin(deps: WebhooksDeps): WebhooksAdmin {
  const { views, buckets, prefix, sources } = deps;
  const { webhooks } = webhookQueries(views);
  return async ({ status, limit, cursor }) => {
    const [page, places, heads] = await Promise.all([
      webhooks({ limit, cursor }, status),
      buckets.open(deliveryBucket(prefix)),
      Promise.all(sources.map(async (source) => [source.name, await source.head()] as const)),
    ]);
    const rows = page.items.map((item) => JSON.parse(Buffer.from(item).toString('utf8')) as WebhookRow);
    const stored = await placesOf(places, rows);
    const items = rows.map((row) => situationOf(deps, row, stored.get(row.id), new Map(heads)));
    return { items: await Promise.all(items), ...(page.next !== undefined && { next: page.next }) };
  };
}

async function placesOf(
  bucket: Bucket | undefined,
  rows: readonly WebhookRow[],
): Promise<ReadonlyMap<string, StoredReceiver>> {
  const found = new Map<string, StoredReceiver>();
  for (const row of (await bucket?.getAll(rows.map(({ id }) => `receiver.${id}`))) ?? []) {
    const stored = parseRow<StoredReceiver>(row);
    if (stored !== undefined) found.set(row.key.slice('receiver.'.length), stored);
  }
  return found;
}

async function situationOf(
  { runtime, sources, attempts }: WebhooksDeps,
  { id, url, description, status, cause, reason, waiting }: WebhookRow,
  stored: StoredReceiver | undefined,
  heads: ReadonlyMap<string, number>,
): Promise<WebhookSituation> {
  const now = runtime.now();
  const { maxOpen } = defaultDeliverySettings;
  const place = stored ?? { takenAt: 0, failures: 0, pausedUntil: 0, sources: {} };
  const { first, ...backlog } = backlogOf(place, heads, status === 'enabled', { now, maxOpen });
  const [lastTry, ...times] = await Promise.all([
    attempts.last(id),
    ...first.map(async ({ source: name, position, after = 0 }) => {
      const source = sources.find((one) => one.name === name);
      const event =
        position === undefined ? (await source?.page(after))?.events[0] : await source?.at(position);
      return event?.time ?? now;
    }),
  ]);
  return {
    ...{ id, url, description, status, cause, reason, waiting, ...backlog },
    oldestAt: times.length === 0 ? undefined : Math.min(...times),
    takenAt: place.takenAt || undefined,
    pausedUntil: place.pausedUntil > now ? place.pausedUntil : undefined,
    lastTry: lastTry && {
      at: lastTry.at,
      taken: lastTry.taken,
      status: lastTry.status,
      error: lastTry.error,
    },
  };
}
