import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import { sendTries } from '../delivery-tries.ts';
import type { ServiceDeps } from '../deps.ts';
import { linkToNext } from '../reading.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { Count } from '../schemas/admin.ts';
import { Next, NoQuery, Time } from '../schemas/common.ts';
import { EXAMPLE_TIME, ORDER_ID, USER_ID } from '../schemas/examples.ts';
import { DEFAULT_LIMIT, PageQuery } from '../schemas/queries.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { listed, plain, problemsOfList, problemsOfRead } from '../schemas/responses.ts';
import { DeliveriesQuery, parcels } from '../schemas/webhook.ts';
import type { NotificationsSituation, WebhookSituation } from './ports.ts';
import { isoTime, withoutAbsent } from './shown.ts';

const strict = { additionalProperties: false } as const;
const Text = Type.String();

const Notifications = Type.Object(
  {
    queue: Type.Optional(
      Type.Object(
        {
          waiting: Type.Integer({ minimum: 0, description: 'Not read yet.' }),
          open: Type.Integer({ minimum: 0, description: 'Read, and not through.' }),
          retried: Type.Integer({ minimum: 0, description: 'Of them, those that were not taken yet.' }),
        },
        {
          ...strict,
          description:
            'As the place of their delivery is stored, each half second; absent before the first start.',
        },
      ),
    ),
    oldestAt: Type.Optional({ ...Time, description: 'When the oldest that is not through was published.' }),
    kept: Type.Integer({ minimum: 0, description: 'On their stream, for `notifications.keepMs`.' }),
    dead: Type.Integer({ minimum: 0, description: 'Given up; parked as those of `notifications`.' }),
    recent: Type.Array(
      Type.Object(
        {
          id: Text,
          kind: Text,
          userId: Text,
          orderId: Type.Optional(Text),
          at: Time,
          state: Type.Enum(['waiting', 'begun', 'through', 'unknown'], {
            description: '`through`: delivered, or given up.',
          }),
        },
        strict,
      ),
      { description: 'The last 20, the newest first.' },
    ),
  },
  {
    ...strict,
    $id: 'Notifications',
    title: 'How the delivery of notifications stands',
    examples: [
      {
        queue: { waiting: 0, open: 1, retried: 1 },
        oldestAt: EXAMPLE_TIME,
        kept: 1,
        dead: 0,
        recent: [
          {
            id: 'n1',
            kind: 'order-confirmed',
            userId: USER_ID,
            orderId: ORDER_ID,
            at: EXAMPLE_TIME,
            state: 'begun',
          },
        ],
      },
    ],
  },
);
export type NotificationsBody = Type.Static<typeof Notifications>;

const Status = Type.Enum(['enabled', 'disabled']);

const WebhookDelivery = Type.Object(
  {
    id: Text,
    url: Text,
    description: Text,
    status: Status,
    cause: Type.Optional(Text),
    reason: Type.Optional(Text),
    waiting: Type.Integer({ minimum: 0, description: 'Tests and redeliveries that are not through.' }),
    open: Type.Integer({ minimum: 0, description: 'Events that were read and are not delivered.' }),
    retrying: Type.Integer({ minimum: 0, description: 'Of them, those that have failed so far.' }),
    attempts: Type.Integer({ minimum: 0, description: 'The most that one of them was tried.' }),
    unread: Type.Integer({
      minimum: 0,
      description: 'Events of all behind its place, while it does not read on; it may want only some.',
    }),
    oldestAt: Type.Optional({ ...Time, description: 'When the first of them happened.' }),
    takenAt: Type.Optional({ ...Time, description: 'When it took something last.' }),
    pausedUntil: Type.Optional({ ...Time, description: 'It takes nothing: not tried before then.' }),
    lastTry: Type.Optional(
      Type.Object(
        { at: Time, taken: Type.Boolean(), status: Type.Optional(Count), error: Type.Optional(Text) },
        strict,
      ),
    ),
  },
  strict,
);
export type WebhookDeliveryBody = Type.Static<typeof WebhookDelivery>;

const WebhookSituations = Type.Object(
  { items: Type.Array(WebhookDelivery), next: Type.Optional(Next) },
  {
    ...strict,
    $id: 'WebhookSituations',
    title: 'How webhooks stand, newest first',
    examples: [
      {
        items: [
          {
            id: parcels.id,
            url: parcels.url,
            description: parcels.description,
            status: 'enabled',
            waiting: 0,
            open: 1,
            retrying: 1,
            attempts: 3,
            unread: 0,
            oldestAt: EXAMPLE_TIME,
            lastTry: { at: EXAMPLE_TIME, taken: false, status: 500 },
          },
        ],
      },
    ],
  },
);
export type WebhooksBody = Type.Static<typeof WebhookSituations>;

/** What was published for people, and how far it is. */
export function notificationsBody({
  queue,
  oldestAt,
  recent,
  ...counts
}: NotificationsSituation): NotificationsBody {
  return withoutAbsent({
    ...counts,
    queue,
    oldestAt: oldestAt === undefined ? undefined : isoTime(oldestAt),
    recent: recent.map(({ at, ...one }) => ({ ...one, at: isoTime(at) })),
  });
}

function webhookBody(found: WebhookSituation): WebhookDeliveryBody {
  const { oldestAt, takenAt, pausedUntil, lastTry, ...rest } = found;
  const time = (at: number | undefined) => (at === undefined ? undefined : isoTime(at));
  return withoutAbsent({
    ...rest,
    ...{ oldestAt: time(oldestAt), takenAt: time(takenAt), pausedUntil: time(pausedUntil) },
    lastTry: lastTry && withoutAbsent({ ...lastTry, at: isoTime(lastTry.at) }),
  });
}

/** A page of webhooks as the API shows them. @throws as `WebhookQueries.webhooks` */
export async function webhooksBody(
  { admin: { webhooks } }: ServiceDeps,
  page: Parameters<ServiceDeps['admin']['webhooks']>[0],
): Promise<WebhooksBody> {
  const { items, next } = await webhooks(page);
  return { items: items.map(webhookBody), ...(next !== undefined && { next }) };
}

const common = { tags: ['admin'], headers: PlainHeaders };
const config = { access: ACCESS.admin };

/** How far what goes out is: notifications and webhooks. */
export function outgoingRoutes(app: TypedApp, deps: ServiceDeps): void {
  const notifications = {
    ...common,
    querystring: NoQuery,
    operationId: 'getNotifications',
    summary: 'Show how the delivery of notifications stands',
    description: 'Counts of all instances together, and the last ones; what they say is not shown.',
    response: { ...plain(200, 'Notifications', 'As it is now.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/notifications', { schema: notifications, config }, async (_request, reply) =>
    reply.send(notificationsBody(await deps.admin.notifications())),
  );
  const tries = {
    ...common,
    querystring: DeliveriesQuery,
    operationId: 'listNotificationDeliveries',
    summary: 'List what was sent of notifications',
    description:
      'Each try, the newest first: of those that were taken and of those that were not the last 500 each, for `webhooks.keepMs`. After a restart of NATS the list begins anew. What was answered is not kept.',
    response: { ...listed('WebhookDeliveries'), ...problemsOfRead() },
  };
  app.get('/v1/admin/notifications/deliveries', { schema: tries, config }, async (request, reply) =>
    sendTries(request, reply, await deps.deliveryTries.list('notifications')),
  );
  const webhooks = {
    ...common,
    querystring: Type.Object({ status: Type.Optional(Status), ...PageQuery.properties }, strict),
    operationId: 'listWebhookSituations',
    summary: 'Show how webhooks stand',
    description:
      'How far each is behind, and how its last try ended, as of what is stored at least every half second. What is done about it: /v1/webhooks.',
    response: { ...listed('WebhookSituations'), ...problemsOfList() },
  };
  app.get('/v1/admin/webhooks', { schema: webhooks, config }, async (request, reply) => {
    const { status, limit = DEFAULT_LIMIT, cursor } = request.query;
    const page = await webhooksBody(deps, { status, limit, cursor });
    if (page.next !== undefined) linkToNext(request, reply, 'cursor', page.next);
    return reply.send(page);
  });
}

/** The schemas of the answers above. */
export const outgoingComponents = [Notifications, WebhookSituations];
