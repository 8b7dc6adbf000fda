import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { order } from '../../domain/order.ts';
import { type EventSource, EventStoreError, type Position, type Runtime } from '../../eventstore/index.ts';
import type { LiveCommit, LiveEnd, LivePlace } from '../../projections/views/live-fold.ts';
import { type Bounds, callerOf, createShare, type Leave } from '../fairness.ts';
import type { PositionTokens } from '../position-token.ts';
import { sendProblem } from '../problem-reply.ts';
import { asRecorded, asTyped } from './history.ts';

/** Why the service ends a stream; the client comes back with its last id. */
export type EndReason = 'slow' | 'shutdown' | 'unreadable' | 'unavailable';

const DETAILS: Readonly<Record<EndReason, string>> = {
  slow: 'Events came faster than you read them. Resume with the last id.',
  shutdown: 'The service stops or restarts. Resume with the last id.',
  unreadable: 'The next event cannot be read by this version of the service.',
  unavailable: 'The event log cannot be read now. Resume with the last id.',
};

/** How long a client shall wait before it comes back, in milliseconds. */
export const RETRY_MS = 2_000;
const SPREAD_MS = 4_000;

/** Commits as server-sent events. What several clients get is written once. */
export interface Frames {
  /** The events of a commit, without those that a client behind `after` has seen. @throws UnknownEventType, CorruptCommit */
  of(commit: LiveCommit, after?: LivePlace): string;
  /** The first one of a stream that begins now: what is listed with this position, and what follows, is everything. */
  start(position: Position): string;
  /** Nothing has happened; with a position, a client that comes back later need not go further back than that. */
  heartbeat(settled: Position | undefined): string;
}

/** The events of a commit as a stream sends them. */
export type Writing = (commit: LiveCommit) => readonly { readonly type: string }[];

/** Events of orders as clients have known them first. */
export function writeRecorded(): Writing {
  const show = asRecorded(order);
  return ({ commit, statuses }) =>
    show(commit).map((event, index) => ({ orderId: commit.stream.id, status: statuses[index], ...event }));
}

/** Events of a category as objects of the API. */
export function writeTyped(source: EventSource): Writing {
  const show = asTyped(source);
  return ({ commit, statuses }) =>
    show(commit).map((event, index) => ({ ...event, status: statuses[index] }));
}

/** A client may change from one way of writing to another: the ids are the same. */
export function createFrames(tokens: PositionTokens, writing: Writing): Frames {
  const written = new WeakMap<LiveCommit, readonly string[]>();

  const write = (live: LiveCommit): string[] => {
    const events = writing(live);
    return events.map((event, index) => {
      const seen = index + 1;
      const id = tokens.write(live.commit.position, seen === events.length ? undefined : seen);
      return `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    });
  };

  return {
    of: (live, after) => {
      let frames = written.get(live);
      if (frames === undefined) {
        frames = write(live);
        written.set(live, frames);
      }
      const skip = after?.position === live.commit.position ? (after.seen ?? frames.length) : 0;
      return (skip === 0 ? frames : frames.slice(skip)).join('');
    },
    start: (position) => {
      const token = tokens.write(position);
      return `id: ${token}\nevent: start\ndata: ${JSON.stringify({ position: token })}\n\n`;
    },
    heartbeat: (settled) =>
      settled === undefined ? ': still here\n\n' : `: still here\nid: ${tokens.write(settled)}\n\n`,
  };
}

/** The last event of a stream that the service ends. @param random in [0, 1), spreads those who come back */
export function endFrame(reason: EndReason, random: number): string {
  const retry = RETRY_MS + Math.floor(random * (reason === 'shutdown' ? SPREAD_MS : RETRY_MS));
  return `retry: ${retry}\nevent: end\ndata: ${JSON.stringify({ reason, detail: DETAILS[reason] })}\n\n`;
}

/** A client that does not take its last event for this long is cut off, in milliseconds. */
const END_GRACE_MS = 2_000;

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // Some proxies collect answers before they pass them on unless told otherwise.
  'x-accel-buffering': 'no',
};

/** What one stream sends besides its end. */
export interface StreamContent {
  /** Before everything else. */
  readonly first: string;
  /** Waits for what comes next. @throws EventStoreError: then it has ended */
  next(): Promise<{ readonly frames: string } | LiveEnd>;
  /** Keeps an idle connection open. */
  heartbeat(): string;
  /** Resolves when there will be no more, also while nobody asks for the next; absent where there always may be. */
  readonly over?: Promise<void>;
  /** Nobody takes it any more; a `next` under way answers `closed`. */
  close(): void;
}

/** The open streams of a process, which has one bound for all of them. */
export interface Streams {
  /** A place among them; where there is none, or the service stops, that is answered. */
  admit(request: FastifyRequest, reply: FastifyReply): Leave | undefined;
  /** Takes the reply over and sends until either side ends; `leave` is called then. */
  serve(reply: FastifyReply, content: StreamContent, leave: Leave): void;
}

interface Open {
  beat(): void;
  end(reason: EndReason): void;
}

/** Closes all streams when the app closes, before it waits for its requests. */
export function createStreams(
  app: FastifyInstance,
  options: { bounds: Bounds; heartbeatMs: number; runtime: Runtime },
): Streams {
  const { bounds, heartbeatMs, runtime } = options;
  const open = new Set<Open>();
  const share = createShare(bounds);
  let closing = false;
  const beats = setInterval(() => {
    for (const one of open) one.beat();
  }, heartbeatMs);
  beats.unref();
  app.addHook('preClose', async () => {
    closing = true;
    clearInterval(beats);
    for (const one of open) one.end('shutdown');
  });

  return {
    admit: (request, reply) => {
      const place = closing ? 'all' : share.enter(callerOf(request));
      if (typeof place === 'function') return place;
      sendProblem(request, reply, {
        code: place === 'each' ? 'request/too-many-open' : 'stream/too-many',
      });
      return undefined;
    },
    serve: (reply, content, leave) => {
      const { raw } = reply.hijack();
      // The client may have left, or its token ended, while the stream was opened.
      if (raw.destroyed || raw.writableEnded) {
        content.close();
        leave();
        return;
      }
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) raw.setHeader(name, value);
      }
      raw.writeHead(200, HEADERS);
      raw.write(`retry: ${RETRY_MS}\n\n${content.first}`);
      const one = openStream(raw, content, runtime);
      const forget = (): void => {
        open.delete(one);
        content.close();
        leave();
      };
      open.add(one);
      raw.once('close', forget);
      if (closing) one.end('shutdown');
      void one.pump((error) => reply.log.error({ err: error }, 'a live stream has failed'));
    },
  };
}

function openStream(
  raw: ServerResponse,
  content: StreamContent,
  runtime: Runtime,
): Open & { pump(onFault: (error: unknown) => void): Promise<void> } {
  let wake: (() => void) | undefined;
  raw.on('drain', () => wake?.());
  raw.once('close', () => wake?.());
  // A client that reads nothing would never drain: its full buffer ends the wait.
  void content.over?.then(() => wake?.());

  const ended = (): boolean => raw.destroyed || raw.writableEnded;
  const end = (reason: EndReason): void => {
    if (ended()) return;
    raw.end(endFrame(reason, runtime.random()));
    content.close();
    const cut = setTimeout(() => raw.destroy(), END_GRACE_MS);
    cut.unref();
    raw.once('close', () => clearTimeout(cut));
  };
  const send = async (): Promise<void> => {
    while (!ended()) {
      const next = await content.next();
      if (ended()) return;
      if (typeof next === 'string') return end(next === 'slow' ? 'slow' : 'shutdown');
      if (raw.write(next.frames)) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  };

  return {
    beat: () => {
      if (!ended() && !raw.writableNeedDrain) raw.write(content.heartbeat());
    },
    end,
    pump: async (onFault) => {
      try {
        await send();
      } catch (error) {
        const passing = error instanceof EventStoreError && error.retryable;
        if (!passing) onFault(error);
        end(passing ? 'unavailable' : 'unreadable');
      }
    },
  };
}
