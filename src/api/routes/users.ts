import type Type from 'typebox';
import type { UserResult } from '../../app/use-cases.ts';
import { FORGOTTEN, isRegistered, type UserState, user } from '../../domain/user.ts';
import { normaliseEmail } from '../../domain/values.ts';
import { isNamePrefix, LEAST_NAME_PREFIX } from '../../projections/views/names.ts';
import { ordersByUserQueries } from '../../projections/views/orders-by-user.ts';
import { userQueries } from '../../projections/views/users.ts';
import { actingOn } from '../act.ts';
import { absent, answer } from '../answers.ts';
import { ACCESS } from '../auth/access.ts';
import { registrantOf } from '../auth/ownership.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { eventsOf } from '../events/routes.ts';
import { commandOf, expectedOf } from '../meta.ts';
import { sendProblem, type Violation } from '../problem-reply.ts';
import { conflict, describeProblems, invalid, notFound } from '../problems.ts';
import { asksTheLog, readOptionsOf, sendFromLog, sendPage, sendRow } from '../reading.ts';
import { NoFields, NoQuery, UserParams } from '../schemas/common.ts';
import { ada, USER_ID, userFields } from '../schemas/examples.ts';
import { DEFAULT_LIMIT, PageQuery, ReadQuery, UsersQuery } from '../schemas/queries.ts';
import {
  ActionHeaders,
  CreateHeaders,
  EntityHeaders,
  PatchHeaders,
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
} from '../schemas/responses.ts';
import {
  ChangeEmail,
  CreateUser,
  DeactivateUser,
  UpdateUser,
  User,
  UserAnswer,
  type UserBody,
  UserPage,
} from '../schemas/user.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';

describeProblems<Extract<UserResult, { outcome: 'rejected' }>['rejection']['code']>({
  'user/not-found': notFound('User not found'),
  'user/exists': conflict('User exists'),
  'user/registration-abandoned': conflict('Registration was given up'),
  'user/deactivated': conflict('User is deactivated'),
  'user/forgotten': { ...conflict('Person was forgotten'), status: 410 },
  'user/forgetting-requested': conflict('Person is to be forgotten'),
  'user/forgetting-not-requested': notFound('Nobody has asked for the person to be forgotten'),
  'user/forgetting-not-due': conflict('Person is forgotten later'),
  'user/not-encrypted': conflict('Person cannot be forgotten in this log'),
  'user/email-taken': conflict('E-mail address is in use'),
  'user/email-change-pending': conflict('Another change of e-mail address is under way'),
  'user/email-change-not-pending': conflict('Change of e-mail address is not pending'),
  'user/email-change-ended': conflict('Change of e-mail address has ended'),
  'user/invalid-name': invalid('Invalid name'),
  'user/invalid-email': invalid('Invalid e-mail address'),
  'user/invalid-reason': invalid('Invalid reason'),
});

/** A user as a command leaves it. An accepted command never leaves one that does not exist. */
export function userBody(id: string, state: UserState): UserBody {
  if (state.status === FORGOTTEN) return { id, email: FORGOTTEN, name: FORGOTTEN, status: FORGOTTEN };
  if (!isRegistered(state)) throw absent('user');
  const { email, name, status, pending } = state;
  return { id, email, name, status, ...(pending !== undefined && { pendingEmail: pending.email }) };
}

const act = actingOn({ decider: user, body: userBody });

const tags = ['users'];

/** Renames users, changes their address, deactivates and reactivates them. */
function userActions(app: TypedApp, deps: ServiceDeps): void {
  renaming(app, deps);
  emailChange(app, deps);
  deactivation(app, deps);
  reactivation(app, deps);
}

function renaming(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'updateUser',
    summary: 'Rename a user',
    description: 'Changes the fields that are given.',
    headers: PatchHeaders,
    querystring: NoQuery,
    params: UserParams,
    body: UpdateUser,
    response: {
      ...changed('UserAnswer', { ...ada, name: 'Ada King' }),
      ...problemsOfCommand(
        'user/not-found',
        'user/deactivated',
        'user/forgotten',
        'user/invalid-name',
        'command/version-mismatch',
      ),
    },
  };
  app.patch('/v1/users/:id', { schema, config: { access: ACCESS.ownUser } }, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({
      type: 'rename',
      name: request.body.name,
      at,
    }));
  });
}

function emailChange(app: TypedApp, { useCases, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'changeEmail',
    summary: "Change a user's e-mail address",
    description: 'Claims the new address, switches to it and frees the old one.',
    headers: ActionHeaders,
    querystring: NoQuery,
    params: UserParams,
    body: ChangeEmail,
    response: {
      ...changed('UserAnswer', { ...ada, email: 'king@example.com' }),
      ...problemsOfCommand(
        'user/not-found',
        'user/deactivated',
        'user/forgotten',
        'user/email-taken',
        'user/email-change-pending',
        'user/email-change-not-pending',
        'user/email-change-ended',
        'user/invalid-email',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  app.post(
    '/v1/users/:id/email',
    { schema, config: { access: ACCESS.ownUser, tellsAddress: true } },
    async (request, reply) => {
      const { id } = request.params;
      const { meta } = commandOf(request, runtime);
      const result = await useCases.changeEmail(id, request.body.email, meta, expectedOf(request));
      return answer(request, reply, result, { body: (state) => userBody(id, state) });
    },
  );
}

const action = { tags, headers: ActionHeaders, querystring: NoQuery, params: UserParams };

function deactivation(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    ...action,
    operationId: 'deactivateUser',
    summary: 'Deactivate a user',
    description: 'The user keeps its address and orders nothing until it is reactivated.',
    body: DeactivateUser,
    response: {
      ...changed('UserAnswer', { ...ada, status: 'deactivated' }),
      ...problemsOfCommand(
        'user/not-found',
        'user/forgotten',
        'user/invalid-reason',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.ownUser }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/users/:id/deactivate', options, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({
      type: 'deactivate',
      reason: request.body.reason ?? '',
      at,
    }));
  });
}

function reactivation(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    ...action,
    operationId: 'reactivateUser',
    summary: 'Reactivate a user',
    description:
      'Undoes a deactivation, but not of a person who is to be forgotten. Takes no body, or an empty one.',
    body: NoFields,
    response: {
      ...changed('UserAnswer'),
      ...problemsOfCommand(
        'user/not-found',
        'user/forgotten',
        'user/forgetting-requested',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/users/:id/reactivate', options, async (request, reply) => {
    return act(deps, [request, reply], request.params.id, (at) => ({ type: 'reactivate', at }));
  });
}

/** What happened to a user, and what happens. */
const events = eventsOf({
  source: user,
  path: '/v1/users/:id',
  params: UserParams,
  access: ACCESS.ownUser,
  tag: 'users',
  absent: 'user/not-found',
  examples: { id: USER_ID, fields: userFields },
});

/** Registers, shows and changes users. */
export const userApi: ApiModule = {
  tag: { name: 'users', description: 'People who may order' },
  components: [User, UserAnswer, UserPage, ...events.components],
  routes: (app, deps) => {
    registration(app, deps);
    listing(app, deps);
    showing(app, deps);
    ordersOfUser(app, deps);
    userActions(app, deps);
    events.routes(app, deps);
  },
};

function registration(app: TypedApp, { useCases, handler, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'createUser',
    summary: 'Register a user',
    description:
      "Claims the e-mail address and creates the user. An address belongs to one user at a time. A user's token registers itself: the id is the token's user; an admin registers others.",
    headers: CreateHeaders,
    querystring: NoQuery,
    body: CreateUser,
    response: {
      ...created('UserAnswer'),
      ...problemsOfCommand(
        'user/email-taken',
        'user/exists',
        'user/registration-abandoned',
        'user/forgotten',
        'user/invalid-name',
        'user/invalid-email',
        'idempotency/key-reused',
      ),
    },
  };
  app.post(
    '/v1/users',
    { schema, config: { access: ACCESS.register, tellsAddress: true } },
    async (request, reply) => {
      const { userId, meta } = await registrantOf(request, handler, commandOf(request, runtime));
      const { email, name } = request.body;
      const result = await useCases.register({ userId, email, name }, meta);
      return answer(request, reply, result, {
        created: `/v1/users/${userId}`,
        body: (state) => userBody(userId, state),
      });
    },
  );
}

function listing(app: TypedApp, { views, log, useCases }: ServiceDeps): void {
  const users = userQueries(views);
  const schema = {
    tags,
    operationId: 'listUsers',
    summary: 'Find users',
    description:
      'Who came last first. A page may be shorter than `limit` and not the last one, where more of the name is asked for than the list knows.',
    headers: ReadHeaders,
    querystring: UsersQuery,
    response: { ...foundBy('UserPage'), ...problemsOfList() },
  };
  app.get('/v1/users', { schema, config: { access: ACCESS.admin } }, async (request, reply) => {
    const { limit = DEFAULT_LIMIT, cursor, email, namePrefix, status } = request.query;
    const options = await readOptionsOf(request, reply, log);
    const violations = usersQueryViolations(request.query);
    if (violations.length > 0)
      return sendProblem(request, reply, { code: 'request/invalid', errors: violations });
    if (email === undefined)
      return sendPage(
        request,
        reply,
        await users.users({ namePrefix, status }, { ...options, limit, cursor }),
      );
    const address = normaliseEmail(email) ?? email;
    const page = await users.userWithEmail(await useCases.holderOfEmail(address), address, options);
    return sendPage(request, reply, page);
  });
}

/** What no schema says: an address stands alone, and some characters are less when their case does not matter. */
function usersQueryViolations(query: Type.Static<typeof UsersQuery>): readonly Violation[] {
  const { email, namePrefix } = query;
  if (email !== undefined) {
    return (['namePrefix', 'status', 'cursor'] as const)
      .filter((name) => query[name] !== undefined)
      .map((name) => ({ in: 'query', pointer: `/${name}`, detail: 'cannot be combined with email' }));
  }
  if (namePrefix === undefined || isNamePrefix(namePrefix)) return [];
  return [
    { in: 'query', pointer: '/namePrefix', detail: `must have ${LEAST_NAME_PREFIX} characters or more` },
  ];
}

function showing(app: TypedApp, deps: ServiceDeps): void {
  const users = userQueries(deps.views);
  const schema = {
    tags,
    operationId: 'getUser',
    summary: 'Show a user',
    description:
      'From the read model, which follows the commands within a moment; with `consistency=strong` from the event log.',
    headers: EntityHeaders,
    querystring: ReadQuery,
    params: UserParams,
    response: { ...found('User', 'UserAnswer'), ...problemsOfQuery('user/not-found') },
  };
  app.get('/v1/users/:id', { schema, config: { access: ACCESS.ownUser } }, async (request, reply) => {
    const { id } = request.params;
    const missing = 'user/not-found';
    if (asksTheLog(request.query)) {
      const body = (state: UserState) => userBody(id, state);
      return sendFromLog(deps, request, reply, {
        decider: user,
        id,
        exists: ({ status }) => status !== 'absent' && status !== 'abandoned',
        body,
        absent: missing,
      });
    }
    const row = await users.user(id, await readOptionsOf(request, reply, deps.log));
    return sendRow(request, reply, row, missing);
  });
}

function ordersOfUser(app: TypedApp, { views, log }: ServiceDeps): void {
  const orders = ordersByUserQueries(views);
  const schema = {
    tags,
    operationId: 'listOrdersOfUser',
    summary: "List a user's orders",
    description:
      "Newest first. A user without orders has an empty list; for an admin an unknown one too. A user's token is answered 404 for everybody else's.",
    headers: ReadHeaders,
    querystring: PageQuery,
    params: UserParams,
    response: { ...listed('OrderPage'), ...problemsOfQuery('user/not-found', 'request/invalid-cursor') },
  };
  app.get(
    '/v1/users/:id/orders',
    { schema, config: { access: ACCESS.ordersOfOwnUser } },
    async (request, reply) => {
      const { limit = DEFAULT_LIMIT, cursor } = request.query;
      const options = { ...(await readOptionsOf(request, reply, log)), limit, cursor };
      return sendPage(request, reply, await orders.ordersOfUser(request.params.id, options));
    },
  );
}
