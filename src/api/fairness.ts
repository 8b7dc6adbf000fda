import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ShareSettings } from './deps.ts';
import { minPositionOf } from './position-token.ts';
import { sendProblem } from './problem-reply.ts';
import { waitSecondsOf } from './reading.ts';

/** How many may go on at once: in all, and of one caller. */
export interface Bounds {
  readonly all: number;
  readonly each: number;
}

/** Gives a place back; more than once does nothing. */
export type Leave = () => void;

/** Places for what goes on for a while, so that no caller takes them all. */
export interface Share {
  /** A place, or whose bound is reached: the caller's own, or that of all. */
  enter(caller: string): Leave | 'each' | 'all';
  /** The same, but waits for a place up to so many milliseconds, behind those who came before. */
  enterWithin(caller: string, ms: number): Promise<Leave | 'each' | 'all'>;
}

/** Makes a share without anybody in it. */
export function createShare({ all, each }: Bounds): Share {
  const taken = new Map<string, number>();
  const waiting = new Set<{ readonly caller: string; readonly admit: (leave: Leave) => void }>();
  let total = 0;

  const leaveOf = (caller: string): Leave => {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      total--;
      const rest = (taken.get(caller) ?? 1) - 1;
      if (rest === 0) taken.delete(caller);
      else taken.set(caller, rest);
      admitNext();
    };
  };
  const enter = (caller: string): Leave | 'each' | 'all' => {
    const own = taken.get(caller) ?? 0;
    if (own >= each) return 'each';
    if (total >= all) return 'all';
    taken.set(caller, own + 1);
    total++;
    return leaveOf(caller);
  };
  const admitNext = (): void => {
    for (const one of waiting) {
      const entered = enter(one.caller);
      if (entered === 'all') return;
      if (entered === 'each') continue;
      waiting.delete(one);
      one.admit(entered);
      return;
    }
  };

  return {
    enter,
    enterWithin: async (caller, ms) => {
      const entered = enter(caller);
      if (typeof entered === 'function') return entered;
      return new Promise((resolve) => {
        const one = {
          caller,
          admit: (leave: Leave) => {
            clearTimeout(timer);
            resolve(leave);
          },
        };
        const timer = setTimeout(() => {
          waiting.delete(one);
          resolve(enter(caller));
        }, ms);
        waiting.add(one);
      });
    },
  };
}

/** Who takes a place: a user where a token tells who it is, else an address. */
export function callerOf({ identity, ip }: FastifyRequest): string {
  return identity?.principal ?? ip;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route answers a list: it says so, or its query has a `limit`. */
    list?: boolean;
    /** The route takes many commands in one body. */
    batch?: boolean;
  }
}

/** How long a list or batch waits for a place, in milliseconds. Most are through much sooner. */
const PLACE_WAIT_MS = 1_000;

/** Batches at once: each has so many commands under way that a few keep a log busy, and those of others must get in. */
const BATCHES: Bounds = { all: 16, each: 2 };

/**
 * Bounds what a caller has going on: answers that wait, lists, which hold memory until their reader has taken them, and
 * batches, whose place is taken before their body is read.
 * A place is given back when the answer is sent or its connection is gone. Call where the hooks belong in the order.
 */
export function shareFairly(app: FastifyInstance, settings: ShareSettings): void {
  const waits = createShare({ all: settings.maxWaits, each: settings.maxWaitsPerCaller });
  const lists = createShare({ all: settings.maxLists, each: settings.maxListsPerCaller });
  app.addHook('onRoute', (route) => {
    const { properties = {} } = (route.schema?.querystring ?? {}) as { properties?: object };
    route.config = { ...route.config, list: route.config?.list === true || 'limit' in properties };
  });
  const batches = createShare(BATCHES);
  app.addHook('preParsing', async (request, reply) => {
    if (request.routeOptions.config.batch !== true) return;
    const place = await batches.enterWithin(callerOf(request), PLACE_WAIT_MS);
    if (!keep(request, reply, place)) return reply;
  });
  app.addHook('preHandler', (request, reply, done) => {
    if (!asksToWait(request) || keep(request, reply, waits.enter(callerOf(request)))) done();
  });
  app.addHook('preHandler', async (request, reply) => {
    if (request.routeOptions.config.list !== true) return;
    const place = await lists.enterWithin(callerOf(request), PLACE_WAIT_MS);
    if (!keep(request, reply, place)) return reply;
  });
}

function asksToWait(request: FastifyRequest): boolean {
  return minPositionOf(request) !== undefined || (waitSecondsOf(request.headers.prefer) ?? 0) > 0;
}

/** Keeps the place until the answer is over; without one, answers why. */
function keep(request: FastifyRequest, reply: FastifyReply, place: Leave | 'each' | 'all'): boolean {
  if (typeof place !== 'function') {
    sendProblem(request, reply, { code: place === 'each' ? 'request/too-many-open' : 'service/overloaded' });
    return false;
  }
  if (reply.raw.destroyed) place();
  else reply.raw.once('close', place);
  return true;
}

const LOOK_MS = 1_000;

/**
 * Cuts off clients that take nothing of what was sent to them: an answer that nobody reads holds memory, and a place in
 * a share, for as long as its connection lives. A stream's client comes back with its last id.
 * @param slowReaderMs how long nothing was taken
 */
export function cutSlowReaders(app: FastifyInstance, slowReaderMs: number): void {
  const { server } = app;
  const open = new Map<Socket, { taken: number; since: number }>();
  server.on('connection', (socket: Socket) => {
    open.set(socket, { taken: 0, since: 0 });
    socket.once('close', () => open.delete(socket));
  });
  const look = (): void => {
    const now = performance.now();
    for (const [socket, seen] of open) {
      const taken = socket.bytesWritten - socket.writableLength;
      if (socket.writableLength === 0 || taken !== seen.taken) Object.assign(seen, { taken, since: now });
      else if (now - seen.since >= slowReaderMs) {
        app.log.warn({ unread: socket.writableLength }, 'a client is cut off: it does not read its answer');
        socket.destroy();
      }
    }
  };
  const looks = setInterval(look, Math.min(LOOK_MS, slowReaderMs));
  looks.unref();
  app.addHook('onClose', async () => clearInterval(looks));
}
