import Type, { type TSchema } from 'typebox';
import { ConsumerName, Count } from '../schemas/admin.ts';
import { Position, Time } from '../schemas/common.ts';
import { EXAMPLE_TIME, ORDER_ID } from '../schemas/examples.ts';

const strict = { additionalProperties: false } as const;
const Text = Type.String();
const optional = <T extends TSchema>(type: T) => Type.Optional(type);

const Place = Type.Object(
  { consumer: ConsumerName, category: Text, id: Text, position: Position },
  { ...strict, description: 'One of them, to look at.' },
);
const place = { consumer: 'order-process', category: 'order', id: ORDER_ID, position: 42 };

/** What dead letters came of. */
export const ParkedCauses = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        {
          cause: Type.String({ description: 'For the filter of redrive and discard.' }),
          consumer: ConsumerName,
          step: Type.String({ description: 'The events that were being handled.' }),
          error: Type.Object({ name: Text, message: Text }, strict),
          count: Count,
          behind: Type.Integer({ minimum: 0, description: 'Commits that wait behind them, never tried.' }),
          requested: Type.Integer({ minimum: 0, description: 'Asked for and not done yet.' }),
          attempts: Type.Integer({ minimum: 0, description: 'The most that one of them was tried.' }),
          firstAt: Time,
          lastAt: Time,
          example: Place,
        },
        strict,
      ),
    ),
  },
  {
    ...strict,
    $id: 'ParkedCauses',
    title: 'Causes of parked commits, the most frequent first',
    examples: [
      {
        items: [
          {
            cause: '0f3c2a9b7d1e4f60',
            consumer: 'order-process',
            step: 'OrderPlaced',
            error: { name: 'Error', message: 'The payment provider answered 500.' },
            count: 12,
            behind: 3,
            requested: 0,
            attempts: 8,
            firstAt: EXAMPLE_TIME,
            lastAt: EXAMPLE_TIME,
            example: place,
          },
        ],
      },
    ],
  },
);
export type CauseBody = Type.Static<typeof ParkedCauses>['items'][number];

export const RequestAction = Type.Enum([
  ...(['redrive', 'discard', 'pause', 'resume', 'rebuild', 'rollback', 'refold'] as const),
]);
export const RequestState = Type.Enum(['asked', 'running', 'done', 'failed', 'cancelled']);

const request = {
  id: Text,
  action: RequestAction,
  target: Type.String({ description: 'A consumer, a view, or which parked commits.' }),
  by: Text,
  reason: Text,
  at: Time,
  state: RequestState,
  endedAt: optional(Time),
  result: optional(Type.String({ description: 'What came of it.' })),
  commitsPerSecond: optional(Count),
  stream: optional(
    Type.Object(
      { category: Text, id: Text },
      { ...strict, description: 'The aggregate whose parked commits are meant, where they are of one.' },
    ),
  ),
  aggregate: optional(Type.String({ description: 'Of `refold`: whose row.' })),
  progress: optional(
    Type.Object({ applied: Count, total: Count, etaSeconds: Type.Number({ minimum: 0 }) }, strict),
  ),
  differing: optional(Type.Array(Text, { description: 'Rows that differ, the first 100 of them.' })),
  cancelledBy: optional(Text),
  outcome: optional(
    Type.Object(
      { marked: Count, done: Count, failed: Count, waiting: Count },
      { ...strict, description: 'Of redrive and discard: what became of what was marked, as of now.' },
    ),
  ),
};
const asked = {
  id: '01890a5d-ac96-7000-8000-000000000001',
  action: 'rebuild',
  target: 'orders',
  by: 'operator',
  reason: 'wrong totals',
  at: EXAMPLE_TIME,
  state: 'running',
  progress: { applied: 400, total: 1_000, etaSeconds: 3 },
};

/** A request of an operator. */
export const AdminRequest = Type.Object(request, {
  ...strict,
  $id: 'AdminRequest',
  title: 'What an operator asked for, and what came of it',
  examples: [asked],
});
export type AdminRequestBody = Type.Static<typeof AdminRequest>;

export const AdminRequests = Type.Object(
  { items: Type.Array(Type.Object(request, strict)) },
  {
    ...strict,
    $id: 'AdminRequests',
    title: 'Requests of operators, newest first',
    examples: [{ items: [asked] }],
  },
);

const view = {
  view: Text,
  state: Type.Enum(['sound', 'never-run', 'lost', 'foreign', 'other-version']),
  bucket: optional(Text),
  version: optional(Text),
  groups: optional(Count),
  position: Position,
  lag: Type.Integer({ minimum: 0, description: 'Positions behind the end of the log.' }),
  checkpointAt: optional(Time),
  rows: optional(Type.Integer({ minimum: 0, description: 'About; removed ones count for a while.' })),
  parked: Type.Array(Type.Object({ id: Text, position: Position, reason: Text }, strict), {
    description: 'Rows to which an event could not be applied.',
  }),
};

export const Views = Type.Object(
  { items: Type.Array(Type.Object(view, strict)) },
  {
    ...strict,
    $id: 'Views',
    title: 'How the views stand',
    examples: [
      {
        items: [
          {
            view: 'orders',
            state: 'sound',
            bucket: 'jl_orders_v1',
            version: '1',
            groups: 1,
            position: 42,
            lag: 0,
            checkpointAt: EXAMPLE_TIME,
            rows: 7,
            parked: [],
          },
        ],
      },
    ],
  },
);
export type ViewBody = Type.Static<typeof Views>['items'][number];

const Instance = Type.Object(
  {
    id: Text,
    name: Text,
    roles: Type.Array(Text),
    version: Text,
    node: Type.String({ description: 'Of Node.js.' }),
    startedAt: Time,
    seenAt: Time,
    retrying: Type.Array(Type.Object({ consumer: ConsumerName, count: Count, error: Text }, strict), {
      description: 'What is tried again there, and why.',
    }),
  },
  strict,
);

export const Situation = Type.Object(
  {
    log: Type.Object(
      {
        stream: Text,
        incarnation: Text,
        head: Position,
        commits: Count,
        bytes: Count,
        copies: Type.Object({ wanted: Count, missing: Type.Array(Text) }, strict),
        leader: optional(Text),
      },
      strict,
    ),
    storage: optional(
      Type.Object(
        {
          usedBytes: Count,
          limitBytes: Type.Integer({ minimum: 0, description: '0 = the account has no limit of its own.' }),
        },
        strict,
      ),
    ),
    servers: Type.Array(
      Type.Object(
        {
          name: Text,
          version: Text,
          syncAlways: optional(Type.Boolean()),
          illness: optional(Text),
          memoryBytes: optional(Count),
        },
        strict,
      ),
    ),
    instances: Type.Array(Instance, { description: 'Processes that were heard of within a minute.' }),
  },
  {
    ...strict,
    $id: 'Situation',
    title: 'Servers, log and processes',
    examples: [
      {
        log: {
          stream: 'jetledger',
          incarnation: 'Zk3x9QaB',
          head: 42,
          commits: 42,
          bytes: 25_000,
          copies: { wanted: 1, missing: [] },
        },
        servers: [{ name: 'nats-0', version: '2.15.1', syncAlways: true }],
        instances: [
          {
            id: 'i1',
            name: 'jetledger-0',
            roles: ['api'],
            version: '0.1.0',
            node: '24.1.0',
            startedAt: EXAMPLE_TIME,
            seenAt: EXAMPLE_TIME,
            retrying: [],
          },
        ],
      },
    ],
  },
);
export type SituationBody = Type.Static<typeof Situation>;

export const Timer = Type.Object(
  {
    kind: Type.String({ examples: ['payment-deadline'] }),
    category: optional(Text),
    id: Type.String({ description: "The aggregate's." }),
    at: Type.String({ format: 'date-time', description: 'When it is due.' }),
    state: Type.Enum(['held', 'armed', 'fired'], {
      description: '`held`: not armed yet; `fired`: nobody has handled it yet.',
    }),
  },
  strict,
);

const found = { category: 'order', id: ORDER_ID };

export const FoundAggregates = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        { category: Text, id: Text, by: Type.Enum(['id', 'email', 'payment', 'reference']) },
        strict,
      ),
    ),
  },
  {
    ...strict,
    $id: 'FoundAggregates',
    title: 'Aggregates that were found, and by what',
    examples: [{ items: [{ ...found, by: 'id' }] }],
  },
);

export const AggregateState = Type.Object(
  {
    category: Text,
    id: Text,
    version: Position,
    latest: Type.Integer({ minimum: 0, description: 'The newest version there is.' }),
    commits: Count,
    state: Type.Unknown({ description: 'As its decider has it; amounts and large numbers as texts.' }),
    changes: Type.Array(
      Type.Object(
        {
          path: Text,
          before: optional(Type.Unknown()),
          after: optional(Type.Unknown()),
        },
        strict,
      ),
      { description: 'What its last commit changed.' },
    ),
    waitsFor: Type.Array(
      Type.Object(
        { consumer: ConsumerName, position: Position, error: optional(Text), requested: optional(Text) },
        strict,
      ),
      { description: 'Its parked commits, oldest first.' },
    ),
    timers: Type.Array(Timer, { description: 'Its timers.' }),
    underWay: Type.Array(Type.Object({ consumer: ConsumerName, position: Position, since: Time }, strict), {
      description: 'Its commits that consumers have read and not done.',
    }),
  },
  {
    ...strict,
    $id: 'AggregateState',
    title: 'An aggregate as it was at a version',
    examples: [
      {
        ...found,
        version: 42,
        latest: 57,
        commits: 3,
        state: { status: 'placed' },
        changes: [{ path: 'status', before: 'none', after: 'placed' }],
        waitsFor: [],
        timers: [],
        underWay: [],
      },
    ],
  },
);

const Decision = Type.Object(
  {
    time: Time,
    actor: Text,
    commandId: Text,
    correlationId: Text,
    causationId: Text,
    traceId: Text,
    events: Type.Array(Type.Object({ type: Text, schemaVersion: Count, payload: Type.Unknown() }, strict)),
  },
  strict,
);

export const AggregateCommits = Type.Object(
  {
    items: Type.Array(
      Type.Object({ position: Position, commitId: Text, decisions: Type.Array(Decision) }, strict),
    ),
    next: optional(Type.Integer({ minimum: 1, description: 'For `after`; absent on the last page.' })),
  },
  {
    ...strict,
    $id: 'AggregateCommits',
    title: 'Commits of an aggregate, oldest first',
    examples: [
      {
        items: [
          {
            position: 42,
            commitId: 'c1',
            decisions: [
              {
                time: EXAMPLE_TIME,
                actor: 'anonymous',
                commandId: 'k1',
                correlationId: 'r1',
                causationId: 'k1',
                traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
                events: [{ type: 'jetledger.order.v1.OrderPlaced', schemaVersion: 1, payload: {} }],
              },
            ],
          },
        ],
      },
    ],
  },
);
