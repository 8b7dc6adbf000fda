import { user } from '../../domain/user.ts';
import { answer } from '../answer.ts';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { commandOf, expectedOf } from '../meta.ts';
import { userBody } from '../representations.ts';
import { IdParams, NoFields, NoQuery } from '../schemas/common.ts';
import { ActionHeaders, PatchHeaders } from '../schemas/requests.ts';
import { changed, problemsOfCommand } from '../schemas/responses.ts';
import { ChangeEmail, DeactivateUser, PatchUser } from '../schemas/user.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';

const tags = ['users'];

/** Renames users, changes their address, deactivates and reactivates them. */
export function userActions(app: TypedApp, deps: ServiceDeps): void {
  renaming(app, deps);
  emailChange(app, deps);
  deactivation(app, deps);
  reactivation(app, deps);
}

function renaming(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    tags,
    operationId: 'updateUser',
    summary: 'Rename a user',
    description: 'Changes the fields that are given.',
    headers: PatchHeaders,
    querystring: NoQuery,
    params: IdParams,
    body: PatchUser,
    response: {
      ...changed('UserAnswer'),
      ...problemsOfCommand(
        'user/not-found',
        'user/deactivated',
        'user/invalid-name',
        'command/version-mismatch',
      ),
    },
  };
  app.patch('/v1/users/:id', { schema, config: { access: ACCESS.ownUser } }, async (request, reply) => {
    const { id } = request.params;
    const { meta, at } = commandOf(request, runtime);
    const command = { type: 'rename', name: request.body.name, at } as const;
    const result = await handler.execute(user, id, command, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => userBody(id, state) });
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
    params: IdParams,
    body: ChangeEmail,
    response: {
      ...changed('UserAnswer'),
      ...problemsOfCommand(
        'user/not-found',
        'user/deactivated',
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
  app.post('/v1/users/:id/email', { schema, config: { access: ACCESS.ownUser } }, async (request, reply) => {
    const { id } = request.params;
    const { meta } = commandOf(request, runtime);
    const result = await useCases.changeEmail(id, request.body.email, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => userBody(id, state) });
  });
}

const action = { tags, headers: ActionHeaders, querystring: NoQuery, params: IdParams };

function deactivation(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    ...action,
    operationId: 'deactivateUser',
    summary: 'Deactivate a user',
    description: 'The user keeps its address and orders nothing until it is reactivated.',
    body: DeactivateUser,
    response: {
      ...changed('UserAnswer'),
      ...problemsOfCommand(
        'user/not-found',
        'user/invalid-reason',
        'idempotency/key-reused',
        'command/version-mismatch',
      ),
    },
  };
  const options = { schema, config: { access: ACCESS.ownUser }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/users/:id/deactivate', options, async (request, reply) => {
    const { id } = request.params;
    const { meta, at } = commandOf(request, runtime);
    const command = { type: 'deactivate', reason: request.body.reason ?? '', at } as const;
    const result = await handler.execute(user, id, command, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => userBody(id, state) });
  });
}

function reactivation(app: TypedApp, { handler, runtime }: ServiceDeps): void {
  const schema = {
    ...action,
    operationId: 'reactivateUser',
    summary: 'Reactivate a user',
    description: 'Undoes a deactivation. Takes no body, or an empty one.',
    body: NoFields,
    response: {
      ...changed('UserAnswer'),
      ...problemsOfCommand('user/not-found', 'idempotency/key-reused', 'command/version-mismatch'),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post('/v1/users/:id/reactivate', options, async (request, reply) => {
    const { id } = request.params;
    const { meta, at } = commandOf(request, runtime);
    const result = await handler.execute(user, id, { type: 'reactivate', at }, meta, expectedOf(request));
    return answer(request, reply, result, { body: (state) => userBody(id, state) });
  });
}
