import { order } from '../../domain/order.ts';
import { ACCESS } from '../auth/access.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { problemsOfRead } from '../schemas/responses.ts';
import { asksForTypes } from './asked-form.ts';
import { followingOf } from './follow.ts';
import { StreamHeaders, streamed, UserStreamQuery } from './schemas.ts';
import { writeRecorded, writeTyped } from './sse.ts';

/** All orders of a user as they change, as server-sent events (protocol 18). */
export const ordersOfUserApi: ApiModule = { components: [], routes: ordersOfUser };

function ordersOfUser(app: TypedApp, deps: ServiceDeps): void {
  const schema = {
    tags: ['orders'],
    operationId: 'streamOrdersOfUser',
    summary: "Follow a user's orders",
    description:
      'The events of all orders of a user as they happen. Without Last-Event-ID it begins now, with an event `start` whose `position` goes into Min-Position of `GET /v1/users/{id}/orders`: that list and what follows are everything. A place that is too old to be resumed is answered 410.',
    headers: StreamHeaders,
    querystring: UserStreamQuery,
    response: {
      ...streamed('an event as `/v1/orders/{id}/stream` tells it'),
      ...problemsOfRead('user/not-found', 'stream/too-old', 'position/not-in-log', 'stream/too-many'),
    },
  };
  const config = { access: ACCESS.ordersOfUserInQuery, live: true };
  const following = followingOf(app, deps);
  const typed = following.frames(writeTyped(order));
  const recorded = following.frames(writeRecorded());
  app.get('/v1/orders/stream', { schema, config, exposeHeadRoute: false }, (request, reply) =>
    following.follow(request, reply, {
      frames: asksForTypes(request) ? typed : recorded,
      open: (after) => deps.live.user(request.query.user, after),
      absent: 'order/not-found',
      startsNow: true,
    }),
  );
}
