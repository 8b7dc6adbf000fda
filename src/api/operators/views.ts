import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { commandOf, expectedOf, principalOf } from '../meta.ts';
import { sendProblem } from '../problem-reply.ts';
import { type TypedApp, withoutBodyIsEmpty } from '../routes/app-type.ts';
import { GivenReason, NoFields, NoQuery } from '../schemas/common.ts';
import { ORDER_ID } from '../schemas/examples.ts';
import { CreateHeaders, PatchHeaders, PlainHeaders } from '../schemas/requests.ts';
import { ETAG, plain, problemsOfAdmin, problemsOfRead } from '../schemas/responses.ts';
import type { OperatorRequest } from './ports.ts';
import { RequestAction, RequestState } from './schemas.ts';
import { requestBody, situationBody, viewBody } from './shown.ts';

const strict = { additionalProperties: false } as const;
const common = { tags: ['admin'], querystring: NoQuery };
const config = { access: ACCESS.admin };

const ViewParams = Type.Object(
  { view: Type.String({ pattern: '^[a-z][A-Za-z0-9_-]{0,63}$', examples: ['orders'] }) },
  strict,
);
const RequestParams = Type.Object(
  {
    id: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$', examples: ['01890a5d-ac96-7000-8000-000000000001'] }),
  },
  strict,
);
const RequestsQuery = Type.Object(
  {
    by: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'Who asked.', examples: ['operator'] }),
    ),
    action: Type.Optional(RequestAction),
    state: Type.Optional(RequestState),
  },
  strict,
);
const Reasoned = { reason: GivenReason('wrong totals since the release of Monday') };

const BODIES = {
  rebuild: Type.Object(
    {
      ...Reasoned,
      commitsPerSecond: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 10_000_000,
          description: 'Read at most so many.',
          examples: [5_000],
        }),
      ),
    },
    { ...strict, $id: 'RebuildView' },
  ),
  rollback: Type.Object(Reasoned, { ...strict, $id: 'RollbackView' }),
  refold: Type.Object(
    { ...Reasoned, id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', examples: [ORDER_ID] }) },
    { ...strict, $id: 'RefoldRow' },
  ),
} as const;

const TEXTS = {
  rebuild: {
    operationId: 'rebuildView',
    summary: 'Have a view filled anew',
    description:
      'Beside the live bucket, compared with it row by row, then switched to. A process that keeps views carries it out. While another request for the view is not ended, that one is answered.',
  },
  rollback: {
    operationId: 'rollbackView',
    summary: 'Have a view go back to its bucket before the last switch',
    description: 'Once that bucket has caught up. Answered like a rebuild.',
  },
  refold: {
    operationId: 'refoldRow',
    summary: "Have one aggregate's row of a view folded again",
    description:
      'From the log, in the live bucket; a row that is parked is released by it. Answered like a rebuild.',
  },
} as const;

/** What is asked of views, and what came of every request. */
export function viewRoutes(app: TypedApp, deps: ServiceDeps): void {
  const { admin } = deps;
  const list = {
    ...common,
    headers: PlainHeaders,
    operationId: 'listViews',
    summary: 'Show how the views stand',
    description: 'From what they have stored, whichever process keeps them.',
    response: { ...plain(200, 'Views', 'All views.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/views', { schema: list, config }, async (_request, reply) =>
    reply.send({ items: (await admin.views.list()).map(viewBody) }),
  );
  const situation = {
    ...common,
    headers: PlainHeaders,
    operationId: 'getSituation',
    summary: 'Show servers, log and processes',
    description: 'As far as this process may ask; servers in detail where `nats.monitorUrls` is set.',
    response: { ...plain(200, 'Situation', 'As it is now.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/situation', { schema: situation, config }, async (_request, reply) =>
    reply.send(situationBody(await admin.situation())),
  );
  for (const action of ['rebuild', 'rollback', 'refold'] as const) asking(app, deps, action);
}

const etagOf = ({ revision }: OperatorRequest): string => `"${revision}"`;

function answered(description: string, status = 200) {
  const answer = plain(status, 'AdminRequest', description)[status] as object;
  return { [status]: { ...answer, headers: ETAG } };
}

function asking(app: TypedApp, deps: ServiceDeps, action: keyof typeof BODIES): void {
  const { admin, runtime } = deps;
  const schema = {
    ...common,
    ...TEXTS[action],
    headers: CreateHeaders,
    params: ViewParams,
    body: BODIES[action],
    response: { ...answered('It is written down.', 202), ...problemsOfAdmin('view/not-found') },
  };
  app.post(`/v1/admin/views/:view/${action}`, { schema, config }, async (request, reply) => {
    const { view } = request.params as { view: string };
    if (!admin.views.names.includes(view)) return sendProblem(request, reply, { code: 'view/not-found' });
    const { creationId: id, meta } = commandOf(request, runtime);
    const {
      reason,
      commitsPerSecond,
      id: aggregate,
    } = request.body as {
      reason: string;
      commitsPerSecond?: number;
      id?: string;
    };
    const wish = { id, action, target: view, by: meta.actor ?? '', reason, commitsPerSecond, aggregate };
    const asked = await admin.requests.ask(wish);
    return reply.code(202).header('etag', etagOf(asked)).send(requestBody(asked));
  });
}

/** What operators have asked for. */
export function requestRoutes(app: TypedApp, { admin }: ServiceDeps): void {
  const list = {
    ...common,
    headers: PlainHeaders,
    querystring: RequestsQuery,
    operationId: 'listRequests',
    summary: 'List what operators asked for',
    description: 'Who, when, why, and what came of it; of the last 500, newest first.',
    response: { ...plain(200, 'AdminRequests', 'All that are kept.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/requests', { schema: list, config }, async (request, reply) => {
    const { by, action, state } = request.query;
    const [requests, parked] = await Promise.all([admin.requests.list(), admin.parked.list()]);
    const wanted = requests.filter(
      (one) =>
        (by === undefined || one.by === by) &&
        (action === undefined || one.action === action) &&
        (state === undefined || one.state === state),
    );
    return reply.send({ items: wanted.map((one) => requestBody(one, parked)) });
  });
  const one = {
    ...common,
    headers: PlainHeaders,
    params: RequestParams,
    operationId: 'getRequest',
    summary: 'Show what an operator asked for',
    description: 'With its progress and what came of it.',
    response: { ...answered('The request.'), ...problemsOfRead('admin-request/not-found') },
  };
  app.get('/v1/admin/requests/:id', { schema: one, config }, async (request, reply) => {
    const found = await admin.requests.find(request.params.id);
    if (found === undefined) return sendProblem(request, reply, { code: 'admin-request/not-found' });
    const parked = found.marked === undefined ? [] : await admin.parked.list();
    return reply.header('etag', etagOf(found)).send(requestBody(found, parked));
  });
  cancelling(app, admin);
}

function cancelling(app: TypedApp, { requests }: ServiceDeps['admin']): void {
  const schema = {
    ...common,
    headers: PatchHeaders,
    params: RequestParams,
    body: NoFields,
    operationId: 'cancelRequest',
    summary: 'Have a rebuild or rollback stopped',
    description:
      'The live bucket stays as it was; the next rebuild begins anew. Safe to repeat; one that has ended stays as it is.',
    response: {
      ...answered('It is asked to stop, or has ended.'),
      ...problemsOfAdmin('admin-request/not-found', 'command/version-mismatch'),
    },
  };
  const options = { schema, config, preValidation: withoutBodyIsEmpty };
  app.post('/v1/admin/requests/:id/cancel', options, async (request, reply) => {
    const { id } = request.params;
    const { expected } = expectedOf(request);
    const revision = typeof expected === 'number' ? expected : undefined;
    const known = await requests.find(id);
    if (known === undefined) return sendProblem(request, reply, { code: 'admin-request/not-found' });
    const asked =
      known.endedAt === undefined ? await requests.cancel(id, principalOf(request), revision) : known;
    if (asked === undefined)
      return sendProblem(request, reply, {
        code: 'command/version-mismatch',
        currentVersion: known.revision,
      });
    return reply.header('etag', etagOf(asked)).send(requestBody(asked));
  });
}

/** The schemas of the bodies above. */
export const viewBodies = Object.values(BODIES);
