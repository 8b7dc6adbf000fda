import { consumerBody } from '../admin-bodies.ts';
import { ACCESS } from '../auth/access.ts';
import type { ConsumersAdmin, ServiceDeps } from '../deps.ts';
import { principalOf } from '../meta.ts';
import { sendProblem } from '../problem-reply.ts';
import { ConsumerParams } from '../schemas/admin.ts';
import { NoFields, NoQuery } from '../schemas/common.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfAdmin, problemsOfRead } from '../schemas/responses.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';

const common = { tags: ['admin'], headers: PlainHeaders, querystring: NoQuery };

/** Shows how the consumers stand, pauses and resumes them. */
export function consumerRoutes(app: TypedApp, { admin: { consumers } }: ServiceDeps): void {
  status(app, consumers);
  control(app, consumers, 'pause');
  control(app, consumers, 'resume');
}

function status(app: TypedApp, consumers: ConsumersAdmin): void {
  const schema = {
    ...common,
    operationId: 'listConsumers',
    summary: 'Show how the consumers stand',
    description:
      'Lag, parked commits, pauses and groups are those of all instances together, as old as their last checkpoint (a tenth of a second); `here` is what only the process that answers knows.',
    response: { ...plain(200, 'Consumers', 'All consumers that ever ran, by name.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/consumers', { schema, config: { access: ACCESS.admin } }, async (_request, reply) => {
    const standings = await consumers.status();
    return reply.send({ items: standings.map(consumerBody) });
  });
}

const ACTIONS = {
  pause: {
    operationId: 'pauseConsumer',
    summary: 'Pause a consumer',
    description:
      'On every instance: nothing new is begun, what runs is finished. It lasts over restarts. Pausing a paused consumer changes nothing.',
  },
  resume: {
    operationId: 'resumeConsumer',
    summary: 'Resume a consumer',
    description: 'It goes on where it was. Resuming one that is not paused changes nothing.',
  },
} as const;

function control(app: TypedApp, consumers: ConsumersAdmin, action: keyof typeof ACTIONS): void {
  const schema = {
    ...common,
    ...ACTIONS[action],
    params: ConsumerParams,
    body: NoFields,
    response: {
      ...plain(200, 'ConsumerControl', 'How it is now.'),
      ...problemsOfAdmin('consumer/not-found'),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post(`/v1/admin/consumers/:name/${action}`, options, async (request, reply) => {
    const { name } = request.params;
    const known = await consumers[action](name, principalOf(request));
    if (!known) return sendProblem(request, reply, { code: 'consumer/not-found' });
    return reply.send({ consumer: name, paused: action === 'pause' });
  });
}
