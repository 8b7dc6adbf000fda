import {
  createInbox,
  errors,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
} from '@nats-io/transport-node';

/** Whether a connection is there, and how often it was not. */
export interface ConnectionWatch {
  /** False while the client is reconnecting; requests then fail at once, and nothing is sent late. */
  connected(): boolean;
  /** How often the connection was lost so far. */
  losses(): number;
  /** Calls back whenever the connection is lost, until the returned function is called. */
  onLoss(listener: () => void): () => void;
}

/**
 * Watches a connection for as long as it lives.
 * @param failUnderWay called when it is lost, before everybody else, and when it is closed for good
 */
export function watchConnection(connection: NatsConnection, failUnderWay: () => void): ConnectionWatch {
  let isConnected = true;
  let losses = 0;
  const listeners = new Set<() => void>();

  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        isConnected = false;
        losses++;
        failUnderWay();
        for (const listener of [...listeners]) listener();
      } else if (status.type === 'reconnect') {
        isConnected = true;
      }
    }
    isConnected = false;
    failUnderWay();
  })();

  return {
    connected: () => isConnected && !connection.isClosed(),
    losses: () => losses,
    onLoss: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Whether this is the server's word that nobody listens. */
export function saysNobody(msg: Msg): boolean {
  return msg.data.length === 0 && msg.headers?.code === 503;
}

/** What it means that the client refuses to send: it is closing, or the server would drop the connection for the size. */
export function failureToSend(error: unknown): 'too-large' | 'not-connected' {
  return error instanceof errors.InvalidArgumentError ? 'too-large' : 'not-connected';
}

/** Why no usable reply came. `timeout` and `connection-lost` leave open whether somebody has the request; the others do not. */
export type RequestFailure = 'timeout' | 'connection-lost' | 'not-connected' | 'no-responders' | 'too-large';

export type Reply = { readonly msg: Msg; readonly failed?: undefined } | { readonly failed: RequestFailure };

export interface RequestOptions {
  readonly headers?: MsgHdrs;
  readonly timeoutMs: number;
}

/**
 * Request and reply. A failure is a value, because what to do about it depends on what was asked. There are two ways of
 * making them with the same results: `createRequests` and `createPlainRequests`.
 */
export interface Requests extends ConnectionWatch {
  readonly connection: NatsConnection;
  request(subject: string, payload: Uint8Array | string, options: RequestOptions): Promise<Reply>;
  /** Many replies to one request; `onReply` returns true with the last one. Resolves to the failure, if any. */
  collect(
    subject: string,
    payload: Uint8Array | string,
    options: RequestOptions,
    onReply: (msg: Msg) => boolean,
  ): Promise<RequestFailure | undefined>;
  /** A subject for replies of its own, under the prefix that this user may listen on. */
  inbox(): string;
  /** Gives up what is under way and takes no more; the connection stays. */
  close(): void;
}

interface Pending {
  deadline: number;
  readonly timeoutMs: number;
  readonly settle: (reply: Msg | RequestFailure) => boolean;
}

/** How often overdue requests are looked for, in milliseconds; a timeout is late by this much at the most. */
const SWEEP_MS = 25;

/** From so many requests under way on, those of one turn of the event loop are written to the socket at once. */
const TOGETHER_FROM = 4;

interface Outgoing {
  readonly token: string;
  readonly subject: string;
  readonly payload: Uint8Array | string;
  readonly headers: MsgHdrs | undefined;
}

/**
 * The lean way: one shared inbox and one sweep for timeouts, so no timer, no promise race and no subscription for each
 * request, and one write to the socket for the requests of one turn of the event loop.
 * @param inboxPrefix the first token of the subjects that replies come to; the client's own (`_INBOX`) unless given
 */
export function createRequests(connection: NatsConnection, inboxPrefix?: string): Requests {
  const inbox = createInbox(inboxPrefix);
  const pending = new Map<string, Pending>();
  let outbox: Outgoing[] = [];
  let counter = 0;
  let closed = false;
  const watch = watchConnection(connection, failAll);

  const subscription: Subscription = connection.subscribe(`${inbox}.*`, {
    callback: (error, msg) => {
      if (error === null) deliver(msg);
    },
  });

  function deliver(msg: Msg): void {
    const token = msg.subject.slice(inbox.length + 1);
    const entry = pending.get(token);
    if (entry === undefined) return;
    entry.deadline = Date.now() + entry.timeoutMs;
    if (entry.settle(saysNobody(msg) ? 'no-responders' : msg)) pending.delete(token);
  }

  function fail(token: string, failure: RequestFailure): void {
    const entry = pending.get(token);
    pending.delete(token);
    entry?.settle(failure);
  }

  function failAll(): void {
    const unsent = outbox;
    outbox = [];
    for (const { token } of unsent) fail(token, 'not-connected');
    for (const token of [...pending.keys()]) fail(token, 'connection-lost');
  }

  const sweep = setInterval(() => {
    const now = Date.now();
    for (const [token, entry] of pending) if (entry.deadline <= now) fail(token, 'timeout');
  }, SWEEP_MS);
  sweep.unref();

  function send(
    subject: string,
    payload: Uint8Array | string,
    options: RequestOptions,
    settle: Pending['settle'],
  ): void {
    if (closed || !watch.connected()) {
      settle('not-connected');
      return;
    }
    const token = (counter++).toString(36);
    const { headers, timeoutMs } = options;
    pending.set(token, { deadline: Date.now() + timeoutMs, timeoutMs, settle });
    const outgoing = { token, subject, payload, headers };
    // One alone goes at once; of many, a system call for each is a third of what they cost.
    if (pending.size < TOGETHER_FROM) publish(outgoing);
    else if (outbox.push(outgoing) === 1) setImmediate(publishAll);
  }

  function publishAll(): void {
    const all = outbox;
    outbox = [];
    for (const outgoing of all) publish(outgoing);
  }

  function publish({ token, subject, payload, headers }: Outgoing): void {
    // Given up meanwhile: nothing is sent late.
    if (!pending.has(token)) return;
    const reply = `${inbox}.${token}`;
    try {
      connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
    } catch (error) {
      fail(token, failureToSend(error));
    }
  }

  return {
    connection,
    ...watch,
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
          if (typeof reply === 'string') {
            resolve(reply);
            return true;
          }
          if (!onReply(reply)) return false;
          resolve(undefined);
          return true;
        });
      }),
    close: () => {
      closed = true;
      clearInterval(sweep);
      subscription.unsubscribe();
      failAll();
    },
  };
}

/** A function of its own, lest what was sent stays in memory until the reply is there. */
function settling(resolve: (reply: Reply) => void): Pending['settle'] {
  return (reply) => {
    resolve(typeof reply === 'string' ? { failed: reply } : { msg: reply });
    return true;
  };
}
