import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { Count } from '../schemas/admin.ts';
import { NoQuery, Time } from '../schemas/common.ts';
import { EXAMPLE_TIME, ORDER_ID } from '../schemas/examples.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfRead } from '../schemas/responses.ts';

const strict = { additionalProperties: false } as const;

const Counts = Type.Object(
  {
    ...{ placed: Count, validated: Count, reserved: Count, paid: Count, confirmed: Count, cancelled: Count },
    rejected: Type.Array(Type.Object({ code: Type.String(), count: Count }, strict), {
      description: 'By the code, the most frequent first.',
    }),
  },
  { ...strict, description: 'How often each happened, whenever the order was placed.' },
);

export const OrderFunnel = Type.Object(
  {
    at: Time,
    since: Type.String({
      format: 'date-time',
      description: 'Counted from here on: a day ago, or later where the log holds more than is read.',
    }),
    complete: Type.Boolean({ description: 'False while the log is being read; then the counts grow.' }),
    hour: Counts,
    day: Counts,
    waiting: Type.Optional(
      Type.Array(
        Type.Object(
          {
            step: Type.Enum(['customer_validation', 'inventory', 'payment']),
            count: Type.Integer({ minimum: 0, description: 'How many wait there, up to 100.' }),
            more: Type.Boolean({ description: 'Whether there are more than that.' }),
            oldest: Type.Array(Type.Object({ id: Type.String(), placedAt: Time, since: Time }, strict), {
              description: 'The first five, and since when each is at the step.',
            }),
          },
          strict,
        ),
        { description: 'Orders that are on their way. Absent while their list is being made.' },
      ),
    ),
  },
  {
    ...strict,
    $id: 'OrderFunnel',
    title: 'How far orders come, and which wait',
    examples: [
      {
        ...{ at: EXAMPLE_TIME, since: EXAMPLE_TIME, complete: true },
        hour: {
          ...{ placed: 2, validated: 2, reserved: 1, paid: 1, confirmed: 1, cancelled: 0 },
          rejected: [],
        },
        day: {
          ...{ placed: 9, validated: 9, reserved: 8, paid: 7, confirmed: 7, cancelled: 0 },
          rejected: [{ code: 'inventory/insufficient-stock', count: 1 }],
        },
        waiting: [
          {
            ...{ step: 'payment', count: 1, more: false },
            oldest: [{ id: ORDER_ID, placedAt: EXAMPLE_TIME, since: EXAMPLE_TIME }],
          },
        ],
      },
    ],
  },
);
export type OrderFunnelBody = Type.Static<typeof OrderFunnel>;

/** As it is answered, and a section of the live stream. @throws LogUnavailable */
export async function funnelBody({ admin }: Pick<ServiceDeps, 'admin'>): Promise<OrderFunnelBody> {
  const { at, since, isComplete, hour, day, waiting } = await admin.funnel();
  const counts = ({ rejected, ...rest }: typeof hour) => ({ ...rest, rejected: [...rejected] });
  return {
    at: new Date(at).toISOString(),
    since: new Date(since).toISOString(),
    ...{ complete: isComplete, hour: counts(hour), day: counts(day) },
    ...(waiting && { waiting: waiting.map((one) => ({ ...one, oldest: [...one.oldest] })) }),
  };
}

/** Orders as a funnel. */
export function funnelRoute(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags: ['admin'],
    headers: PlainHeaders,
    querystring: NoQuery,
    operationId: 'getOrderFunnel',
    summary: 'Show orders as a funnel',
    description:
      'What happened to orders in the last hour and day, and which wait longest at each step. At most 5 seconds old. The first answer of a process begins to read the log of a day, up to its last 500,000 positions.',
    response: { ...plain(200, 'OrderFunnel', 'As it is now.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/orders/funnel', { schema, config: { access: ACCESS.admin } }, async (_request, reply) =>
    reply.send(await funnelBody(deps)),
  );
}
