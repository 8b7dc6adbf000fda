import { AckPolicy, DeliverPolicy, ReplayPolicy } from '@nats-io/jetstream';
import { type Msg, nanos, type Subscription } from '@nats-io/transport-node';
import { LogUnavailable, type PermissionDenied } from '../errors.ts';
import { backoffMs, type Runtime } from '../runtime.ts';
import { denialIn } from './connection-watch.ts';
import { type ReadMessage, readMessage } from './message.ts';
import { managerOf, type Requests } from './requests.ts';

/** A message that an ordered reader delivers. */
export interface Delivered {
  readonly msg: ReadMessage;
  /** Sequence in the stream. */
  readonly seq: number;
  /** How many more messages match the filter. */
  readonly pending: number;
}

/** Why a session delivers no more. */
export type Ended = 'aborted' | 'lost';

/**
 * Messages that one request asks for. Two of them keep the server busy; while nothing waits there, one is enough, since
 * each has heartbeats of its own.
 */
const ASKED_AT_ONCE = 2_000;
/** The server says that it is alive this often while there is nothing to deliver, in milliseconds. */
const HEARTBEAT_MS = 1_000;
/** How long about the server keeps a pull that it has nothing for, in milliseconds. */
export const PULL_EXPIRES_MS = 10_000;
/** A consumer that says there is more and delivers none of it for so long sits on a broken replica; another may not. */
const STUCK_MS = 5_000;

/**
 * How long a pull lasts, in milliseconds: pulls of a process end at the same moments. Where all readers are at rest their
 * heartbeats come together, too, and wake it once instead of one by one.
 */
function pullLasts(pullExpiresMs: number, heartbeatMs: number): number {
  const left = pullExpiresMs - (Math.round(performance.now()) % pullExpiresMs);
  // The server refuses a pull that is shorter than two heartbeats.
  return left > 2 * heartbeatMs ? left : left + pullExpiresMs;
}

const watchdogs = new Set<() => void>();
let watching: NodeJS.Timeout | undefined;

/** Looks once a heartbeat, together with all others. @returns what ends it */
function watchOver(look: () => void): () => void {
  watchdogs.add(look);
  watching ??= setInterval(() => {
    for (const each of watchdogs) each();
  }, HEARTBEAT_MS).unref();
  return () => {
    watchdogs.delete(look);
    if (watchdogs.size > 0) return;
    clearInterval(watching);
    watching = undefined;
  };
}

interface PullSession {
  next(): Promise<Delivered[] | Ended>;
  /** What NATS forbade, where that is why it ended. */
  denied(): PermissionDenied | undefined;
  close(): void;
}

/** Pulls one consumer's messages ahead of the reader and notices gaps, silence and status messages. */
export function pullSession(
  requests: Requests,
  stream: string,
  consumer: { readonly name: string; readonly pending: number },
  signal: AbortSignal | undefined,
  pullExpiresMs: number,
): PullSession {
  const { connection } = requests;
  const inbox = requests.inbox();
  const pullSubject = `${requests.apiPrefix}.CONSUMER.MSG.NEXT.${stream}.${consumer.name}`;
  const heartbeatMs = Math.min(HEARTBEAT_MS, pullExpiresMs / 4);
  let arrived: Delivered[] = [];
  let ended: Ended | undefined;
  let denied: PermissionDenied | undefined;
  let wake: (() => void) | undefined;
  let expectedSeq = 1;
  let asked = 0;
  let lastSign = Date.now();
  let left = consumer.pending;
  let lastProgress = Date.now();

  const end = (reason: Ended): void => {
    ended ??= reason;
    wake?.();
  };
  const onMessage = (msg: Msg): void => {
    lastSign = Date.now();
    const place = placeOf(msg.reply);
    if (place === undefined) {
      asked = onStatus(msg, msg.headers?.code ?? 0, asked);
      if (asked < 0) end('lost');
      // What has expired is asked for again at once: the reader may be waiting for it.
      else pull();
      return;
    }
    if (place.consumerSeq !== expectedSeq) {
      end('lost');
      return;
    }
    expectedSeq++;
    left = place.pending;
    lastProgress = lastSign;
    arrived.push({ msg: readMessage(msg), seq: place.seq, pending: place.pending });
    wake?.();
  };
  const subscription: Subscription = connection.subscribe(inbox, {
    callback: (error, msg) => {
      if (error === null) return onMessage(msg);
      denied = denialIn(error, requests.user);
      end('lost');
    },
  });
  const pull = (): void => {
    while (asked <= (left > 0 ? ASKED_AT_ONCE : 0)) {
      // Silence counts from the moment something is expected.
      if (asked === 0) {
        lastSign = Date.now();
        lastProgress = lastSign;
      }
      asked += ASKED_AT_ONCE;
      const request = {
        batch: ASKED_AT_ONCE,
        expires: nanos(pullLasts(pullExpiresMs, heartbeatMs)),
        idle_heartbeat: nanos(heartbeatMs),
      };
      if (requests.publish(pullSubject, JSON.stringify(request), { reply: inbox }) !== undefined) {
        end('lost');
        return;
      }
    }
  };
  const stopWatching = watchOver(() => {
    const now = Date.now();
    const silent = now - lastSign > 3 * HEARTBEAT_MS;
    const stuck = left > 0 && now - lastProgress > STUCK_MS;
    if (asked > 0 && arrived.length === 0 && (silent || stuck)) end('lost');
  });
  const onAbort = (): void => end('aborted');
  signal?.addEventListener('abort', onAbort);
  // It may have fired while the consumer was made.
  if (signal?.aborted === true) onAbort();
  const forgetLoss = requests.onLoss(() => end('lost'));
  const forgetDenials = requests.onDenied((one) => {
    if (one.subject !== pullSubject) return;
    denied = one;
    end('lost');
  });

  return {
    next: async () => {
      if (arrived.length === 0 && ended === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          // Asking may end it at once: then nobody else would wake the reader.
          pull();
        });
        wake = undefined;
      }
      if (signal?.aborted === true) return 'aborted';
      if (arrived.length === 0) return ended ?? 'lost';
      const batch = arrived;
      arrived = [];
      asked -= batch.length;
      pull();
      return batch;
    },
    denied: () => denied,
    close: () => {
      stopWatching();
      forgetLoss();
      forgetDenials();
      signal?.removeEventListener('abort', onAbort);
      subscription.unsubscribe();
    },
  };
}

const IDLE_HEARTBEAT = 100;
const NO_MESSAGES = 404;
const PULL_EXPIRED = 408;

/** What a status message leaves of the messages asked for; negative when the consumer is gone. */
function onStatus(msg: Msg, code: number, asked: number): number {
  if (code === IDLE_HEARTBEAT) return asked;
  if (code === NO_MESSAGES || code === PULL_EXPIRED) {
    const left = Number(msg.headers?.get('Nats-Pending-Messages') || ASKED_AT_ONCE);
    return Math.max(0, asked - left);
  }
  return -1;
}

interface Place {
  readonly seq: number;
  readonly consumerSeq: number;
  readonly pending: number;
}

/**
 * Sequences out of the reply subject `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>[.<token>]`.
 * A status has none, or, for a heartbeat, one to answer to.
 */
function placeOf(reply: string | undefined): Place | undefined {
  if (reply === undefined || !reply.startsWith('$JS.ACK.')) return undefined;
  let dots = 0;
  let fifth = 0;
  let seventh = 0;
  for (let dot = reply.indexOf('.'); dot >= 0; dot = reply.indexOf('.', dot + 1)) {
    dots++;
    if (dots === 5) fifth = dot;
    else if (dots === 7) seventh = dot;
  }
  const seqAt = (dots > 8 ? seventh : fifth) + 1;
  const consumerSeqAt = reply.indexOf('.', seqAt) + 1;
  const timeAt = reply.indexOf('.', consumerSeqAt) + 1;
  const pendingAt = reply.indexOf('.', timeAt) + 1;
  return {
    seq: digitsAt(reply, seqAt),
    consumerSeq: digitsAt(reply, consumerSeqAt),
    pending: digitsAt(reply, pendingAt),
  };
}

const [ZERO, NINE] = [48, 57];

function digitsAt(text: string, from: number): number {
  let value = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < ZERO || code > NINE) break;
    value = value * 10 + (code - ZERO);
  }
  return value;
}

export interface ReaderOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  readonly stream: string;
  readonly filter: string;
  /** Sequence after which to start. */
  readonly after: number;
  readonly signal?: AbortSignal | undefined;
  /** Deliver only the last message of each subject that exists when the reader starts, then everything. */
  readonly lastPerSubject?: boolean;
  /**
   * Throw LogUnavailable after so many milliseconds without a message or a consumer, and PermissionDenied at once; for
   * ever by default.
   */
  readonly giveUpMs?: number;
  /** How long about the server keeps a pull that it has nothing for, in milliseconds. */
  readonly pullExpiresMs?: number;
  /** Called when the connection or the consumer was lost and the reader starts again where it was. */
  readonly onRestart?: (reason: string) => void;
}

/** The server removes an abandoned consumer after this, in milliseconds. */
const INACTIVE_MS = 30_000;

/**
 * Reads a stream in order without acknowledgements: an ephemeral consumer, pulled ahead by a window, and started again
 * behind the last message taken whenever a gap, a silence or a lost connection shows. Yields what has arrived, as
 * arrays, so that a reader that falls behind slows the server down.
 * An empty first batch is yielded when nothing matches, so that the caller knows it is at the end.
 * @throws LogUnavailable, PermissionDenied, only with `giveUpMs`
 * @internal
 */
export async function* readOrdered(options: ReaderOptions): AsyncGenerator<Delivered[]> {
  const { runtime, signal, giveUpMs = Number.POSITIVE_INFINITY } = options;
  const aborted = (): boolean => signal?.aborted === true;
  let after = options.after;
  let failures = 0;
  let first = true;
  let aliveAt = runtime.now();
  const restart = (reason: string, denied?: PermissionDenied): void => {
    options.onRestart?.(denied?.message ?? reason);
    if (denied !== undefined && giveUpMs !== Number.POSITIVE_INFINITY) throw denied;
    if (runtime.now() - aliveAt > giveUpMs) throw new LogUnavailable(`reading ${options.stream}: ${reason}`);
  };
  while (!aborted()) {
    const session = await startSession(options, after, first).catch((reason: unknown) => ({ reason }));
    if ('reason' in session) {
      restart(String(session.reason), denialIn(session.reason, options.requests.user));
    } else {
      const nothingYet = first && session.initialPending === 0;
      first = false;
      for await (const batch of drain(session, nothingYet)) {
        yield batch;
        failures = 0;
        after = batch.at(-1)?.seq ?? after;
        aliveAt = runtime.now();
      }
      if (!aborted()) restart('the connection or the consumer was lost', session.denied());
    }
    if (!aborted()) await runtime.sleep(backoffMs(runtime, failures++, 50, 2_000));
  }
}

/** Whoever leaves at any batch, the empty one too, closes the session. */
async function* drain(session: Session, nothingYet: boolean): AsyncGenerator<Delivered[]> {
  try {
    if (nothingYet) yield [];
    for (;;) {
      const batch = await session.next();
      if (!Array.isArray(batch)) return;
      yield batch;
    }
  } finally {
    session.close();
  }
}

interface Session extends PullSession {
  readonly initialPending: number;
}

async function startSession(options: ReaderOptions, after: number, first: boolean): Promise<Session> {
  const { requests, stream, filter, signal } = options;
  const { connection } = requests;
  // Asking would only wait for its timeout.
  if (!requests.connected()) throw new LogUnavailable(`reading ${stream}: not connected`);
  const jsm = await managerOf(requests);
  const lastPerSubject = options.lastPerSubject === true && first;
  const info = await jsm.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    replay_policy: ReplayPolicy.Instant,
    filter_subject: filter,
    inactive_threshold: nanos(INACTIVE_MS),
    mem_storage: true,
    num_replicas: 1,
    ...(lastPerSubject
      ? { deliver_policy: DeliverPolicy.LastPerSubject }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: after + 1 }),
  });
  const session = pullSession(
    requests,
    stream,
    { name: info.name, pending: info.num_pending },
    signal,
    options.pullExpiresMs ?? PULL_EXPIRES_MS,
  );
  return {
    ...session,
    initialPending: info.num_pending,
    close: () => {
      session.close();
      if (!connection.isClosed()) void jsm.consumers.delete(stream, info.name).catch(() => undefined);
    },
  };
}
