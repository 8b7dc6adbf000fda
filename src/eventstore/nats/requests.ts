import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import {
  createInbox,
  errors,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
} from '@nats-io/transport-node';
import { type EventStoreError, LogUnavailable, OutcomeUnknown, PermissionDenied } from '../errors.ts';
import { type ConnectionWatch, denialIn, watchConnection } from './connection-watch.ts';

/** Whether this is the server's word that nobody listens. */
export function saysNobody(msg: Msg): boolean {
  return msg.data.length === 0 && msg.headers?.code === 503;
}

/** What it means that the client refuses to send: it is closing, or the server would drop the connection for the size. */
export function failureToSend(error: unknown): 'too-large' | 'not-connected' {
  return error instanceof errors.InvalidArgumentError ? 'too-large' : 'not-connected';
}

/**
 * Why no usable reply came. `timeout` and `connection-lost` leave open whether somebody has the request; the others do
 * not, a permission that NATS denied included.
 */
export type RequestFailure =
  | 'timeout'
  | 'connection-lost'
  | 'not-connected'
  | 'no-responders'
  | 'too-large'
  | PermissionDenied;

export type Reply = { readonly msg: Msg; readonly failed?: undefined } | { readonly failed: RequestFailure };

/** A message on its way. */
export interface OutgoingMessage {
  readonly subject: string;
  readonly payload: Uint8Array | string;
  readonly headers?: MsgHdrs;
}

export interface RequestOptions {
  readonly headers?: MsgHdrs;
  readonly timeoutMs: number;
  /** Messages that are sent just before it and not answered. When one of them cannot be sent, the request fails. */
  readonly before?: readonly OutgoingMessage[];
}

/** How requests are made, and as whom. */
export interface RequestsOptions {
  /** The first token of the subjects that replies come to; the client's own (`_INBOX`) unless given. */
  readonly inboxPrefix?: string | undefined;
  /** Where JetStream's API answers; `$JS.API` unless given. */
  readonly apiPrefix?: string | undefined;
  /** As whom the connection is logged in: for what is told of denied permissions. */
  readonly user?: string | undefined;
}

export const DEFAULT_API_PREFIX = '$JS.API';

/**
 * The one way to NATS: whatever this process sends goes through here. A failure is a value, because what to do about it
 * depends on what was asked.
 */
export interface Requests extends ConnectionWatch {
  /** For what the client does by itself: subscriptions, and the calls of its JetStream manager (`managerOf`). */
  readonly connection: NatsConnection;
  /** Where JetStream's API answers, without a point at its end. */
  readonly apiPrefix: string;
  /** As whom the connection is logged in, as far as it is known. */
  readonly user: string | undefined;
  request(subject: string, payload: Uint8Array | string, options: RequestOptions): Promise<Reply>;
  /** Many replies to one request; `onReply` returns true with the last one. Resolves to the failure, if any. */
  collect(
    subject: string,
    payload: Uint8Array | string,
    options: RequestOptions,
    onReply: (msg: Msg) => boolean,
  ): Promise<RequestFailure | undefined>;
  /**
   * Sends a message without waiting for anything; replies, if any, come to `reply`. Returns why it was not sent; that
   * NATS denies it shows later, in `onDenied`.
   */
  publish(
    subject: string,
    payload: Uint8Array | string,
    options?: { readonly headers?: MsgHdrs; readonly reply?: string },
  ): RequestFailure | undefined;
  /** A subject for replies of its own, under the prefix that this user may listen on. */
  inbox(): string;
  /** Gives up what is under way and takes no more; the connection stays. */
  close(): void;
}

/**
 * The client's calls on JetStream's API, where that answers for this connection.
 * @param timeoutMs how long one may take; the client's own limit unless given
 */
export function managerOf(
  { connection, apiPrefix }: Pick<Requests, 'connection' | 'apiPrefix'>,
  timeoutMs?: number,
): Promise<JetStreamManager> {
  const timeout = timeoutMs === undefined ? {} : { timeout: timeoutMs };
  return jetstreamManager(connection, { checkAPI: false, apiPrefix, ...timeout });
}

/** The fault of a request that changes nothing. @param what what was being done */
export function readFault(what: string, failed: RequestFailure): EventStoreError {
  return failed instanceof PermissionDenied ? failed : new LogUnavailable(`${what}: ${failed}`);
}

/** The fault of a request that stores something on a subject. @internal */
export function writeFault(
  what: string,
  subject: string,
  timeoutMs: number,
  failed: RequestFailure,
): EventStoreError {
  if (failed === 'timeout' || failed === 'connection-lost')
    return new OutcomeUnknown(subject, timeoutMs, failed);
  return readFault(what, failed);
}

interface Pending {
  deadline: number;
  readonly timeoutMs: number;
  readonly subject: string;
  /** Of the messages that went before it. */
  readonly subjectsBefore: readonly string[] | undefined;
  readonly settle: (reply: Msg | RequestFailure) => boolean;
}

/** The least time between two looks for overdue requests, in milliseconds; a timeout is late by this much at the most. */
const SWEEP_MS = 25;

/** From so many requests under way on, those of one turn of the event loop are written to the socket at once. */
const TOGETHER_FROM = 4;

interface Outgoing {
  readonly token: string;
  readonly subject: string;
  readonly payload: Uint8Array | string;
  readonly headers: MsgHdrs | undefined;
  readonly before: readonly OutgoingMessage[] | undefined;
}

/** How often it is tried to listen again where NATS denied it, in milliseconds. */
const LISTEN_AGAIN_MS = 1_000;

/** NATS lets nobody listen for replies. */
interface InboxDenied {
  readonly denied: PermissionDenied;
  readonly tryAt: number;
}

/**
 * Sends by one shared inbox and one timer for timeouts, so no timer, no promise race and no subscription for each
 * request, and one write to the socket for the requests of one turn of the event loop.
 */
export function createRequests(connection: NatsConnection, options: RequestsOptions = {}): Requests {
  const { inboxPrefix, apiPrefix = DEFAULT_API_PREFIX, user } = options;
  const inbox = createInbox(inboxPrefix);
  const pending = new Map<string, Pending>();
  const denials = createDenials(pending, fail);
  let outbox: Outgoing[] = [];
  let counter = 0;
  let closed = false;
  let inboxDenied: InboxDenied | undefined;
  const watch = watchConnection(connection, {
    user,
    failUnderWay: failAll,
    denied: (denied) => {
      if (denied.operation === 'publish') denials.take(denied);
    },
  });
  let subscription = listen();

  function listen(): Subscription {
    return connection.subscribe(`${inbox}.*`, {
      callback: (error, msg) => {
        if (error === null) deliver(msg);
        else onInboxDenied(error);
      },
    });
  }

  /** Replies do not come any more: what is under way may have been done, and nothing more is sent. */
  function onInboxDenied(error: Error): void {
    const denied = denialIn(error, user);
    if (denied === undefined) return;
    inboxDenied = { denied, tryAt: Date.now() + LISTEN_AGAIN_MS };
    lookBy(inboxDenied.tryAt);
    for (const { token } of outbox.splice(0)) fail(token, denied);
    for (const token of [...pending.keys()]) fail(token, 'connection-lost');
  }

  function listenAgain(): void {
    if (inboxDenied === undefined || closed || !watch.connected()) return;
    const tried: InboxDenied = { denied: inboxDenied.denied, tryAt: Date.now() + LISTEN_AGAIN_MS };
    inboxDenied = tried;
    if (!subscription.isClosed()) subscription.unsubscribe();
    subscription = listen();
    // The server denies it before it answers this, if it does.
    connection.flush().then(
      () => {
        if (inboxDenied === tried) inboxDenied = undefined;
      },
      () => undefined,
    );
  }

  function deliver(msg: Msg): void {
    const token = msg.subject.slice(inbox.length + 1);
    const entry = pending.get(token);
    if (entry === undefined) return;
    entry.deadline = Date.now() + entry.timeoutMs;
    watch.allowed(entry.subject);
    // That a message before it was denied is told first and comes a moment later, and says more than the answer.
    if (entry.subjectsBefore === undefined) settle(token, entry, msg);
    else setImmediate(settle, token, entry, msg);
  }

  function settle(token: string, entry: Pending, msg: Msg): void {
    if (!pending.has(token) || !entry.settle(saysNobody(msg) ? 'no-responders' : msg)) return;
    pending.delete(token);
    denials.answered(entry);
  }

  function fail(token: string, failure: RequestFailure): void {
    const entry = pending.get(token);
    if (entry === undefined) return;
    pending.delete(token);
    if (!(failure instanceof PermissionDenied)) denials.gaveUp(entry);
    entry.settle(failure);
  }

  function failAll(): void {
    const unsent = outbox;
    outbox = [];
    for (const { token } of unsent) fail(token, 'not-connected');
    for (const token of [...pending.keys()]) fail(token, 'connection-lost');
  }

  let lookAt = Number.POSITIVE_INFINITY;
  let looking: NodeJS.Timeout | undefined;

  /** Only where something can be overdue: a timer that runs on would wake an idle process forty times a second. */
  function lookBy(at: number): void {
    if (at >= lookAt || closed) return;
    clearTimeout(looking);
    lookAt = at;
    looking = setTimeout(look, Math.max(SWEEP_MS, at - Date.now()));
    looking.unref();
  }

  function look(): void {
    lookAt = Number.POSITIVE_INFINITY;
    const now = Date.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [token, { deadline }] of pending) {
      if (deadline <= now) fail(token, 'timeout');
      else next = Math.min(next, deadline);
    }
    if (inboxDenied !== undefined && inboxDenied.tryAt <= now) listenAgain();
    lookBy(Math.min(next, inboxDenied?.tryAt ?? next));
  }

  function cannotSend(): RequestFailure | undefined {
    return closed || !watch.connected() ? 'not-connected' : inboxDenied?.denied;
  }

  function send(
    subject: string,
    payload: Uint8Array | string,
    { headers, timeoutMs, before }: RequestOptions,
    settle: Pending['settle'],
  ): void {
    const failure = cannotSend();
    if (failure !== undefined) {
      settle(failure);
      return;
    }
    const token = (counter++).toString(36);
    const subjectsBefore = before?.map((message) => message.subject);
    const deadline = Date.now() + timeoutMs;
    pending.set(token, { deadline, timeoutMs, subject, subjectsBefore, settle });
    lookBy(deadline);
    const outgoing = { token, subject, payload, headers, before };
    // One alone goes at once; of many, a system call for each is a third of what they cost.
    if (pending.size < TOGETHER_FROM) publishRequest(outgoing);
    else if (outbox.push(outgoing) === 1) setImmediate(publishAll);
  }

  function publishAll(): void {
    const all = outbox;
    outbox = [];
    for (const outgoing of all) publishRequest(outgoing);
  }

  function publishRequest({ token, subject, payload, headers, before = [] }: Outgoing): void {
    // Given up meanwhile: nothing is sent late.
    if (!pending.has(token)) return;
    for (const one of before) {
      const failure = transmit(one.subject, one.payload, one.headers);
      if (failure === undefined) continue;
      fail(token, failure);
      return;
    }
    const failure = transmit(subject, payload, headers, `${inbox}.${token}`);
    if (failure !== undefined) fail(token, failure);
  }

  /** The only place that sends: what every message is to carry is added here. */
  function transmit(
    subject: string,
    payload: Uint8Array | string,
    headers: MsgHdrs | undefined,
    reply?: string,
  ): RequestFailure | undefined {
    const options: { reply?: string; headers?: MsgHdrs } = {};
    if (reply !== undefined) options.reply = reply;
    if (headers !== undefined) options.headers = headers;
    try {
      connection.publish(subject, payload, options);
      return undefined;
    } catch (error) {
      return failureToSend(error);
    }
  }

  const { allowed: _, ...told } = watch;
  return {
    connection,
    apiPrefix,
    user,
    ...told,
    inbox: () => createInbox(inboxPrefix),
    request: (subject, payload, options) => {
      let settle: Pending['settle'] = () => true;
      const replied = new Promise<Reply>((resolve) => {
        settle = settling(resolve);
      });
      send(subject, payload, options, settle);
      return replied;
    },
    collect: (subject, payload, options, onReply) =>
      new Promise((resolve) => {
        send(subject, payload, options, (reply) => {
          if (isFailure(reply)) {
            resolve(reply);
            return true;
          }
          if (!onReply(reply)) return false;
          resolve(undefined);
          return true;
        });
      }),
    publish: (subject, payload, { headers, reply } = {}) =>
      closed || !watch.connected() ? 'not-connected' : transmit(subject, payload, headers, reply),
    close: () => {
      closed = true;
      clearTimeout(looking);
      subscription.unsubscribe();
      failAll();
    },
  };
}

const isFailure = (reply: Msg | RequestFailure): reply is RequestFailure =>
  typeof reply === 'string' || reply instanceof PermissionDenied;

/** A function of its own, lest what was sent stays in memory until the reply is there. */
function settling(resolve: (reply: Reply) => void): Pending['settle'] {
  return (reply) => {
    resolve(isFailure(reply) ? { failed: reply } : { msg: reply });
    return true;
  };
}

/**
 * Whose message a denial is about. It names the subject only, and "denied" means that nothing was stored: so it is held
 * against requests once there are as many denials as messages on that subject, and not while it may be another's.
 */
function createDenials(
  pending: ReadonlyMap<string, Pending>,
  fail: (token: string, denied: PermissionDenied) => void,
) {
  const open = new Map<string, { readonly denied: PermissionDenied; readonly count: number }>();

  const judge = (subject: string): void => {
    const found = open.get(subject);
    if (found === undefined) return;
    const asked = [...pending].filter(([, entry]) => messagesTo(entry, subject) > 0);
    const messages = asked.reduce((sum, [, entry]) => sum + messagesTo(entry, subject), 0);
    if (messages > found.count) return;
    open.delete(subject);
    for (const [token] of asked) fail(token, found.denied);
  };
  /** It may have been the one that was denied: nobody else is, because of it. */
  const gaveUp = (entry: Pending): void => {
    for (const [subject, { denied, count }] of open) {
      const left = count - messagesTo(entry, subject);
      if (left > 0) open.set(subject, { denied, count: left });
      else open.delete(subject);
    }
  };
  return {
    take: (denied: PermissionDenied): void => {
      open.set(denied.subject, { denied, count: (open.get(denied.subject)?.count ?? 0) + 1 });
      judge(denied.subject);
    },
    /** The message got through; of those before it that is not known. */
    answered: (entry: Pending): void => {
      if (open.size === 0) return;
      if (entry.subjectsBefore !== undefined) gaveUp(entry);
      else judge(entry.subject);
    },
    gaveUp,
  };
}

function messagesTo({ subject, subjectsBefore = [] }: Pending, wanted: string): number {
  return [subject, ...subjectsBefore].filter((one) => one === wanted).length;
}
