import { Readable } from 'node:stream';
import { user } from '../../domain/user.ts';
import { numberOf, type PersonalData, positionOfVersion } from '../../eventstore/index.ts';
import { ACCESS } from '../auth/access.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { sendProblem } from '../problem-reply.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { userBody } from '../routes/users.ts';
import { NoQuery, UserParams } from '../schemas/common.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfQuery } from '../schemas/responses.ts';
import { openFrames } from '../sealed.ts';
import { exported, UserExport } from './schema.ts';
import { type ExportedItems, isHeld, listsOf } from './user-export.ts';

/** Everything that is held about a user, as one JSON document. */
export const exportApi: ApiModule = { components: [UserExport], routes: exporting };

function exporting(app: TypedApp, deps: ServiceDeps): void {
  const { log, handler, runtime, personal } = deps;
  const schema = {
    tags: ['users'],
    operationId: 'getUserExport',
    summary: 'Export everything that is held about a user',
    description:
      'For the user and for admins, whatever other scopes the token has: what happened to the user, its orders with their delivery addresses and events, what it was told, and where else it is named; what the service keeps as digests is called so. It comes as it is read, however long it gets; `complete` stands at its end, and without it the export was cut off. Of a user who was forgotten it holds what is left.',
    headers: PlainHeaders,
    querystring: NoQuery,
    params: UserParams,
    response: {
      ...plain(200, 'UserExport', 'Everything that was stored before the request.', exported),
      ...problemsOfQuery('user/not-found'),
    },
  };
  // A HEAD would read everything to say how it begins.
  const options = { schema, config: { access: ACCESS.ownUser, list: true }, exposeHeadRoute: false };
  app.get('/v1/users/:id/export', options, async (request, reply) => {
    const { id } = request.params;
    const reached = await log.confirm();
    const { state, version } = await handler.load(user, id);
    if (!isHeld(state)) return sendProblem(request, reply, { code: 'user/not-found' });
    const head = {
      userId: id,
      exportedAt: new Date(runtime.now()).toISOString(),
      user: { ...userBody(id, state), version, position: numberOf(positionOfVersion(version)) },
    };
    // What cannot be had is answered as a problem, which is not possible once something was sent.
    const begin = await openFrames(personal, JSON.stringify(head));
    const lists = await listsOf(deps, id, reached);
    reply
      .header('content-type', 'application/json; charset=utf-8')
      .header('content-disposition', `attachment; filename="user-${id}.json"`)
      .header('cache-control', 'no-store');
    return reply.send(Readable.from(documentOf(begin, lists, personal), { objectMode: false }));
  });
}

/** The document in pieces, each opened when it is asked for; whoever asks for no more ends the reading. */
async function* documentOf(
  begin: string,
  lists: readonly ExportedItems[],
  personal: PersonalData,
): AsyncGenerator<string> {
  yield begin.slice(0, -1);
  for (const [name, items] of lists) {
    let before = `,\n"${name}":[\n`;
    for await (const item of items) {
      yield before + (await openFrames(personal, JSON.stringify(item)));
      before = ',\n';
    }
    yield before === ',\n' ? '\n]' : `${before}]`;
  }
  yield ',\n"complete":true}\n';
}
