import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LiveOpening, LivePlace } from '../../projections/views/live-fold.ts';
import type { ServiceDeps } from '../deps.ts';
import { type PositionTokens, positionTokens } from '../position-token.ts';
import { sendProblem } from '../problem-reply.ts';
import type { BusinessCode } from '../problems.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { openFrames } from '../sealed.ts';
import { createFrames, createStreams, type Frames, type Streams, type Writing } from './sse.ts';

/** What all streams of a process share, and how one is sent. */
export interface Following {
  readonly streams: Streams;
  /** The frames of one way of writing; what several clients get is written once. */
  frames(writing: Writing): Frames;
  /** Opens a stream behind the client's place and sends it, or answers why not. @throws as `LiveOrders` */
  follow(request: FastifyRequest, reply: FastifyReply, asked: Asked): Promise<FastifyReply | undefined>;
}

/** A stream that a client asks for. */
export interface Asked {
  readonly frames: Frames;
  readonly open: (after: LivePlace | undefined) => Promise<LiveOpening>;
  /** How it is answered that there is none. */
  readonly absent: BusinessCode;
  /** Without a place it begins now and not at the beginning. */
  readonly startsNow?: boolean;
}

const shared = new WeakMap<ServiceDeps, Following>();

/** The streams of a service, which has one bound for all of them. */
export function followingOf(app: TypedApp, deps: ServiceDeps): Following {
  const known = shared.get(deps) ?? createFollowing(app, deps);
  shared.set(deps, known);
  return known;
}

function createFollowing(app: TypedApp, { log, settings, runtime, personal }: ServiceDeps): Following {
  const { maxStreams: all, maxStreamsPerCaller: each, streamHeartbeatMs: heartbeatMs } = settings;
  const tokens = positionTokens(log.incarnation);
  const streams = createStreams(app, { bounds: { all, each }, heartbeatMs, runtime });
  return {
    streams,
    frames: (writing) => createFrames(tokens, writing),
    follow: (request, reply, asked) => follow({ tokens, streams, personal }, request, reply, asked),
  };
}

interface Shared extends Pick<ServiceDeps, 'personal'> {
  readonly tokens: PositionTokens;
  readonly streams: Streams;
}

async function follow(
  { tokens, streams, personal }: Shared,
  request: FastifyRequest,
  reply: FastifyReply,
  { frames, open, absent, startsNow = false }: Asked,
): Promise<FastifyReply | undefined> {
  const token = lastEventIdOf(request);
  const after = token === undefined ? undefined : tokens.read(token);
  if (token !== undefined && after === undefined)
    return sendProblem(request, reply, { code: 'position/not-in-log' });
  const leave = streams.admit(request, reply);
  if (leave === undefined) return reply;
  let served = false;
  try {
    const opening = await open(after);
    if (!opening.opened) return sendProblem(request, reply, { code: whyNot(opening.why, absent) });
    const { stream } = opening;
    // What was handed out and is being opened counts as sent only once it is: a client that goes comes back behind its last id.
    let isOpening = false;
    const content = {
      first: after === undefined && startsNow ? frames.start(stream.start) : '',
      next: async () => {
        const next = await stream.next();
        if (typeof next === 'string') return next;
        isOpening = true;
        const opened = await openFrames(personal, frames.of(next, after));
        isOpening = false;
        return { frames: opened };
      },
      heartbeat: () => frames.heartbeat(isOpening ? undefined : stream.settled()),
      over: stream.over,
      close: () => stream.close(),
    };
    served = true;
    streams.serve(reply, content, leave);
    return reply;
  } finally {
    if (!served) leave();
  }
}

function whyNot(why: Extract<LiveOpening, { opened: false }>['why'], absent: BusinessCode) {
  if (why === 'absent') return absent;
  return why === 'too-old' ? 'stream/too-old' : 'position/not-in-log';
}

/** The header wins: a browser that comes back sends it, while its address still holds what it began with. */
function lastEventIdOf(request: FastifyRequest): string | undefined {
  const inHeader = request.headers['last-event-id'];
  const { lastEventId } = request.query as { lastEventId?: string };
  return typeof inHeader === 'string' ? inHeader : lastEventId;
}
