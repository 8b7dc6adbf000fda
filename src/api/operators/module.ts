import { groupByCause } from '../../processes/engine/index.ts';
import { ACCESS } from '../auth/access.ts';
import type { ApiModule, ServiceDeps } from '../deps.ts';
import { describeProblems } from '../problems.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { NoQuery } from '../schemas/common.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfRead } from '../schemas/responses.ts';
import { aggregateBodies, aggregateRoutes } from './aggregates.ts';
import { funnelRoute, OrderFunnel } from './funnel.ts';
import { liveRoute } from './live.ts';
import { logRoute } from './log.ts';
import { outgoingComponents, outgoingRoutes } from './outgoing.ts';
import {
  AdminRequest,
  AdminRequests,
  AggregateCommits,
  AggregateState,
  FoundAggregates,
  ParkedCauses,
  Situation,
  Views,
} from './schemas.ts';
import { causeBody } from './shown.ts';
import { TraceSpans, Traces } from './trace-schemas.ts';
import { traceRoutes } from './traces.ts';
import { upkeepComponents, upkeepRoutes } from './upkeep.ts';
import { requestRoutes, viewBodies, viewRoutes } from './views.ts';
import { waitingComponents, waitingRoutes } from './waiting.ts';

describeProblems({
  'view/not-found': {
    status: 404,
    title: 'Unknown view',
    detail: 'Check the name; /v1/admin/views lists all there are.',
  },
  'admin-request/not-found': {
    status: 404,
    title: 'Unknown request',
    detail: 'Check the id; /v1/admin/requests lists the last 500.',
  },
  'trace/not-kept': {
    status: 404,
    title: 'The trace is not kept',
    detail: 'Not any more, or not by this process: `tracing.devTraces` says how many are.',
  },
  'aggregate/not-found': {
    status: 404,
    title: 'No such aggregate',
    detail: 'Check category and id; /v1/admin/aggregates/find looks for it by what else is known.',
  },
});

/** What operators see and ask for, beside single parked commits and consumers. */
export const operatorsApi: ApiModule = {
  components: [
    ...[ParkedCauses, AdminRequest, AdminRequests, Views, Situation],
    ...[FoundAggregates, AggregateState, AggregateCommits],
    ...[Traces, TraceSpans, OrderFunnel],
    ...viewBodies,
    ...aggregateBodies,
    ...waitingComponents,
    ...outgoingComponents,
    ...upkeepComponents,
  ],
  routes: (app, deps) => {
    causes(app, deps);
    aggregateRoutes(app, deps);
    viewRoutes(app, deps);
    requestRoutes(app, deps);
    waitingRoutes(app, deps);
    outgoingRoutes(app, deps);
    traceRoutes(app, deps);
    upkeepRoutes(app, deps);
    liveRoute(app, deps);
    logRoute(app, deps);
    funnelRoute(app, deps);
  },
};

function causes(app: TypedApp, { admin }: ServiceDeps): void {
  const schema = {
    tags: ['admin'],
    headers: PlainHeaders,
    querystring: NoQuery,
    operationId: 'listParkedCauses',
    summary: 'Group parked commits by their cause',
    description: 'By consumer, events and error; ids and numbers in messages make no difference.',
    response: { ...plain(200, 'ParkedCauses', 'All causes, the most frequent first.'), ...problemsOfRead() },
  };
  app.get(
    '/v1/admin/parked/causes',
    { schema, config: { access: ACCESS.admin } },
    async (_request, reply) => {
      const items = groupByCause(await admin.parked.list()).map(causeBody);
      return reply.send({ items });
    },
  );
}
