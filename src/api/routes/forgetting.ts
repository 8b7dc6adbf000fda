import type { FastifyRequest } from 'fastify';
import { isRegistered, type UserState, user } from '../../domain/user.ts';
import { numberOf, positionOfVersion } from '../../eventstore/index.ts';
import type { ViewReader } from '../../projections/engine/index.ts';
import { ordersByUserQueries } from '../../projections/views/orders-by-user.ts';
import { answer } from '../answers.ts';
import { ACCESS } from '../auth/access.ts';
import { confinedTo } from '../auth/identity.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { commandOf, expectedOf } from '../meta.ts';
import { sendProblem } from '../problem-reply.ts';
import { NoFields, NoQuery, UserParams } from '../schemas/common.ts';
import { EXAMPLE_TIME, USER_ID } from '../schemas/examples.ts';
import { Forgetting, type ForgettingBody, ForgetUser } from '../schemas/forgetting.ts';
import { ActionHeaders, PatchHeaders, PlainHeaders } from '../schemas/requests.ts';
import { changed, followed, problemsOfCommand, problemsOfQuery, stated } from '../schemas/responses.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';
import { userBody } from './users.ts';

const ORDERS_A_LOOK = 100;
const MOST_ORDERS = 20;

const time = (at: number): string => new Date(at).toISOString();

/** How far the forgetting of a person is; undefined where nobody has asked for it. */
function forgettingBody(userId: string, state: UserState): ForgettingBody | undefined {
  if (state.status === 'forgotten') {
    const { forgottenAt, erasedAt } = state;
    if (erasedAt === undefined) return { userId, status: 'erasing', forgottenAt: time(forgottenAt) };
    return { userId, status: 'done', forgottenAt: time(forgottenAt), erasedAt: time(erasedAt) };
  }
  if (!isRegistered(state) || state.forgetting === undefined) return undefined;
  const { requestedAt, dueAt } = state.forgetting;
  return { userId, status: 'requested', requestedAt: time(requestedAt), dueAt: time(dueAt) };
}

/** The orders that a person who is to be forgotten still waits for, as far as the read models know. */
async function openOrders(views: ViewReader, userId: string): Promise<string[]> {
  const { ordersOfUser } = ordersByUserQueries(views);
  const open: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await ordersOfUser(userId, { limit: ORDERS_A_LOOK, cursor });
    for (const item of page.items) {
      const { id, status } = JSON.parse(Buffer.from(item).toString('utf8')) as { id: string; status: string };
      if (status === 'placed' || status === 'confirmed') open.push(id);
    }
    cursor = page.next;
  } while (cursor !== undefined && open.length < MOST_ORDERS);
  return open.slice(0, MOST_ORDERS);
}

const place = { version: 42, position: 42 };
const requested = { userId: USER_ID, status: 'requested', requestedAt: EXAMPLE_TIME, dueAt: EXAMPLE_TIME };

const tags = ['users'];
const own = { access: ACCESS.ownUser };
const path = '/v1/users/:id/forgetting';

/** Has persons forgotten, and says how far it is. */
export const forgettingApi: ApiModule = {
  components: [Forgetting],
  routes: (app, deps) => {
    asking(app, deps);
    following(app, deps);
    callingOff(app, deps);
  },
};

function asking(app: TypedApp, { useCases, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'forgetUser',
    summary: 'Forget a person',
    description:
      'Deactivates the user at once. When its open orders have ended and the time of grace is over, nothing that was stored of the person can be read any more, and the address is free. Orders stay, with the customer as `forgotten`. An admin says why. The body may be left out.',
    headers: PatchHeaders,
    querystring: NoQuery,
    params: UserParams,
    body: ForgetUser,
    response: {
      ...followed('Forgetting', { ...requested, ...place }),
      ...problemsOfCommand(
        'user/not-found',
        'user/not-encrypted',
        'user/invalid-reason',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: own, preValidation: withoutBodyIsEmpty };
  app.delete('/v1/users/:id', options, async (request, reply) => {
    const { id } = request.params;
    const { reason = '' } = request.body;
    if (reason.trim() === '' && isAdmin(request)) {
      const errors = [
        { in: 'body', pointer: '/reason', detail: 'must say why somebody else is forgotten' },
      ] as const;
      return sendProblem(request, reply, { code: 'request/invalid', errors });
    }
    const { meta } = commandOf(request, runtime);
    const result = await useCases.requestForgetting(id, reason, meta, expectedOf(request));
    const body = (state: UserState) => forgettingBody(id, state) ?? {};
    return answer(request, reply, result, { followed: `/v1/users/${id}/forgetting`, body });
  });
}

const isAdmin = (request: FastifyRequest): boolean =>
  request.identity !== null && confinedTo(request) === undefined;

function following(app: TypedApp, { handler, views }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'getForgetting',
    summary: 'Show how far the forgetting of a person is',
    description:
      '`requested`: it waits for `openOrders` and for `dueAt`, and can be called off; `erasing`: it cannot be undone any more; `done`: nothing from before can be read by anybody.',
    headers: PlainHeaders,
    querystring: NoQuery,
    params: UserParams,
    response: {
      ...stated('Forgetting', { ...requested, openOrders: [], ...place }),
      ...problemsOfQuery('user/not-found', 'user/forgetting-not-requested'),
    },
  };
  app.get(path, { schema, config: own }, async (request, reply) => {
    const { id } = request.params;
    const { state, version } = await handler.load(user, id);
    const body = forgettingBody(id, state);
    if (body === undefined)
      return sendProblem(request, reply, {
        code: isRegistered(state) ? 'user/forgetting-not-requested' : 'user/not-found',
      });
    const orders = body.status === 'requested' ? { openOrders: await openOrders(views, id) } : {};
    const position = numberOf(positionOfVersion(version));
    reply.header('etag', `"${version}"`).header('position', String(position));
    return reply.send({ ...body, ...orders, version, position });
  });
}

function callingOff(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'callOffForgetting',
    summary: 'Call off the forgetting of a person',
    description: 'The user is again what it was before. Takes no body, or an empty one.',
    headers: ActionHeaders,
    querystring: NoQuery,
    params: UserParams,
    body: NoFields,
    response: {
      ...changed('UserAnswer'),
      ...problemsOfCommand(
        'user/not-found',
        'user/forgotten',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: own, preValidation: withoutBodyIsEmpty };
  app.post(`${path}/call-off`, options, async (request, reply) => {
    const { id } = request.params;
    const { meta, at } = commandOf(request, runtime);
    const command = { type: 'callOffForgetting', at } as const;
    const result = await handler.execute(user, id, command, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => userBody(id, state) });
  });
}
