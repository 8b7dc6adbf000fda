import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LiveOpening, LivePlace } from '../../projections/views/live-fold.ts';
import { ACCESS } from '../auth/access.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { callerOf } from '../fairness.ts';
import { type PositionTokens, positionTokens } from '../position-token.ts';
import { sendProblem } from '../problem-reply.ts';
import type { ProblemCode } from '../problems.ts';
import { OrderParams } from '../schemas/common.ts';
import { problemsOfRead } from '../schemas/responses.ts';
import { OrderStreamQuery, StreamHeaders, streamed, UserStreamQuery } from '../schemas/stream.ts';
import { createFrames, createStreams, type Frames, type Streams } from '../sse.ts';
import type { TypedApp } from './app-type.ts';

const tags = ['orders'];
const responses = (...codes: ProblemCode[]) => ({
  ...streamed,
  ...problemsOfRead(...codes, 'position/not-in-log', 'stream/too-many'),
});
const WHY = {
  absent: 'order/not-found',
  'too-old': 'stream/too-old',
  'not-in-log': 'position/not-in-log',
} as const satisfies Record<string, ProblemCode>;

interface Parts {
  readonly live: ServiceDeps['live'];
  readonly tokens: PositionTokens;
  readonly frames: Frames;
  readonly streams: Streams;
}

/** Orders as they change, as server-sent events (protocol 18). */
export const orderStreamApi: ApiModule = { components: [], routes: orderStreams };

function orderStreams(app: TypedApp, { live, log, settings, runtime }: ServiceDeps): void {
  const { maxStreams: all, maxStreamsPerCaller: each, streamHeartbeatMs: heartbeatMs } = settings;
  const tokens = positionTokens(log.incarnation);
  const streams = createStreams(app, { bounds: { all, each }, heartbeatMs, runtime });
  const parts: Parts = { live, tokens, frames: createFrames(tokens), streams };
  ofOrder(app, parts);
  ofUser(app, parts);
}

function ofOrder(app: TypedApp, parts: Parts): void {
  const schema = {
    tags,
    operationId: 'streamOrder',
    summary: 'Follow an order',
    description:
      'Its events as they happen. Without Last-Event-ID its whole history comes first, so nothing can be missed. Stays open after a final status, since a confirmed order is still shipped and delivered.',
    headers: StreamHeaders,
    querystring: OrderStreamQuery,
    params: OrderParams,
    response: responses('order/not-found'),
  };
  // A HEAD would have to answer for a body that never ends.
  const options = { schema, config: { access: ACCESS.ownOrder, live: true }, exposeHeadRoute: false };
  app.get('/v1/orders/:id/stream', options, (request, reply) =>
    follow(parts, request, reply, false, (after) => parts.live.order(request.params.id, after)),
  );
}

function ofUser(app: TypedApp, parts: Parts): void {
  const schema = {
    tags,
    operationId: 'streamOrdersOfUser',
    summary: "Follow a user's orders",
    description:
      'The events of all orders of a user as they happen. Without Last-Event-ID it begins now, with an event `start` whose `position` goes into Min-Position of `GET /v1/users/{id}/orders`: that list and what follows are everything. A place that is too old to be resumed is answered 410.',
    headers: StreamHeaders,
    querystring: UserStreamQuery,
    response: responses('user/not-found', 'stream/too-old'),
  };
  const options = {
    schema,
    config: { access: ACCESS.ordersOfUserInQuery, live: true },
    exposeHeadRoute: false,
  };
  app.get('/v1/orders/stream', options, (request, reply) =>
    follow(parts, request, reply, true, (after) => parts.live.user(request.query.user, after)),
  );
}

/** Opens a stream behind the client's place and sends it, or answers why not. @throws as `LiveOrders` */
async function follow(
  { tokens, frames, streams }: Parts,
  request: FastifyRequest,
  reply: FastifyReply,
  startsNow: boolean,
  open: (after: LivePlace | undefined) => Promise<LiveOpening>,
): Promise<FastifyReply | undefined> {
  const token = lastEventIdOf(request);
  const after = token === undefined ? undefined : tokens.read(token);
  if (token !== undefined && after === undefined)
    return sendProblem(request, reply, { code: 'position/not-in-log' });
  const leave = streams.enter(callerOf(request));
  if (typeof leave !== 'function') {
    const code = leave === 'each' ? 'request/too-many-open' : 'stream/too-many';
    return sendProblem(request, reply, { code });
  }
  let served = false;
  try {
    const opening = await open(after);
    if (!opening.opened) return sendProblem(request, reply, { code: WHY[opening.why] });
    const { stream } = opening;
    const content = {
      stream,
      first: after === undefined && startsNow ? frames.start(stream.start) : '',
      write: (commit: Parameters<Frames['of']>[0]) => frames.of(commit, after),
      heartbeat: frames.heartbeat,
    };
    served = true;
    streams.serve(reply, content, leave);
    return reply;
  } finally {
    if (!served) leave();
  }
}

/** The header wins: a browser that comes back sends it, while its address still holds what it began with. */
function lastEventIdOf(request: FastifyRequest): string | undefined {
  const inHeader = request.headers['last-event-id'];
  const { lastEventId } = request.query as { lastEventId?: string };
  return typeof inHeader === 'string' ? inHeader : lastEventId;
}
