import { user } from '../../domain/user.ts';
import { isRegistered, type UserState } from '../../domain/user-state.ts';
import { answer } from '../answer.ts';
import { ACCESS } from '../auth/access.ts';
import { registrantOf } from '../auth/registrant.ts';
import type { ServiceDeps } from '../deps.ts';
import { asksTheLog, sendFromLog } from '../from-log.ts';
import { commandOf } from '../meta.ts';
import { readOptionsOf, sendPage, sendRow } from '../reading.ts';
import { userBody } from '../representations.ts';
import { IdParams, NoQuery } from '../schemas/common.ts';
import { DEFAULT_LIMIT, PageQuery, ReadQuery } from '../schemas/queries.ts';
import { CreateHeaders, EntityHeaders, ReadHeaders } from '../schemas/requests.ts';
import { created, found, listed, problemsOfCommand, problemsOfQuery } from '../schemas/responses.ts';
import { RegisterUser } from '../schemas/user.ts';
import type { TypedApp } from './app-type.ts';
import { userActions } from './user-actions.ts';

const tags = ['users'];

/** Registers, shows and changes users. */
export function userRoutes(app: TypedApp, deps: ServiceDeps): void {
  registration(app, deps);
  showing(app, deps);
  ordersOfUser(app, deps);
  userActions(app, deps);
}

function registration(app: TypedApp, { useCases, handler, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'registerUser',
    summary: 'Register a user',
    description:
      "Claims the e-mail address and creates the user. An address belongs to one user at a time. A user's token registers itself: the id is the token's user; an admin registers others.",
    headers: CreateHeaders,
    querystring: NoQuery,
    body: RegisterUser,
    response: {
      ...created('UserAnswer'),
      ...problemsOfCommand(
        'user/email-taken',
        'user/exists',
        'user/registration-abandoned',
        'user/invalid-name',
        'user/invalid-email',
        'idempotency/key-reused',
      ),
    },
  };
  app.post('/v1/users', { schema, config: { access: ACCESS.register } }, async (request, reply) => {
    const { userId, meta } = await registrantOf(request, handler, commandOf(request, runtime));
    const { email, name } = request.body;
    const result = await useCases.register({ userId, email, name }, meta);
    return answer(request, reply, result, {
      created: `/v1/users/${userId}`,
      body: (state) => userBody(userId, state),
    });
  });
}

function showing(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'getUser',
    summary: 'Show a user',
    description:
      'From the read model, which follows the commands within a moment; with `consistency=strong` from the event log.',
    headers: EntityHeaders,
    querystring: ReadQuery,
    params: IdParams,
    response: { ...found('User', 'UserAnswer'), ...problemsOfQuery('user/not-found') },
  };
  app.get('/v1/users/:id', { schema, config: { access: ACCESS.ownUser } }, async (request, reply) => {
    const { id } = request.params;
    const absent = 'user/not-found';
    if (asksTheLog(request.query)) {
      const body = (state: UserState) => userBody(id, state);
      return sendFromLog(deps, request, reply, { decider: user, id, exists: isRegistered, body, absent });
    }
    const row = await deps.readModels.user(id, await readOptionsOf(request, reply, deps.log));
    return sendRow(request, reply, row, absent);
  });
}

function ordersOfUser(app: TypedApp, { readModels, log }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'listOrdersOfUser',
    summary: "List a user's orders",
    description:
      "Newest first. A user without orders has an empty list; for an admin an unknown one too. A user's token is answered 404 for everybody else's.",
    headers: ReadHeaders,
    querystring: PageQuery,
    params: IdParams,
    response: { ...listed('OrderPage'), ...problemsOfQuery('user/not-found', 'request/invalid-cursor') },
  };
  app.get(
    '/v1/users/:id/orders',
    { schema, config: { access: ACCESS.ordersOfOwnUser } },
    async (request, reply) => {
      const { limit = DEFAULT_LIMIT, cursor } = request.query;
      const options = { ...(await readOptionsOf(request, reply, log)), limit, cursor };
      return sendPage(request, reply, await readModels.ordersOfUser(request.params.id, options));
    },
  );
}
