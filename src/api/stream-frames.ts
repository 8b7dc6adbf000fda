import { order } from '../domain/order.ts';
import type { LiveCommit, LivePlace } from '../projections/read-models.ts';
import { decodeCommit } from './history.ts';
import type { PositionTokens } from './position-token.ts';

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
  start(position: number): string;
  /** Nothing has happened; with a position, a client that comes back later need not go further back than that. */
  heartbeat(settled: number | undefined): string;
}

export function createFrames(tokens: PositionTokens): Frames {
  const written = new WeakMap<LiveCommit, readonly string[]>();

  const write = ({ commit, statuses }: LiveCommit): string[] => {
    const events = decodeCommit(order, commit);
    return events.map((event, index) => {
      const seen = index + 1;
      const id = tokens.write(commit.position, seen === events.length ? undefined : seen);
      const data = JSON.stringify({ orderId: commit.stream.id, status: statuses[index], ...event });
      return `id: ${id}\nevent: ${event.type}\ndata: ${data}\n\n`;
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
