import Type from 'typebox';
import { commandFields, Next, Reason, Time, Version } from './common.ts';
import { EXAMPLE_TIME, ORDER_ID } from './examples.ts';

/** The webhook of the document's examples, as commands answer. */
export const parcels = {
  id: '0198c5a4-aa10-7b3e-8d21-7a8192b3c4d5',
  url: 'https://parcels.example.com/events',
  types: ['*'],
  subjects: [],
  description: 'Parcels',
  ordered: false,
  status: 'enabled',
  waiting: 0,
  createdAt: EXAMPLE_TIME,
  version: 42,
  position: 42,
};

const SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDkJ1l0QTjNKY=';

const strict = { additionalProperties: false } as const;

const Id = Type.String({
  pattern: '^[A-Za-z0-9_-]{1,128}$',
  description: 'The id from the answer that created it.',
  examples: [parcels.id],
});

export const WebhookParams = Type.Object({ id: Id }, strict);

const terms = {
  url: Type.String({
    pattern: '^https?://[!-~]{1,1990}$',
    description:
      'Where each event is posted: https, and no address of a private network unless `webhooks.targets` allows it.',
    examples: [parcels.url],
  }),
  types: Type.Array(
    Type.String({ pattern: '^(\\*|[a-zA-Z0-9][a-zA-Z0-9._-]{0,98}\\*?)$', examples: parcels.types }),
    {
      minItems: 1,
      maxItems: 50,
      uniqueItems: true,
      description: 'Of the events that are sent: whole, or the beginning before a star.',
      examples: [parcels.types],
    },
  ),
  subjects: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', examples: [ORDER_ID] }), {
    maxItems: 50,
    uniqueItems: true,
    description: 'Ids of the aggregates whose events are sent; none = all.',
    examples: [parcels.subjects],
  }),
  description: Type.String({
    maxLength: 500,
    description: 'One line of at most 500 characters.',
    examples: [parcels.description],
  }),
  ordered: Type.Boolean({
    description:
      'Whether a later event of an aggregate waits until the earlier ones were taken. Without it each is tried by itself.',
    examples: [parcels.ordered],
  }),
};

const { url, types, ...optional } = terms;

export const CreateWebhook = Type.Object(
  {
    url,
    types,
    subjects: Type.Optional(optional.subjects),
    description: Type.Optional(optional.description),
    ordered: Type.Optional(optional.ordered),
  },
  { ...strict, $id: 'CreateWebhook' },
);

export const UpdateWebhook = Type.Partial(Type.Object(terms), {
  ...strict,
  $id: 'UpdateWebhook',
  minProperties: 1,
  description: 'All of it in one step, or nothing.',
  examples: [{ description: 'Parcels' }],
});

export const DisableWebhook = Type.Object(
  { reason: Type.Optional(Reason('Their warehouse moves')) },
  { ...strict, $id: 'DisableWebhook' },
);

export const RotateSecret = Type.Object(
  {
    overlapHours: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 168,
        default: 24,
        description: 'For how long the secret before signs too; 24 without it, 0 for one that leaked.',
        examples: [24],
      }),
    ),
  },
  { ...strict, $id: 'RotateSecret' },
);

const Moment = (description: string) =>
  Type.String({ format: 'date-time', description, examples: [EXAMPLE_TIME] });

export const Redeliver = Type.Object(
  {
    event: Type.Optional(
      Type.String({
        pattern: '^[!-~]{1,200}$',
        description: 'The `webhook-id` of one delivery, as the list of deliveries shows it.',
      }),
    ),
    since: Type.Optional(Moment('All events that happened then or later, ISO 8601.')),
    until: Type.Optional(Moment('Only those that happened before it.')),
  },
  {
    ...strict,
    $id: 'Redeliver',
    minProperties: 1,
    description: 'Either `event`, or `since` with or without `until`.',
    examples: [{ since: EXAMPLE_TIME }],
  },
);

export const DeliveriesQuery = Type.Object(
  {
    outcome: Type.Optional(Type.Enum(['taken', 'failed'], { description: 'Only tries that ended so.' })),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 200,
        default: 50,
        description: 'How many at most; 50 without it.',
      }),
    ),
    cursor: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]{0,14}$',
        description: '`next` of the page before.',
        examples: ['42'],
      }),
    ),
  },
  strict,
);

/** A try to deliver an event. */
export const Delivery = Type.Object(
  {
    event: Type.String({ description: 'The `webhook-id` or `jetledger-id`, the same at each try.' }),
    type: Type.String(),
    subject: Type.String({ description: 'The id of the aggregate.' }),
    attempt: Type.Integer({ minimum: 1 }),
    at: Time,
    durationMs: Type.Integer({ minimum: 0 }),
    outcome: Type.Enum(['taken', 'failed']),
    status: Type.Optional(Type.Integer({ description: 'Of the answer; absent where none came.' })),
    error: Type.Optional(Type.String({ description: 'Why there was none.' })),
    answer: Type.Optional(Type.String({ description: 'The beginning of what was answered.' })),
  },
  strict,
);

export const WebhookDeliveries = Type.Object(
  { items: Type.Array(Delivery), next: Type.Optional(Next) },
  { ...strict, $id: 'WebhookDeliveries', title: 'Page of deliveries', examples: [{ items: [] }] },
);

const Count = Type.Integer({ minimum: 0 });

const fields = {
  id: Id,
  url: Type.String({ examples: [parcels.url] }),
  types: Type.Array(Type.String(), { examples: [parcels.types] }),
  subjects: Type.Array(Type.String(), { examples: [parcels.subjects] }),
  description: Type.String({ examples: [parcels.description] }),
  ordered: Type.Boolean({ examples: [parcels.ordered] }),
  status: Type.Enum(['enabled', 'disabled']),
  cause: Type.Optional(
    Type.Enum(['operator', 'failing', 'gone'], {
      description: 'Why it is disabled. `failing`: nothing was taken for days; `gone`: it answered 410.',
    }),
  ),
  reason: Type.Optional(Type.String()),
  previousSecretUntil: Type.Optional(Time),
  waiting: Type.Integer({
    minimum: 0,
    description: 'Tests and redeliveries that are not through.',
    examples: [0],
  }),
  completed: Type.Optional(
    Type.Object(
      { requestId: Type.String(), delivered: Count, failed: Count },
      { ...strict, description: 'How the last test or redelivery that is through ended.' },
    ),
  ),
  createdAt: Time,
};

const { position: _position, ...row } = parcels;

/** As the read model shows it. */
export const Webhook = Type.Object(
  { ...fields, version: Version },
  { ...strict, $id: 'Webhook', title: 'Webhook', examples: [row] },
);

export const WebhookPage = Type.Object(
  {
    items: Type.Array(Type.Unsafe<Type.Static<typeof Webhook>>({ $ref: 'Webhook#' })),
    next: Type.Optional(Next),
  },
  { ...strict, $id: 'WebhookPage', title: 'Page of webhooks' },
);

/** As a command leaves it. */
export const WebhookAnswer = Type.Object(
  { ...fields, ...commandFields },
  { ...strict, $id: 'WebhookAnswer', title: 'Webhook after a command', examples: [parcels] },
);
export type WebhookBody = Omit<Type.Static<typeof WebhookAnswer>, keyof typeof commandFields>;

const Secret = Type.String({
  pattern: '^whsec_[A-Za-z0-9+/]{43}=$',
  description: 'What deliveries are signed with. Told in this answer and never again.',
  examples: [SECRET],
});

/** The example of one that was rotated. */
export const rotated = { ...parcels, previousSecretUntil: '2026-01-16T09:30:00.000Z', secret: SECRET };

/** A webhook with its new secret. */
export const WebhookSecretAnswer = Type.Object(
  { ...fields, secret: Secret, ...commandFields },
  {
    ...strict,
    $id: 'WebhookSecretAnswer',
    title: 'Webhook with its new secret',
    examples: [{ ...parcels, secret: SECRET }],
  },
);

/** What is left of one that was removed. */
export const RemovedWebhook = Type.Object(
  { id: Id, status: Type.Literal('removed'), ...commandFields },
  {
    ...strict,
    $id: 'RemovedWebhook',
    title: 'Removed webhook',
    examples: [{ id: parcels.id, status: 'removed', version: 42, position: 42 }],
  },
);
