import {
  isLive,
  unknownTypes,
  type WebhookRejection,
  type WebhookState,
  webhook,
} from '../../domain/webhook.ts';
import { webhookQueries } from '../../projections/views/webhooks.ts';
import { actingOn } from '../act.ts';
import { absent, answer } from '../answers.ts';
import { ACCESS } from '../auth/access.ts';
import { sendTries } from '../delivery-tries.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { eventsOf } from '../events/routes.ts';
import { commandOf } from '../meta.ts';
import { type Problem, sendProblem } from '../problem-reply.ts';
import { conflict, describeProblems, invalid, notFound } from '../problems.ts';
import { asksTheLog, readOptionsOf, sendFromLog, sendPage, sendRow } from '../reading.ts';
import { NoFields, NoQuery } from '../schemas/common.ts';
import { DEFAULT_LIMIT, PageQuery, ReadQuery } from '../schemas/queries.ts';
import {
  ActionHeaders,
  CreateHeaders,
  EntityHeaders,
  PatchHeaders,
  PlainHeaders,
  ReadHeaders,
} from '../schemas/requests.ts';
import {
  changed,
  created,
  found,
  foundBy,
  listed,
  problemsOfCommand,
  problemsOfList,
  problemsOfQuery,
  problemsOfRead,
} from '../schemas/responses.ts';
import {
  CreateWebhook,
  DeliveriesQuery,
  DisableWebhook,
  parcels,
  Redeliver,
  RemovedWebhook,
  RotateSecret,
  rotated,
  UpdateWebhook,
  Webhook,
  WebhookAnswer,
  type WebhookBody,
  WebhookDeliveries,
  WebhookPage,
  WebhookParams,
  WebhookSecretAnswer,
} from '../schemas/webhook.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';

describeProblems<WebhookRejection['code']>({
  'webhook/not-found': notFound('Webhook not found'),
  'webhook/exists': conflict('Webhook exists'),
  'webhook/invalid-id': invalid('Invalid id'),
  'webhook/invalid-url': invalid('Invalid URL'),
  'webhook/invalid-types': invalid('Invalid types of events'),
  'webhook/invalid-subjects': invalid('Invalid ids of aggregates'),
  'webhook/invalid-description': invalid('Invalid description'),
  'webhook/invalid-overlap': invalid('Invalid overlap of secrets'),
  'webhook/invalid-reason': invalid('Invalid reason'),
  'webhook/invalid-event': invalid('Invalid id of an event'),
  'webhook/invalid-period': invalid('Invalid period'),
  'webhook/too-many-requests': conflict('Too many tests and redeliveries wait'),
});

/** A webhook as a command leaves it. */
export function webhookBody(id: string, state: WebhookState): WebhookBody {
  if (!isLive(state)) throw absent('webhook');
  const { url, types, subjects, description, ordered, status, cause, reason, previous, completed } = state;
  return {
    ...{ id, url, types: [...types], subjects: [...subjects], description, ordered, status },
    ...(cause !== undefined && { cause }),
    ...(reason !== '' && { reason }),
    ...(previous !== undefined && { previousSecretUntil: new Date(previous.until).toISOString() }),
    waiting: state.requests.length,
    ...(completed !== undefined && { completed }),
    createdAt: new Date(state.createdAt).toISOString(),
  };
}

const act = actingOn({ decider: webhook, body: webhookBody });
const remove = actingOn({ decider: webhook, body: (id) => ({ id, status: 'removed' }) });

/** What is wrong with types that no event will ever have, and with a URL to which nothing will ever be sent. */
function problemOfTerms(
  { types = [], url = '' }: { readonly types?: readonly string[]; readonly url?: string },
  { publicTypes, refusalOfUrl }: ServiceDeps,
): Problem | undefined {
  const unknown = unknownTypes(types, publicTypes);
  const ofTypes = `no event is of the type ${unknown.join(' or ')}; there are ${publicTypes.join(', ')}`;
  const refusal = refusalOfUrl(url);
  const ofUrl = `nothing may be sent there: ${refusal}; webhooks.targets says what may be dialled`;
  const errors = [
    ...(unknown.length > 0 ? [{ in: 'body', pointer: '/types', detail: ofTypes } as const] : []),
    ...(refusal === undefined ? [] : [{ in: 'body', pointer: '/url', detail: ofUrl } as const]),
  ];
  return errors.length === 0 ? undefined : { code: 'request/invalid', errors };
}

const tags = ['webhooks'];
const config = { access: ACCESS.admin };

/** What happened to a webhook, and what happens. */
const events = eventsOf({
  source: webhook,
  path: '/v1/webhooks/:id',
  params: WebhookParams,
  access: ACCESS.admin,
  tag: 'webhooks',
  absent: 'webhook/not-found',
  examples: { id: parcels.id, fields: { ...parcels, webhookId: parcels.id } },
});

/** Creates, shows, changes and removes webhooks, and asks them to be sent something again. */
export const webhookApi: ApiModule = {
  tag: { name: 'webhooks', description: 'Who is sent public events over HTTP' },
  components: [
    Webhook,
    WebhookAnswer,
    WebhookSecretAnswer,
    RemovedWebhook,
    WebhookPage,
    WebhookDeliveries,
    ...events.components,
  ],
  routes: (app, deps) => {
    creation(app, deps);
    listing(app, deps);
    showing(app, deps);
    change(app, deps);
    rotation(app, deps);
    states(app, deps);
    removal(app, deps);
    requests(app, deps);
    deliveries(app, deps);
    events.routes(app, deps);
  },
};

/** The body with the secret that the webhook has now. */
function withSecret({ webhookSecret }: ServiceDeps, id: string, state: WebhookState) {
  if (!isLive(state)) throw absent('webhook');
  return { ...webhookBody(id, state), secret: webhookSecret(id, state.secretId) };
}

function creation(app: TypedApp, deps: ServiceDeps): void {
  const { handler, runtime } = deps;
  const schema = {
    tags,
    operationId: 'createWebhook',
    summary: 'Send public events to a URL',
    description:
      'From now on; `redeliveries` brings earlier ones. The answer tells the secret: a repetition under the same Idempotency-Key tells it again, nothing else does.',
    headers: CreateHeaders,
    querystring: NoQuery,
    body: CreateWebhook,
    response: {
      ...created('WebhookSecretAnswer'),
      ...problemsOfCommand(
        'webhook/exists',
        'webhook/invalid-id',
        'webhook/invalid-url',
        'webhook/invalid-types',
        'webhook/invalid-subjects',
        'webhook/invalid-description',
        'idempotency/key-reused',
      ),
    },
  };
  app.post('/v1/webhooks', { schema, config }, async (request, reply) => {
    const problem = problemOfTerms(request.body, deps);
    if (problem !== undefined) return sendProblem(request, reply, problem);
    const { meta, creationId: webhookId, at } = commandOf(request, runtime);
    const { subjects = [], description = '', ordered = false, ...rest } = request.body;
    const terms = { ...rest, subjects, description, ordered };
    const secretId = meta.commandId;
    const command = { type: 'create', webhookId, secretId, ...terms, at } as const;
    const result = await handler.execute(webhook, webhookId, command, meta, { assumeNew: true });
    return answer(request, reply, result, {
      created: `/v1/webhooks/${webhookId}`,
      body: (state) => withSecret(deps, webhookId, state),
    });
  });
}

function listing(app: TypedApp, { views, log }: ServiceDeps): void {
  const queries = webhookQueries(views);
  const schema = {
    tags,
    operationId: 'listWebhooks',
    summary: 'List webhooks',
    description: 'Newest first.',
    headers: ReadHeaders,
    querystring: PageQuery,
    response: { ...foundBy('WebhookPage'), ...problemsOfList() },
  };
  app.get('/v1/webhooks', { schema, config }, async (request, reply) => {
    const { limit = DEFAULT_LIMIT, cursor } = request.query;
    const options = { ...(await readOptionsOf(request, reply, log)), limit, cursor };
    return sendPage(request, reply, await queries.webhooks(options));
  });
}

function showing(app: TypedApp, deps: ServiceDeps): void {
  const queries = webhookQueries(deps.views);
  const schema = {
    tags,
    operationId: 'getWebhook',
    summary: 'Show a webhook',
    description:
      'From the read model, which follows the commands within a moment; with `consistency=strong` from the event log.',
    headers: EntityHeaders,
    querystring: ReadQuery,
    params: WebhookParams,
    response: { ...found('Webhook', 'WebhookAnswer'), ...problemsOfQuery('webhook/not-found') },
  };
  app.get('/v1/webhooks/:id', { schema, config }, async (request, reply) => {
    const { id } = request.params;
    const missing = 'webhook/not-found';
    if (asksTheLog(request.query)) {
      const body = (state: WebhookState) => webhookBody(id, state);
      return sendFromLog(deps, request, reply, {
        decider: webhook,
        id,
        exists: isLive,
        body,
        absent: missing,
      });
    }
    return sendRow(
      request,
      reply,
      await queries.webhook(id, await readOptionsOf(request, reply, deps.log)),
      missing,
    );
  });
}

function change(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'updateWebhook',
    summary: 'Change a webhook',
    description: 'Changes the fields that are given, all of them in one step or none.',
    headers: PatchHeaders,
    querystring: NoQuery,
    params: WebhookParams,
    body: UpdateWebhook,
    response: {
      ...changed('WebhookAnswer'),
      ...problemsOfCommand(
        'webhook/not-found',
        'webhook/invalid-url',
        'webhook/invalid-types',
        'webhook/invalid-subjects',
        'webhook/invalid-description',
        'command/version-mismatch',
      ),
    },
  };
  app.patch('/v1/webhooks/:id', { schema, config }, async (request, reply) => {
    const problem = problemOfTerms(request.body, deps);
    if (problem !== undefined) return sendProblem(request, reply, problem);
    const { id } = request.params;
    return act(deps, [request, reply], id, (at) => ({ type: 'change', ...request.body, at }));
  });
}

const action = { tags, headers: ActionHeaders, querystring: NoQuery, params: WebhookParams };
const ACTION_PROBLEMS = ['webhook/not-found', 'idempotency/key-reused', 'command/version-mismatch'] as const;

const HOUR_MS = 3_600_000;
const DEFAULT_OVERLAP_HOURS = 24;

function rotation(app: TypedApp, deps: ServiceDeps): void {
  const rotate = actingOn({ decider: webhook, body: (id, state) => withSecret(deps, id, state) });
  const schema = {
    ...action,
    operationId: 'rotateWebhookSecret',
    summary: 'Give a webhook a new secret',
    description: 'The one before signs too for a while, so that the receiver can take its time.',
    body: RotateSecret,
    response: {
      ...changed('WebhookSecretAnswer', rotated),
      ...problemsOfCommand(...ACTION_PROBLEMS, 'webhook/invalid-id', 'webhook/invalid-overlap'),
    },
  };
  const options = { schema, config, preValidation: withoutBodyIsEmpty };
  app.post('/v1/webhooks/:id/secret', options, async (request, reply) => {
    const overlapMs = (request.body.overlapHours ?? DEFAULT_OVERLAP_HOURS) * HOUR_MS;
    return rotate(deps, [request, reply], request.params.id, (at, { commandId: secretId }) => ({
      ...{ type: 'rotateSecret', secretId, overlapMs, at },
    }));
  });
}

function states(app: TypedApp, deps: ServiceDeps): void {
  const disable = {
    ...action,
    operationId: 'disableWebhook',
    summary: 'Send nothing more to a webhook for now',
    description: 'It keeps its place: once it is enabled it is sent what has happened meanwhile.',
    body: DisableWebhook,
    response: {
      ...changed('WebhookAnswer', {
        ...parcels,
        status: 'disabled',
        cause: 'operator',
        reason: 'Their warehouse moves',
      }),
      ...problemsOfCommand(...ACTION_PROBLEMS, 'webhook/invalid-reason'),
    },
  };
  const preValidation = withoutBodyIsEmpty;
  app.post('/v1/webhooks/:id/disable', { schema: disable, config, preValidation }, async (request, reply) => {
    const { reason = '' } = request.body;
    return act(deps, [request, reply], request.params.id, (at) => ({
      ...{ type: 'disable', cause: 'operator', reason, at },
    }));
  });
  const enable = {
    ...action,
    operationId: 'enableWebhook',
    summary: 'Send events to a webhook again',
    description:
      'It goes on where it was, and failures of before count no more. Takes no body, or an empty one.',
    body: NoFields,
    response: { ...changed('WebhookAnswer'), ...problemsOfCommand(...ACTION_PROBLEMS) },
  };
  app.post('/v1/webhooks/:id/enable', { schema: enable, config, preValidation }, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({ type: 'enable', at }));
  });
}

function removal(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    ...action,
    operationId: 'removeWebhook',
    summary: 'Remove a webhook',
    description: 'For ever; its events stay. Takes no body, or an empty one.',
    body: NoFields,
    response: { ...changed('RemovedWebhook'), ...problemsOfCommand(...ACTION_PROBLEMS) },
  };
  const options = { schema, config, preValidation: withoutBodyIsEmpty };
  app.post('/v1/webhooks/:id/remove', options, async (request, reply) => {
    return remove(deps, [request, reply], request.params.id, (at) => ({ type: 'remove', at }));
  });
}

function requests(app: TypedApp, deps: ServiceDeps): void {
  const response = changed('WebhookAnswer', { ...parcels, waiting: 1 });
  const test = {
    ...action,
    operationId: 'testWebhook',
    summary: 'Send a test event',
    description:
      'Once, also to a webhook that is disabled; `deliveries` shows what came of it. Takes no body, or an empty one.',
    body: NoFields,
    response: {
      ...response,
      ...problemsOfCommand(...ACTION_PROBLEMS, 'webhook/invalid-id', 'webhook/too-many-requests'),
    },
  };
  const options = { schema: test, config, preValidation: withoutBodyIsEmpty };
  app.post('/v1/webhooks/:id/test', options, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at, { commandId: requestId }) => ({
      ...{ type: 'requestTest', requestId, at },
    }));
  });
  const again = {
    ...action,
    operationId: 'redeliverToWebhook',
    summary: 'Send events again',
    description:
      'One, or those of a period, beside what happens now and one after the other, each tried once. The ids stay the same, so a receiver that has them drops them.',
    body: Redeliver,
    response: {
      ...response,
      ...problemsOfCommand(
        ...ACTION_PROBLEMS,
        'webhook/invalid-id',
        'webhook/invalid-event',
        'webhook/invalid-period',
        'webhook/too-many-requests',
      ),
    },
  };
  app.post('/v1/webhooks/:id/redeliveries', { schema: again, config }, async (request, reply) => {
    const { id } = request.params;
    const { event, since, until } = request.body;
    if ((event === undefined) === (since === undefined) || (event !== undefined && until !== undefined)) {
      const detail = 'must have either event, or since with or without until';
      return sendProblem(request, reply, {
        code: 'request/invalid',
        errors: [{ in: 'body', pointer: '', detail }],
      });
    }
    return act(deps, [request, reply], id, (at, { commandId: requestId }) => ({
      ...(event === undefined ? periodOf(since, until) : { type: 'requestEvent', eventId: event }),
      ...{ requestId, at },
    }));
  });
}

function periodOf(since = '', until: string | undefined) {
  const end = until === undefined ? undefined : Date.parse(until);
  return { type: 'requestPeriod', since: Date.parse(since), until: end } as const;
}

function deliveries(app: TypedApp, { handler, deliveryTries }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'listWebhookDeliveries',
    summary: 'List what was sent to a webhook',
    description:
      'Each try, the newest first: of those that were taken and of those that were not the last 500 each, for `webhooks.keepMs`.',
    headers: PlainHeaders,
    querystring: DeliveriesQuery,
    params: WebhookParams,
    response: { ...listed('WebhookDeliveries'), ...problemsOfRead('webhook/not-found') },
  };
  app.get('/v1/webhooks/:id/deliveries', { schema, config }, async (request, reply) => {
    const { id } = request.params;
    const { state } = await handler.load(webhook, id);
    if (!isLive(state)) return sendProblem(request, reply, { code: 'webhook/not-found' });
    return sendTries(request, reply, await deliveryTries.list(id));
  });
}
