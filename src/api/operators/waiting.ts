import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { NoQuery, Position, Time } from '../schemas/common.ts';
import { EXAMPLE_TIME, ORDER_ID } from '../schemas/examples.ts';
import { DEFAULT_LIMIT, Limit } from '../schemas/queries.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfRead } from '../schemas/responses.ts';
import type { ShownTimer } from './ports.ts';
import { Timer } from './schemas.ts';
import { isoTime, withoutAbsent } from './shown.ts';

const strict = { additionalProperties: false } as const;

const Timers = Type.Object(
  {
    items: Type.Array(Timer),
    total: Type.Integer({ minimum: 0, description: 'How many there are of all kinds.' }),
    complete: Type.Boolean({
      description: 'False: there are more than the 2,000 that are looked at, those that were armed first.',
    }),
  },
  {
    ...strict,
    $id: 'Timers',
    title: 'Timers, the soonest first',
    examples: [
      {
        items: [
          { kind: 'payment-deadline', category: 'order', id: ORDER_ID, at: EXAMPLE_TIME, state: 'armed' },
        ],
        total: 1,
        complete: true,
      },
    ],
  },
);
export type TimerBody = Type.Static<typeof Timer>;
export type TimersBody = Type.Static<typeof Timers>;

const PaymentsInDoubt = Type.Object(
  {
    items: Type.Array(
      Type.Object(
        {
          id: Type.String({ description: "The order's." }),
          step: Type.Enum(['authorise', 'capture', 'return']),
          position: Position,
          since: Time,
          parked: Type.Boolean({ description: 'It waits for an operator; else it is tried again.' }),
          error: Type.Optional(Type.String()),
        },
        strict,
      ),
    ),
  },
  {
    ...strict,
    $id: 'PaymentsInDoubt',
    title: 'Payments in doubt, the oldest first',
    examples: [
      {
        items: [{ id: ORDER_ID, step: 'capture', position: 42, since: EXAMPLE_TIME, parked: false }],
      },
    ],
  },
);
export type PaymentBody = Type.Static<typeof PaymentsInDoubt>['items'][number];

const TimersQuery = Type.Object(
  {
    kind: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9-]{1,32}$',
        description: 'Only these, for example `payment-deadline`: the payments that are due.',
        examples: ['payment-deadline'],
      }),
    ),
    limit: Type.Optional(Limit),
  },
  strict,
);

const common = { tags: ['admin'], headers: PlainHeaders };
const config = { access: ACCESS.admin };

/** A timer with its time in ISO 8601. */
export function timerBody({ at, ...timer }: ShownTimer): TimerBody {
  return withoutAbsent({ ...timer, at: isoTime(at) });
}

/** The soonest timers as the API shows them. @param most of them */
export async function timersBody(
  { admin: { timers } }: ServiceDeps,
  most: number,
  kind?: string,
): Promise<TimersBody> {
  const { items, ...rest } = await timers();
  const wanted = items.filter((timer) => kind === undefined || timer.kind === kind);
  return { ...rest, items: wanted.slice(0, most).map(timerBody) };
}

/** The payments in doubt as the API shows them. */
export async function paymentsBody({ admin: { paymentsInDoubt } }: ServiceDeps) {
  const items = await paymentsInDoubt();
  return { items: items.map(({ since, ...payment }) => ({ ...payment, since: isoTime(since) })) };
}

/** What time or a payment provider is waited for. */
export function waitingRoutes(app: TypedApp, deps: ServiceDeps): void {
  const timers = {
    ...common,
    querystring: TimersQuery,
    operationId: 'listTimers',
    summary: 'List the timers that wait',
    description: 'The soonest first; one whose time has passed is late.',
    response: { ...plain(200, 'Timers', 'The soonest.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/timers', { schema: timers, config }, async (request, reply) => {
    const { kind, limit = DEFAULT_LIMIT } = request.query;
    return reply.send(await timersBody(deps, limit, kind));
  });
  const payments = {
    ...common,
    querystring: NoQuery,
    operationId: 'listPaymentsInDoubt',
    summary: 'List payments in doubt',
    description:
      'Of which nothing is known for more than 10 seconds: the order process tries again, or could not do it. The 100 oldest of both.',
    response: { ...plain(200, 'PaymentsInDoubt', 'The oldest.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/payments/in-doubt', { schema: payments, config }, async (_request, reply) =>
    reply.send(await paymentsBody(deps)),
  );
}

/** The schemas of the answers above. */
export const waitingComponents = [Timers, PaymentsInDoubt];
