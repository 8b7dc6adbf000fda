import type { ServerResponse } from 'node:http';
import { groupByCause } from '../../processes/engine/index.ts';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import { callerOf, createShare } from '../fairness.ts';
import { sendProblem } from '../problem-reply.ts';
import { consumerBody } from '../routes/admin.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { NoQuery } from '../schemas/common.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { problemsOfRead } from '../schemas/responses.ts';
import { openFrames } from '../sealed.ts';
import { causeBody, requestBody, situationBody, viewBody } from './shown.ts';

/** Looking takes at most a tenth of the time. */
const EVERY_MS = 1_000;
const SHARE = 10;
/** More than these are not sent; the whole list is an operation of its own. */
const MOST_REQUESTS = 50;

type Sections = Readonly<Record<string, object>>;

/** What the console shows of everything, made once for all who look on. @throws LogUnavailable */
async function look({ admin, runtime }: ServiceDeps): Promise<Sections> {
  const [parked, consumers, views, situation, requests] = await Promise.all([
    admin.parked.list(),
    admin.consumers.status(),
    admin.views.list(),
    admin.situation(),
    admin.requests.list(),
  ]);
  return {
    stuck: { items: groupByCause(parked).map(causeBody) },
    reactions: { items: consumers.map(consumerBody) },
    views: { items: views.map(viewBody) },
    situation: { ...situationBody(situation), at: new Date(runtime.now()).toISOString() },
    requests: { items: requests.slice(0, MOST_REQUESTS).map((request) => requestBody(request, parked)) },
  };
}

interface Watcher {
  readonly raw: ServerResponse;
  /** What it was sent last of each section. */
  readonly sent: Map<string, string>;
}

/** Sends each who looks on what has changed; nothing is looked at while nobody does. */
function createLookout(deps: ServiceDeps) {
  const { settings } = deps;
  const watchers = new Set<Watcher>();
  let looking = false;
  let closed = false;
  let last: ReadonlyMap<string, string> = new Map();

  const send = ({ raw, sent }: Watcher): void => {
    // One that takes nothing gets the newest once it does.
    if (raw.writableNeedDrain) return;
    for (const [section, data] of last) {
      if (sent.get(section) === data) continue;
      sent.set(section, data);
      raw.write(`event: ${section}\ndata: ${data}\n\n`);
    }
  };
  const lookAgain = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    while (watchers.size > 0 && !closed) {
      const began = performance.now();
      try {
        const sections = await look(deps);
        const texts = Object.entries(sections).map(async ([name, body]) => {
          return [name, await openFrames(deps.personal, JSON.stringify(body))] as const;
        });
        last = new Map(await Promise.all(texts));
      } catch {
        last = new Map([
          ...last,
          ['away', JSON.stringify({ at: new Date(deps.runtime.now()).toISOString() })],
        ]);
      }
      for (const watcher of watchers) send(watcher);
      const pause = Math.max(EVERY_MS, (performance.now() - began) * SHARE);
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
    }
    looking = false;
  };
  const beats = setInterval(() => {
    for (const { raw } of watchers) if (!raw.writableNeedDrain) raw.write(': still here\n\n');
  }, settings.streamHeartbeatMs);
  beats.unref();
  return {
    add: (raw: ServerResponse): void => {
      const watcher = { raw, sent: new Map<string, string>() };
      watchers.add(watcher);
      raw.once('close', () => watchers.delete(watcher));
      if (watchers.size > 1) send(watcher);
      void lookAgain();
    },
    close: (): void => {
      closed = true;
      clearInterval(beats);
      for (const { raw } of watchers) raw.end('event: end\ndata: {"reason":"shutdown"}\n\n');
    },
  };
}

/** One stream of everything that the console shows at a glance. */
export function liveRoute(app: TypedApp, deps: ServiceDeps): void {
  const { maxStreams: all, maxStreamsPerCaller: each } = deps.settings;
  const share = createShare({ all, each });
  const lookout = createLookout(deps);
  app.addHook('preClose', async () => lookout.close());
  const schema = {
    tags: ['admin'],
    headers: PlainHeaders,
    querystring: NoQuery,
    operationId: 'streamAdmin',
    summary: 'Follow how everything stands',
    description:
      'Server-sent events `stuck` (as /v1/admin/parked/causes), `reactions` (/v1/admin/consumers), `views`, `situation` and `requests`: each at once, and again when it has changed, at most every second. `away`: the log cannot be read now.',
    response: {
      200: {
        description: 'Until either side ends.',
        content: { 'text/event-stream': { schema: { type: 'string' } } },
      },
      ...problemsOfRead('stream/too-many'),
    },
  };
  const config = { access: ACCESS.admin, live: true };
  app.get('/v1/admin/live', { schema, config, exposeHeadRoute: false }, async (request, reply) => {
    const leave = share.enter(callerOf(request));
    if (typeof leave !== 'function') {
      const code = leave === 'each' ? 'request/too-many-open' : 'stream/too-many';
      return sendProblem(request, reply, { code });
    }
    const { raw } = reply.hijack();
    raw.once('close', leave);
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) raw.setHeader(name, value);
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    lookout.add(raw);
    return reply;
  });
}
