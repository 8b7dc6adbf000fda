import type { FastifyRequest } from 'fastify';
import type { TSchema } from 'typebox';
import type { EventSource } from '../../eventstore/index.ts';
import type { Access } from '../auth/access.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { sendProblem } from '../problem-reply.ts';
import type { BusinessCode } from '../problems.ts';
import { linkToNext } from '../reading.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { DEFAULT_LIMIT, HistoryQuery } from '../schemas/queries.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { listed, problemsOfRead } from '../schemas/responses.ts';
import { asksForTypes } from './asked-form.ts';
import { followingOf } from './follow.ts';
import { asRecorded, asTyped, readHistory } from './history.ts';
import {
  EVENTS_V2,
  type EventExamples,
  EventsQuery,
  eventComponents,
  FormStreamQuery,
  History,
  StreamHeaders,
  StreamQuery,
  streamed,
  titleOf,
} from './schemas.ts';
import { writeRecorded, writeTyped } from './sse.ts';

/** The events of a category, as its module of the API has them. */
export interface EventsOf {
  readonly source: EventSource;
  /** Of one aggregate, with one parameter, which is its id. */
  readonly path: string;
  readonly params: TSchema;
  /** Who may see everything that ever happened to it. */
  readonly access: Access;
  readonly tag: string;
  readonly absent: BusinessCode;
  readonly examples: EventExamples;
  /** What clients have known first stays the default, and streams tell a status. Only orders were there then. */
  readonly twoForms?: { readonly status: TSchema };
}

const NEVER_MISSED =
  'Without Last-Event-ID its whole history comes first, so nothing can be missed; with it, what followed. A client may come back with another form: the ids are the same.';

/**
 * `GET <path>/events` and `GET <path>/stream`: what happened to one aggregate, and what happens. Schemas and objects are
 * made from the messages of the category.
 */
export function eventsOf(of: EventsOf): Pick<ApiModule, 'components' | 'routes'> {
  const { source, examples, twoForms } = of;
  return {
    components: [...eventComponents(source, examples, twoForms?.status), ...(twoForms ? [History] : [])],
    routes: (app, deps) => {
      listing(app, deps, of);
      streaming(app, deps, of);
    },
  };
}

function listing(app: TypedApp, { log }: ServiceDeps, of: EventsOf): void {
  const { source, path, params, access, tag, absent, twoForms } = of;
  const title = titleOf(source);
  const page = { schema: { $ref: `${title}EventPage#` } };
  const { 200: one, ...rest } = listed(`${title}EventPage`);
  const both = {
    ...(one as object),
    content: { 'application/json': { schema: { $ref: 'History#' } }, [EVENTS_V2]: page },
  };
  const schema = {
    tags: [tag],
    operationId: `list${title}Events`,
    summary: `List the events of one ${source.category}`,
    description:
      'Its whole history from the event log, oldest first, always up to date. Events of one commit share a position and are never split, so a page can hold more events than `limit`, which counts commits.',
    headers: PlainHeaders,
    querystring: twoForms ? EventsQuery : HistoryQuery,
    params,
    response: { 200: twoForms ? both : one, ...rest, ...problemsOfRead(absent) },
  };
  const typed = asTyped(source);
  const recorded = asRecorded(source);
  app.get(`${path}/events`, { schema, config: { access } }, async (request, reply) => {
    const { after = 0, limit = DEFAULT_LIMIT } = request.query as { after?: number; limit?: number };
    const stream = { category: source.category, id: idOf(request) };
    const isTyped = twoForms === undefined || asksForTypes(request);
    const range = { after, limit };
    const found = isTyped
      ? await readHistory(log, stream, typed, range)
      : await readHistory(log, stream, recorded, range);
    if (found.absent) return sendProblem(request, reply, { code: absent });
    const { items, next } = found;
    if (next !== undefined) linkToNext(request, reply, 'after', String(next));
    if (twoForms !== undefined) reply.header('vary', 'Accept');
    if (twoForms !== undefined && isTyped) reply.header('content-type', EVENTS_V2);
    return reply.send({ items, ...(next !== undefined && { next }) });
  });
}

function streaming(app: TypedApp, deps: ServiceDeps, of: EventsOf): void {
  const { source, path, params, access, tag, absent, twoForms } = of;
  const title = titleOf(source);
  const { category } = source;
  const data = twoForms
    ? "an event as `/events` lists it, in the form that was asked for, with the order's `status` after it, and in `v1` its `orderId`"
    : 'an event as `/events` lists it';
  const schema = {
    tags: [tag],
    operationId: `stream${title}`,
    summary: `Follow one ${category}`,
    description: `Its events as they happen. ${NEVER_MISSED}`,
    headers: StreamHeaders,
    querystring: twoForms ? FormStreamQuery : StreamQuery,
    params,
    response: {
      ...streamed(data),
      ...problemsOfRead(absent, 'position/not-in-log', 'stream/too-many'),
    },
  };
  const following = followingOf(app, deps);
  const typed = following.frames(writeTyped(source));
  const recorded = following.frames(writeRecorded());
  // A HEAD would have to answer for a body that never ends.
  const options = { schema, config: { access, live: true }, exposeHeadRoute: false };
  app.get(`${path}/stream`, options, (request, reply) => {
    const frames = twoForms === undefined || asksForTypes(request) ? typed : recorded;
    const id = idOf(request);
    const open = (after?: Parameters<typeof deps.live.aggregate>[1]) =>
      deps.live.aggregate({ category, id }, after);
    return following.follow(request, reply, { frames, open, absent });
  });
}

/** The only parameter of the path. */
function idOf({ params }: FastifyRequest): string {
  return String(Object.values(params as Readonly<Record<string, string>>)[0]);
}
