import Type from 'typebox';
import { Next, Position, Reason, Time } from './common.ts';
import { EXAMPLE_TIME, ORDER_ID, USER_ID } from './examples.ts';

const strict = { additionalProperties: false } as const;

export const ConsumerName = Type.String({
  pattern: '^[A-Za-z0-9-]{1,64}$',
  description: "The consumer's name.",
  examples: ['order-process'],
});
const Category = Type.String({
  pattern: '^[a-z][a-z0-9_]{0,31}$',
  description: "The aggregate's kind.",
  examples: ['order'],
});
const Id = Type.String({
  pattern: '^[A-Za-z0-9_-]{1,128}$',
  description: "The aggregate's id.",
  examples: [ORDER_ID],
});
const At = { ...Position, minimum: 1 };
export const Count = Type.Integer({ minimum: 0 });
const ErrorName = Type.String({ examples: ['Error'] });
const ErrorMessage = Type.String({ examples: ['The payment provider answered 500.'] });

/** Which parked commits are meant, in a query or a body. */
export const parkedFilter = {
  consumer: Type.Optional(ConsumerName),
  category: Type.Optional(Category),
  id: Type.Optional(Id),
  upTo: Type.Optional(Type.Integer({ ...At, description: 'This position and older ones.' })),
  cause: Type.Optional(
    Type.String({ pattern: '^[0-9a-f]{16}$', description: 'As /v1/admin/parked/causes names it.' }),
  ),
};

export const ConsumerParams = Type.Object({ name: ConsumerName }, strict);

export const ParkedParams = Type.Object(
  {
    consumer: ConsumerName,
    category: Category,
    id: Id,
    position: Type.String({ pattern: '^[1-9][0-9]{0,14}$', description: 'In the log.', examples: ['42'] }),
  },
  strict,
);

export const ParkedAction = Type.Object(
  {
    filter: Type.Optional(
      Type.Object(
        {
          ...parkedFilter,
          position: Type.Optional(Type.Integer({ ...At, description: 'Exactly this one.' })),
        },
        {
          ...strict,
          minProperties: 1,
          description: 'Which ones.',
          examples: [{ consumer: 'order-process' }],
        },
      ),
    ),
    all: Type.Optional(
      Type.Literal(true, { description: 'Every parked commit; needed where there is no filter.' }),
    ),
    dryRun: Type.Optional(Type.Boolean({ description: 'Only say what would be marked.', examples: [true] })),
    reason: Type.Optional(Reason('the provider was away')),
  },
  { ...strict, $id: 'ParkedAction', examples: [{ filter: { consumer: 'order-process' }, dryRun: true }] },
);

const names = { consumer: ConsumerName, category: Category, id: Id, position: Position };

const Asked = Type.Object(
  {
    requested: Type.Enum(['redrive', 'discard']),
    by: Type.String({ description: 'Who asked.', examples: ['operator'] }),
    at: Time,
  },
  { ...strict, description: 'What an operator has asked for, and is not done yet.' },
);

const summary = {
  ...names,
  behind: Type.Boolean({ description: 'Never tried: an earlier commit of its aggregate is parked.' }),
  attempts: Count,
  firstAt: Type.Optional(Time),
  lastAt: Type.Optional(Time),
  traceId: Type.Optional(Type.String({ examples: ['4bf92f3577b34da6a3ce929d0e0e4736'] })),
  request: Type.Optional(Asked),
};

const place = { consumer: 'order-process', category: 'order', id: ORDER_ID, position: 42 };
const deadLetter = {
  ...place,
  behind: false,
  attempts: 8,
  firstAt: EXAMPLE_TIME,
  lastAt: EXAMPLE_TIME,
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
};
const error = { name: 'Error', message: 'The payment provider answered 500.' };
const placed = 'jetledger.order.v1.OrderPlaced';

const ParkedSummary = Type.Object(
  {
    ...summary,
    eventTypes: Type.Array(Type.String()),
    error: Type.Optional(Type.Object({ name: ErrorName, message: ErrorMessage }, strict)),
  },
  { ...strict, examples: [{ ...deadLetter, eventTypes: [placed], error }] },
);
export type ParkedSummaryBody = Type.Static<typeof ParkedSummary>;

export const ParkedPage = Type.Object(
  {
    items: Type.Array(ParkedSummary),
    next: Type.Optional(Next),
  },
  { ...strict, $id: 'ParkedPage', title: 'Page of parked commits, oldest first' },
);

export const Parked = Type.Object(
  {
    ...summary,
    commitId: Id,
    events: Type.Array(
      Type.Object(
        {
          type: Type.String(),
          schemaVersion: Count,
          payload: Type.Unknown(),
        },
        strict,
      ),
    ),
    error: Type.Optional(
      Type.Object({ name: ErrorName, message: ErrorMessage, stack: Type.String() }, strict),
    ),
  },
  {
    ...strict,
    $id: 'Parked',
    title: 'Parked commit, whole',
    examples: [
      {
        ...deadLetter,
        commitId: 'c1',
        events: [{ type: placed, schemaVersion: 1, payload: { userId: USER_ID } }],
        error: { ...error, stack: 'Error: The payment provider answered 500.' },
      },
    ],
  },
);
export type ParkedBody = Type.Static<typeof Parked>;

const Named = Type.Object(names, strict);

export const ParkedMarked = Type.Object(
  {
    dryRun: Type.Boolean(),
    request: Type.Optional(
      Type.String({ description: 'What became of it: /v1/admin/requests/{id}. Absent for a dry run.' }),
    ),
    marked: Type.Array(Named, {
      description:
        'What was marked, or would be; with the failed ones before it, since the order of an aggregate holds.',
    }),
    changed: Type.Array(Named, { description: 'Changed while they were being marked; ask again.' }),
  },
  {
    ...strict,
    $id: 'ParkedMarked',
    title: 'Parked commits that were marked',
    examples: [{ dryRun: true, marked: [place], changed: [] }],
  },
);

const Here = Type.Object(
  {
    groups: Type.Array(Count),
    held: Type.Integer({ minimum: 0, description: 'Commits in memory.' }),
    running: Type.Integer({ minimum: 0, description: 'Handlers under way.' }),
    retrying: Type.Integer({ minimum: 0, description: 'Aggregates that wait for another try.' }),
    retries: Type.Integer({ minimum: 0, description: 'Tries that were repeated since the start.' }),
    stopped: Type.Boolean({ description: 'It has stopped for good; `lastError` says why.' }),
    lastError: Type.Optional(ErrorMessage),
  },
  { ...strict, description: 'Of the process that answers; absent where it does not run the consumer.' },
);

export const Consumers = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        {
          consumer: ConsumerName,
          lag: Type.Integer({
            minimum: 0,
            description:
              'Commits that are neither handled nor parked. Of `notifications` and `webhooks`: messages that wait for their receivers, at the most, without webhooks that are disabled; `/v1/admin/notifications` and `/v1/admin/webhooks` tell more.',
          }),
          lagSeconds: Type.Number({
            minimum: 0,
            description: 'Age of the oldest of them; 0 for `notifications` and `webhooks`.',
          }),
          oldest: Type.Optional(Type.Object({ position: Position, at: Time }, strict)),
          parked: Count,
          paused: Type.Boolean(),
          pause: Type.Optional(
            Type.Object(
              { by: Type.String(), at: Time, reason: Type.Optional(Type.String()) },
              { ...strict, description: 'Who paused it, when and why.' },
            ),
          ),
          groups: Type.Object({ of: Count, held: Count }, strict),
          owners: Type.Optional(
            Type.Array(Type.Object({ group: Count, instance: Type.String() }, strict), {
              description: 'Which instance holds which group.',
            }),
          ),
          here: Type.Optional(Here),
        },
        strict,
      ),
    ),
  },
  {
    ...strict,
    $id: 'Consumers',
    title: 'How the consumers stand',
    examples: [
      {
        items: [
          {
            consumer: 'order-process',
            lag: 0,
            lagSeconds: 0,
            parked: 1,
            paused: false,
            groups: { of: 1, held: 0 },
            owners: [],
          },
        ],
      },
    ],
  },
);
export type ConsumerBody = Type.Static<typeof Consumers>['items'][number];

/** Why a consumer is paused or resumed; may be left out. */
export const ControlReason = Type.Object(
  { reason: Type.Optional(Reason('the provider is away')) },
  { ...strict, $id: 'ControlReason' },
);

export const ConsumerControl = Type.Object(
  { consumer: ConsumerName, paused: Type.Boolean() },
  { ...strict, $id: 'ConsumerControl', title: 'A consumer after pause or resume' },
);

export const Skipped = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        {
          position: Position,
          category: Category,
          id: Id,
          reason: Type.String({ description: 'Why.', examples: ['block 12 of the disk was lost'] }),
          at: Time,
          by: Type.Optional(
            Type.String({
              description: 'Who marked it; absent where that was erased.',
              examples: ['operator'],
            }),
          ),
        },
        strict,
      ),
    ),
  },
  {
    ...strict,
    $id: 'Skipped',
    title: 'Positions that views and reactions pass over',
    examples: [
      {
        items: [
          {
            position: 42,
            category: 'order',
            id: ORDER_ID,
            reason: 'block 12 of the disk was lost',
            at: EXAMPLE_TIME,
            by: 'operator',
          },
        ],
      },
    ],
  },
);
export type SkippedBody = Type.Static<typeof Skipped>['items'][number];
