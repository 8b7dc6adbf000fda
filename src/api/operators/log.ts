import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { followingOf } from '../events/follow.ts';
import { eventStream } from '../events/schemas.ts';
import type { StreamContent } from '../events/sse.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { problemsOfRead } from '../schemas/responses.ts';
import { openFrames } from '../sealed.ts';
import type { LogPart, LogWish } from './ports.ts';

const MOST = 500;
const DEFAULT_LAST = 100;

const Query = Type.Object(
  {
    category: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9_]{0,31}$', description: 'Of this kind.' })),
    id: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', description: 'Of aggregates with this id.' }),
    ),
    type: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9]{1,128}$',
        description: 'With an event of this type: `OrderPlaced`.',
      }),
    ),
    actor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: 'With a decision that this one asked for.' }),
    ),
    last: Type.Optional(
      Type.Integer({ minimum: 0, maximum: MOST, description: 'Begin with so many that are there already.' }),
    ),
    after: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Only behind this position.',
      }),
    ),
  },
  { additionalProperties: false },
);

/** The log as it grows. */
export function logRoute(app: TypedApp, deps: ServiceDeps): void {
  const { streams } = followingOf(app, deps);
  const schema = {
    tags: ['admin'],
    headers: PlainHeaders,
    querystring: Query,
    operationId: 'streamLog',
    summary: 'Follow the log',
    description:
      'Server-sent events `commit`, each with a commit as /v1/admin/aggregates/{category}/{id}/commits shows it, its `category` and its `id`: those of the last 1,000 that the filters let through, up to `last`, and from then on each as it is stored. Faster than 500 a second the oldest that wait are left out: `omitted` says how many (`count`).',
    response: { ...eventStream('Until either side ends.'), ...problemsOfRead('stream/too-many') },
  };
  const config = { access: ACCESS.admin, live: true };
  app.get('/v1/admin/log', { schema, config, exposeHeadRoute: false }, async (request, reply) => {
    const leave = streams.admit(request, reply);
    if (leave === undefined) return reply;
    const { last = DEFAULT_LAST, ...filter } = request.query;
    streams.serve(reply, contentOf(deps, { last, ...filter }), leave);
    return reply;
  });
}

function contentOf({ admin, personal }: ServiceDeps, wish: LogWish): StreamContent {
  const watch = admin.log.watch(wish);
  return {
    first: '',
    next: async () => {
      const part = await watch.next();
      return part === undefined ? 'closed' : { frames: await openFrames(personal, framesOf(part)) };
    },
    heartbeat: () => ': still here\n\n',
    close: watch.close,
  };
}

function framesOf({ commits, omitted }: LogPart): string {
  const lines = commits.map(({ position, category, id, commitId, decisions }) => {
    return `event: commit\ndata: ${JSON.stringify({ position, category, id, commitId, decisions })}\n\n`;
  });
  const left = omitted === 0 ? '' : `event: omitted\ndata: ${JSON.stringify({ count: omitted })}\n\n`;
  return left + lines.join('');
}
