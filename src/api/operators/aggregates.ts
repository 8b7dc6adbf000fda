import Type from 'typebox';
import { numberOf } from '../../eventstore/index.ts';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { sendProblem } from '../problem-reply.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { NoQuery } from '../schemas/common.ts';
import { ada, ORDER_ID } from '../schemas/examples.ts';
import { DEFAULT_LIMIT, HistoryQuery } from '../schemas/queries.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfAdmin, problemsOfRead } from '../schemas/responses.ts';
import { isoTime } from './shown.ts';
import { timerBody } from './waiting.ts';

const strict = { additionalProperties: false } as const;
const common = { tags: ['admin'], headers: PlainHeaders };
const config = { access: ACCESS.admin };

const FindBody = Type.Object(
  {
    text: Type.String({
      minLength: 1,
      maxLength: 320,
      description: 'What is known of it.',
      examples: [ada.email],
    }),
  },
  { ...strict, $id: 'FindAggregate' },
);
const Params = Type.Object(
  {
    category: Type.String({ pattern: '^[a-z][a-z0-9_]{0,31}$', examples: ['order'] }),
    id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', examples: [ORDER_ID] }),
  },
  strict,
);
const AtQuery = Type.Object(
  {
    version: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'As it was at this version.',
      }),
    ),
  },
  strict,
);

/** One aggregate: found by what people know of it, its state at any version, and its commits. */
export function aggregateRoutes(app: TypedApp, { admin: { aggregates } }: ServiceDeps): void {
  const find = {
    ...common,
    querystring: NoQuery,
    body: FindBody,
    operationId: 'findAggregates',
    summary: 'Find aggregates',
    description:
      'By id, SKU, e-mail address, external reference, or payment id among the newest 2,000 orders. A POST, so that no address stands in a log of addresses.',
    response: {
      ...plain(200, 'FoundAggregates', 'What was found.'),
      ...problemsOfAdmin('view/list-not-built'),
    },
  };
  app.post('/v1/admin/aggregates/find', { schema: find, config }, async (request, reply) =>
    reply.send({ items: await aggregates.find(request.body.text) }),
  );
  const at = {
    ...common,
    params: Params,
    querystring: AtQuery,
    operationId: 'getAggregate',
    summary: 'Show an aggregate as it is, or as it was at a version',
    description:
      'Folded from the log alone: its state, what the last commit up to there changed, and what it waits for.',
    response: { ...plain(200, 'AggregateState', 'The state.'), ...problemsOfRead('aggregate/not-found') },
  };
  app.get('/v1/admin/aggregates/:category/:id', { schema: at, config }, async (request, reply) => {
    const { category, id } = request.params;
    const [found, { deadLetters, timers, underWay }] = await Promise.all([
      aggregates.at({ category, id }, request.query.version),
      aggregates.waitsFor({ category, id }),
    ]);
    if (found === undefined) return sendProblem(request, reply, { code: 'aggregate/not-found' });
    const waitsFor = deadLetters.map(({ consumer, position, error, request: asked }) => ({
      consumer,
      position: numberOf(position),
      ...(error && { error: error.message }),
      ...(asked && { requested: asked.requested }),
    }));
    return reply.send({
      ...{ ...found, waitsFor, timers: timers.map(timerBody) },
      underWay: underWay.map(({ since, ...one }) => ({ ...one, since: isoTime(since) })),
    });
  });
  const commits = {
    ...common,
    params: Params,
    querystring: HistoryQuery,
    operationId: 'listCommits',
    summary: 'List the commits of an aggregate',
    description: 'Oldest first, from the log, with the events of each, who decided them, and their trace.',
    response: { ...plain(200, 'AggregateCommits', 'A page.'), ...problemsOfRead() },
  };
  app.get(
    '/v1/admin/aggregates/:category/:id/commits',
    { schema: commits, config },
    async (request, reply) => {
      const { after = 0, limit = DEFAULT_LIMIT } = request.query;
      const page = await aggregates.commits(request.params, { after, limit });
      const items = page.items.map(({ position, commitId, decisions }) => ({
        position,
        commitId,
        decisions,
      }));
      return reply.send({ ...page, items });
    },
  );
}

/** The schema of the body above. */
export const aggregateBodies = [FindBody];
