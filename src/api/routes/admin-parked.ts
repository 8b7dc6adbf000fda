import { markedBody, parkedBody, parkedSummary } from '../admin-bodies.ts';
import { ACCESS } from '../auth/access.ts';
import type { ParkedAdmin, ParkedCommit, ParkedFilter, ServiceDeps } from '../deps.ts';
import { principalOf } from '../meta.ts';
import { sendProblem } from '../problem-reply.ts';
import { linkToNext } from '../reading.ts';
import { ParkedAction, ParkedParams } from '../schemas/admin.ts';
import { NoQuery } from '../schemas/common.ts';
import { DEFAULT_LIMIT, ParkedQuery } from '../schemas/queries.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { listed, plain, problemsOfAdmin, problemsOfRead } from '../schemas/responses.ts';
import { traceContextOf } from '../trace.ts';
import type { TypedApp } from './app-type.ts';

const common = { tags: ['admin'], headers: PlainHeaders };

/** Shows parked commits, and marks them to be handled again or given up. */
export function parkedRoutes(app: TypedApp, { admin: { parked } }: ServiceDeps): void {
  listing(app, parked);
  showing(app, parked);
  marking(app, parked, 'redrive');
  marking(app, parked, 'discard');
}

function listing(app: TypedApp, parked: ParkedAdmin): void {
  const schema = {
    ...common,
    operationId: 'listParked',
    summary: 'List parked commits',
    description:
      'What consumers could not handle, and what waits behind it, by position, ascending. An entry is gone once it was handled or given up.',
    querystring: ParkedQuery,
    response: { ...listed('ParkedPage'), ...problemsOfRead() },
  };
  app.get('/v1/admin/parked', { schema, config: { access: ACCESS.admin } }, async (request, reply) => {
    const { limit = DEFAULT_LIMIT, cursor, ...filter } = request.query;
    const all = await parked.list(filter);
    const rest = cursor === undefined ? all : all.filter((entry) => isAfter(entry, cursor));
    const items = rest.slice(0, limit);
    const last = items.at(-1);
    const next = rest.length > limit && last !== undefined ? cursorOf(last) : undefined;
    if (next !== undefined) linkToNext(request, reply, 'cursor', next);
    return reply.send({ items: items.map(parkedSummary), ...(next !== undefined && { next }) });
  });
}

/** A commit has one place in the list, since it is of one aggregate. */
function cursorOf({ position, consumer }: ParkedCommit): string {
  return `${position}.${consumer}`;
}

function isAfter({ position, consumer }: ParkedCommit, cursor: string): boolean {
  const dot = cursor.indexOf('.');
  const from = Number(cursor.slice(0, dot));
  return position > from || (position === from && consumer.localeCompare(cursor.slice(dot + 1)) > 0);
}

function showing(app: TypedApp, parked: ParkedAdmin): void {
  const schema = {
    ...common,
    operationId: 'getParked',
    summary: 'Show a parked commit',
    description: 'Whole: its events, the error with its stack, how often and when it was tried.',
    querystring: NoQuery,
    params: ParkedParams,
    response: { ...plain(200, 'Parked', 'The commit.'), ...problemsOfRead('parked/not-found') },
  };
  const path = '/v1/admin/parked/:consumer/:category/:id/:position';
  app.get(path, { schema, config: { access: ACCESS.admin } }, async (request, reply) => {
    const { consumer, category, id, position } = request.params;
    const entry = await parked.show(consumer, { category, id }, Number(position));
    if (entry === undefined) return sendProblem(request, reply, { code: 'parked/not-found' });
    return reply.send(parkedBody(entry));
  });
}

const ACTIONS = {
  redrive: {
    operationId: 'redriveParked',
    summary: 'Have parked commits handled again',
    description:
      'In the order of their aggregate: what failed before them goes first, what waits behind them follows by itself. The answer says what was marked; the entries are gone when handling them has succeeded. Safe to repeat.',
  },
  discard: {
    operationId: 'discardParked',
    summary: 'Give parked commits up',
    description:
      'For ever: the consumer never handles them; an audit row is kept. What waits behind them is then handled. Safe to repeat.',
  },
} as const;

function marking(app: TypedApp, parked: ParkedAdmin, action: keyof typeof ACTIONS): void {
  const schema = {
    ...common,
    ...ACTIONS[action],
    querystring: NoQuery,
    body: ParkedAction,
    response: { ...plain(200, 'ParkedMarked', 'What was marked.'), ...problemsOfAdmin() },
  };
  app.post(
    `/v1/admin/parked/${action}`,
    { schema, config: { access: ACCESS.admin } },
    async (request, reply) => {
      const { filter, all, dryRun = false } = request.body;
      const errors = wrongChoice(filter, all);
      if (errors !== undefined) return sendProblem(request, reply, { code: 'request/invalid', errors });
      const trace = traceContextOf(request);
      const order = { by: principalOf(request), dryRun, ...(trace && { trace }) };
      const result = await parked[action](filter ?? {}, order);
      return reply.send(markedBody(result, dryRun));
    },
  );
}

/** Neither by accident everything, nor a filter that does not count. */
function wrongChoice(filter: ParkedFilter | undefined, all: true | undefined) {
  if ((filter === undefined) !== (all === undefined)) return undefined;
  const detail =
    filter === undefined ? 'is required, or else `all: true`' : 'cannot be combined with all; leave one out';
  return [{ in: 'body', pointer: '/filter', detail } as const];
}
