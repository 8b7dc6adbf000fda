import type { Static } from 'typebox';
import { isAfter, numberOf, positionOf } from '../../eventstore/index.ts';
import type {
  DeadLetter,
  DeadLetterAnswer,
  DeadLetterFilter,
  DeadLetterPort,
} from '../../processes/engine/index.ts';
import { ACCESS } from '../auth/access.ts';
import type {
  ApiModule,
  ConsumerHere,
  ConsumerReport,
  ConsumersAdmin,
  ServiceDeps,
  SkippedPosition,
  SkipsAdmin,
} from '../deps.ts';
import { principalOf } from '../meta.ts';
import { recorded } from '../operators/recorded.ts';
import { sendProblem } from '../problem-reply.ts';
import { linkToNext } from '../reading.ts';
import {
  type ConsumerBody,
  ConsumerControl,
  ConsumerParams,
  Consumers,
  ControlReason,
  Parked,
  ParkedAction,
  type ParkedBody,
  ParkedMarked,
  ParkedPage,
  ParkedParams,
  type ParkedSummaryBody,
  Skipped,
  type SkippedBody,
} from '../schemas/admin.ts';
import { NoQuery } from '../schemas/common.ts';
import { DEFAULT_LIMIT, ParkedQuery } from '../schemas/queries.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { listed, plain, problemsOfAdmin, problemsOfRead } from '../schemas/responses.ts';
import { traceContextOf } from '../tracing.ts';
import { type TypedApp, withoutBodyIsEmpty } from './app-type.ts';

/** A parked commit as a line of a list. */
export function parkedSummary(entry: DeadLetter): ParkedSummaryBody {
  const { error } = entry;
  return {
    ...commonFields(entry),
    eventTypes: entry.events.map(({ type }) => type),
    ...(error && { error: { name: error.name, message: error.message } }),
  };
}

/** A parked commit with everything that is kept of it. */
export function parkedBody(entry: DeadLetter): ParkedBody {
  const { commitId, events, error } = entry;
  return {
    ...commonFields(entry),
    commitId,
    events: events.map(({ type, schemaVersion, payload }) => ({ type, schemaVersion, payload })),
    ...(error && { error: { name: error.name, message: error.message, stack: error.stack } }),
  };
}

/** What was marked, by name. */
export function markedBody({ marked, changed }: DeadLetterAnswer, dryRun: boolean): object {
  return { dryRun, marked: marked.map(namesOf), changed: changed.map(namesOf) };
}

/** A consumer's report with its times in ISO 8601. */
export function consumerBody(report: ConsumerReport): ConsumerBody {
  const { consumer, lag, lagSeconds, oldest, parked, paused, pause, groups, owners, here } = report;
  return {
    consumer,
    lag,
    lagSeconds,
    ...(oldest && { oldest: { position: numberOf(oldest.position), at: isoTime(oldest.at) } }),
    parked,
    paused,
    ...(pause && { pause: { ...pause, at: isoTime(pause.at) } }),
    groups,
    ...(owners && { owners: [...owners] }),
    ...(here && { here: localBody(here) }),
  };
}

function localBody({ lastError, groups, ...counts }: ConsumerHere): NonNullable<ConsumerBody['here']> {
  const { held, running, retrying, retries, stopped } = counts;
  const error = lastError !== undefined && { lastError };
  return { groups: [...groups], held, running, retrying, retries, stopped, ...error };
}

function commonFields(entry: DeadLetter) {
  const { behind, attempts, firstAt, lastAt, traceId, request } = entry;
  return {
    ...namesOf(entry),
    behind,
    attempts,
    ...(attempts > 0 && { firstAt: isoTime(firstAt), lastAt: isoTime(lastAt) }),
    ...(traceId !== '' && { traceId }),
    ...(request && { request: { requested: request.requested, by: request.by, at: isoTime(request.at) } }),
  };
}

function namesOf({ consumer, category, id, position }: DeadLetter) {
  return { consumer, category, id, position: numberOf(position) };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** What operators see and do: the consumers of events, and what they could not handle. */
export const adminApi: ApiModule = {
  tag: { name: 'admin', description: 'Consumers of events, and what they could not handle' },
  components: [ParkedPage, Parked, ParkedMarked, Consumers, ConsumerControl, ControlReason, Skipped],
  routes: (app, deps) => {
    parkedRoutes(app, deps);
    consumerRoutes(app, deps);
    skipped(app, deps.admin.skips);
  },
};

const controlled = { tags: ['admin'], headers: PlainHeaders, querystring: NoQuery };

/** Shows how the consumers stand, pauses and resumes them. */
function consumerRoutes(app: TypedApp, deps: ServiceDeps): void {
  status(app, deps.admin.consumers);
  control(app, deps, 'pause');
  control(app, deps, 'resume');
}

function status(app: TypedApp, consumers: ConsumersAdmin): void {
  const schema = {
    ...controlled,
    operationId: 'listConsumers',
    summary: 'Show how the consumers stand',
    description:
      'Lag, parked commits, pauses and groups are those of all instances together, as old as their last checkpoint (a tenth of a second); `here` is what only the process that answers knows.',
    response: { ...plain(200, 'Consumers', 'All consumers that ever ran, by name.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/consumers', { schema, config: { access: ACCESS.admin } }, async (_request, reply) => {
    const reports = await consumers.status();
    return reply.send({ items: reports.map(consumerBody) });
  });
}

/** A mark with its time in ISO 8601. */
export function skippedBody({ position, stream, reason, at, by }: SkippedPosition): SkippedBody {
  const { category, id } = stream;
  return {
    position: numberOf(position),
    category,
    id,
    reason,
    at: isoTime(at),
    ...(by !== undefined && { by }),
  };
}

function skipped(app: TypedApp, skips: SkipsAdmin): void {
  const schema = {
    ...controlled,
    operationId: 'listSkipped',
    summary: 'List positions that are passed over',
    description:
      'Damaged commits that views and reactions pass over because an operator has marked them (`jetledger skip`), in the order of the marks.',
    response: { ...plain(200, 'Skipped', 'All marks that are set.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/skipped', { schema, config: { access: ACCESS.admin } }, async (_request, reply) => {
    return reply.send({ items: (await skips.list()).map(skippedBody) });
  });
}

const CONTROLS = {
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

function control(app: TypedApp, deps: ServiceDeps, action: keyof typeof CONTROLS): void {
  const schema = {
    ...controlled,
    ...CONTROLS[action],
    params: ConsumerParams,
    body: ControlReason,
    response: {
      ...plain(200, 'ConsumerControl', 'How it is now.', {
        consumer: 'order-process',
        paused: action === 'pause',
      }),
      ...problemsOfAdmin('consumer/not-found'),
    },
  };
  const options = { schema, config: { access: ACCESS.admin }, preValidation: withoutBodyIsEmpty };
  app.post(`/v1/admin/consumers/:name/${action}`, options, async (request, reply) => {
    const { name } = request.params;
    const { reason } = request.body;
    const { consumers } = deps.admin;
    // Asked first: nobody asks anything of what there is not.
    if (!(await consumers.has(name))) return sendProblem(request, reply, { code: 'consumer/not-found' });
    const wish = { action, target: name, reason };
    await recorded(request, deps, wish, (_id, by) => consumers[action](name, by, reason));
    return reply.send({ consumer: name, paused: action === 'pause' });
  });
}

const common = { tags: ['admin'], headers: PlainHeaders };

/** Shows parked commits, and marks them to be handled again or given up. */
function parkedRoutes(app: TypedApp, deps: ServiceDeps): void {
  listing(app, deps.admin.parked);
  showing(app, deps.admin.parked);
  marking(app, deps, 'redrive');
  marking(app, deps, 'discard');
}

function listing(app: TypedApp, parked: DeadLetterPort): void {
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
    const all = await parked.list(filterOf(filter));
    const rest = cursor === undefined ? all : all.filter((entry) => isBehind(entry, cursor));
    const items = rest.slice(0, limit);
    const last = items.at(-1);
    const next = rest.length > limit && last !== undefined ? cursorOf(last) : undefined;
    if (next !== undefined) linkToNext(request, reply, 'cursor', next);
    return reply.send({ items: items.map(parkedSummary), ...(next !== undefined && { next }) });
  });
}

type AskedFilter = NonNullable<Static<typeof ParkedAction>['filter']>;

function filterOf({ position, upTo, ...rest }: AskedFilter): DeadLetterFilter {
  return {
    ...rest,
    ...(position !== undefined && { position: positionOf(position) }),
    ...(upTo !== undefined && { upTo: positionOf(upTo) }),
  };
}

/** A commit has one place in the list, since it is of one aggregate. */
function cursorOf({ position, consumer }: DeadLetter): string {
  return `${numberOf(position)}.${consumer}`;
}

function isBehind({ position, consumer }: DeadLetter, cursor: string): boolean {
  const dot = cursor.indexOf('.');
  const from = positionOf(Number(cursor.slice(0, dot)));
  return isAfter(position, from) || (position === from && consumer.localeCompare(cursor.slice(dot + 1)) > 0);
}

function showing(app: TypedApp, parked: DeadLetterPort): void {
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
    const entry = await parked.show(consumer, { category, id }, positionOf(Number(position)));
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

function marking(app: TypedApp, deps: ServiceDeps, action: keyof typeof ACTIONS): void {
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
      const { filter, all, dryRun = false, reason } = request.body;
      const errors = wrongChoice(filter, all);
      if (errors !== undefined) return sendProblem(request, reply, { code: 'request/invalid', errors });
      const trace = traceContextOf(request);
      const mark = (by: string, id?: string) => {
        const order = { by, dryRun, ...(id && { id }), ...(reason && { reason }), ...(trace && { trace }) };
        return deps.admin.parked[action](filterOf(filter ?? {}), order);
      };
      if (dryRun) return reply.send(markedBody(await mark(principalOf(request)), true));
      const { category, id: aggregate } = filter ?? {};
      const stream =
        category === undefined || aggregate === undefined ? undefined : { category, id: aggregate };
      const { id, done } = await recorded(
        request,
        deps,
        { action, target: targetOf(filter), reason, stream },
        (request, by) => mark(by, request),
        ({ marked }) => ({ marked: marked.length }),
      );
      return reply.send({ ...markedBody(done, false), request: id });
    },
  );
}

/** Which ones, in words. */
function targetOf(filter: AskedFilter | undefined): string {
  const named = Object.entries(filter ?? {}).map(([name, value]) => `${name} ${value}`);
  return named.length === 0 ? 'all' : named.join(', ');
}

/** Neither by accident everything, nor a filter that does not count. */
function wrongChoice(filter: AskedFilter | undefined, all: true | undefined) {
  if ((filter === undefined) !== (all === undefined)) return undefined;
  const detail =
    filter === undefined ? 'is required, or else `all: true`' : 'cannot be combined with all; leave one out';
  return [{ in: 'body', pointer: '/filter', detail } as const];
}
