import Type from 'typebox';
import { groupByCause } from '../../processes/engine/index.ts';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { followingOf } from '../events/follow.ts';
import { eventStream } from '../events/schemas.ts';
import type { StreamContent } from '../events/sse.ts';
import { consumerBody } from '../routes/admin.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { problemsOfRead } from '../schemas/responses.ts';
import { openFrames } from '../sealed.ts';
import { funnelBody } from './funnel.ts';
import { createSeldom } from './seldom.ts';
import { causeBody, requestBody, situationBody, viewBody } from './shown.ts';

/** Looking takes at most a tenth of the time. */
const EVERY_MS = 1_000;
const SHARE = 10;
/** More than these are not sent; the whole list is an operation of its own. */
const MOST_REQUESTS = 50;
const MOST_TRACES = 200;

type Sections = Readonly<Record<string, object>>;

/** What only some pages show, and is looked at while somebody is on one of them. */
const ALSO = {
  orders: funnelBody,
  traces: async ({ admin }: ServiceDeps): Promise<object> => ({
    items: admin.traces?.list(MOST_TRACES) ?? [],
  }),
} as const;
type Also = keyof typeof ALSO;

/** What the console shows of everything, made once for all who look on. @throws LogUnavailable */
async function look(deps: ServiceDeps, also: ReadonlySet<Also>): Promise<Sections> {
  const { admin, runtime } = deps;
  const more = Promise.all([...also].map(async (name) => [name, await ALSO[name](deps)] as const));
  const [parked, consumers, views, situation, requests] = await Promise.all([
    admin.parked.list(),
    admin.consumers.status(),
    admin.views.list(),
    admin.situation(),
    admin.requests.list(),
  ]);
  return {
    ...Object.fromEntries(await more),
    stuck: { items: groupByCause(parked).map(causeBody) },
    reactions: { items: consumers.map(consumerBody) },
    views: { items: views.map(viewBody) },
    situation: { ...situationBody(situation), at: new Date(runtime.now()).toISOString() },
    requests: { items: requests.slice(0, MOST_REQUESTS).map((request) => requestBody(request, parked)) },
  };
}

interface Watcher {
  readonly also: Also | undefined;
  /** What it was sent last of each section. */
  readonly sent: Map<string, string>;
  wake(): void;
}

/** Sends each who looks on what has changed; nothing is looked at while nobody does. */
function createLookout(deps: ServiceDeps): (also: Also | undefined) => StreamContent {
  const watchers = new Set<Watcher>();
  let looking = false;
  const lookSeldom = createSeldom(deps);
  let last: ReadonlyMap<string, string> = new Map();

  const lookAgain = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    while (watchers.size > 0) {
      const began = performance.now();
      try {
        const also = new Set([...watchers].flatMap((one) => one.also ?? []));
        const [often, seldom] = await Promise.all([look(deps, also), lookSeldom()]);
        const sections = { ...often, ...seldom };
        const texts = Object.entries(sections).map(async ([name, body]) => {
          return [name, await openFrames(deps.personal, JSON.stringify(body))] as const;
        });
        last = new Map(await Promise.all(texts));
      } catch {
        const away = JSON.stringify({ at: new Date(deps.runtime.now()).toISOString() });
        last = new Map([...last, ['away', away]]);
      }
      for (const { wake } of watchers) wake();
      const pause = Math.max(EVERY_MS, (performance.now() - began) * SHARE);
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
    }
    looking = false;
    last = new Map();
  };
  /** One that is slow gets the newest once it takes more. */
  const changesFor = ({ sent, also }: Watcher): string => {
    const wanted = (section: string) => section === also || !(section in ALSO);
    const changed = [...last].filter(([section, data]) => wanted(section) && sent.get(section) !== data);
    for (const [section, data] of changed) sent.set(section, data);
    return changed.map(([section, data]) => `event: ${section}\ndata: ${data}\n\n`).join('');
  };

  return (also) => {
    const watcher: Watcher = { also, sent: new Map(), wake: () => undefined };
    watchers.add(watcher);
    void lookAgain();
    return {
      first: '',
      next: async () => {
        while (watchers.has(watcher)) {
          const frames = changesFor(watcher);
          if (frames !== '') return { frames };
          await new Promise<void>((resolve) => Object.assign(watcher, { wake: resolve }));
        }
        return 'closed';
      },
      heartbeat: () => ': still here\n\n',
      close: () => {
        watchers.delete(watcher);
        watcher.wake();
      },
    };
  };
}

const LiveQuery = Type.Object(
  {
    also: Type.Optional(
      Type.Enum(Object.keys(ALSO) as [Also, ...Also[]], {
        description: 'A section that is sent where it is wanted.',
      }),
    ),
  },
  { additionalProperties: false },
);

/** One stream of everything that the console shows at a glance. */
export function liveRoute(app: TypedApp, deps: ServiceDeps): void {
  const { streams } = followingOf(app, deps);
  const watch = createLookout(deps);
  const schema = {
    tags: ['admin'],
    headers: PlainHeaders,
    querystring: LiveQuery,
    operationId: 'streamAdmin',
    summary: 'Follow how everything stands',
    description:
      'Server-sent events `stuck` (as /v1/admin/parked/causes), `reactions` (/v1/admin/consumers), `views`, `situation` and `requests`: each at once, and again when it has changed, at most every second; `timers`, `payments` (/v1/admin/payments/in-doubt), `outgoing` (`notifications`, the first page of `webhooks`, and those that are `disabled`) and `backups` at most every 5 seconds. `away`: the log cannot be read now. Also what `also` names: `orders` (/v1/admin/orders/funnel), or `traces`, the last 200.',
    response: { ...eventStream('Until either side ends.'), ...problemsOfRead('stream/too-many') },
  };
  const config = { access: ACCESS.admin, live: true };
  app.get('/v1/admin/live', { schema, config, exposeHeadRoute: false }, async (request, reply) => {
    const leave = streams.admit(request, reply);
    if (leave !== undefined) streams.serve(reply, watch(request.query.also), leave);
    return reply;
  });
}
