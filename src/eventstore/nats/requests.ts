import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
} from '@nats-io/transport-node';

/** Why no usable reply came. Only `not-connected` and `no-responders` say that nobody has the request. */
export type RequestFailure = 'timeout' | 'connection-lost' | 'not-connected' | 'no-responders';

export type Reply = { readonly msg: Msg; readonly failed?: undefined } | { readonly failed: RequestFailure };

export interface RequestOptions {
  readonly headers?: MsgHdrs;
  readonly timeoutMs: number;
}

/**
 * Request and reply over one shared inbox: no timer, no promise race and no subscription per request.
 * A failure is a value, because what to do about it depends on what was asked.
 */
export interface Requests {
  readonly connection: NatsConnection;
  request(subject: string, payload: Uint8Array | string, options: RequestOptions): Promise<Reply>;
  /** Many replies to one request; `onReply` returns true with the last one. Resolves to the failure, if any. */
  collect(
    subject: string,
    payload: Uint8Array | string,
    options: RequestOptions,
    onReply: (msg: Msg) => boolean,
  ): Promise<RequestFailure | undefined>;
  /** False while the client is reconnecting; requests then fail at once, and nothing is sent late. */
  connected(): boolean;
  /** How often the connection was lost so far. */
  losses(): number;
  /** Calls back whenever the connection is lost, until the returned function is called. */
  onLoss(listener: () => void): () => void;
  /** A subject for replies of its own, under the prefix that this user may listen on. */
  inbox(): string;
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

/** @param inboxPrefix the first token of the subjects that replies come to; the client's own (`_INBOX`) unless given */
export function createRequests(connection: NatsConnection, inboxPrefix?: string): Requests {
  const inbox = createInbox(inboxPrefix);
  const pending = new Map<string, Pending>();
  let outbox: Outgoing[] = [];
  let counter = 0;
  let isConnected = true;
  let losses = 0;
  const lossListeners = new Set<() => void>();

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
    const reply = msg.data.length === 0 && msg.headers?.code === 503 ? 'no-responders' : msg;
    if (entry.settle(reply)) pending.delete(token);
  }

  function failAll(failure: RequestFailure): void {
    const entries = [...pending.values()];
    pending.clear();
    for (const entry of entries) entry.settle(failure);
  }

  const sweep = setInterval(() => {
    const now = Date.now();
    for (const [token, entry] of pending) {
      if (entry.deadline > now) continue;
      pending.delete(token);
      entry.settle('timeout');
    }
  }, SWEEP_MS);
  sweep.unref();

  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        isConnected = false;
        losses++;
        failAll('connection-lost');
        for (const listener of [...lossListeners]) listener();
      } else if (status.type === 'reconnect') {
        isConnected = true;
      }
    }
    isConnected = false;
    failAll('connection-lost');
  })();

  function send(
    subject: string,
    payload: Uint8Array | string,
    options: RequestOptions,
    settle: Pending['settle'],
  ): void {
    if (!isConnected || connection.isClosed()) {
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
    const entry = pending.get(token);
    // Given up meanwhile: nothing is sent late.
    if (entry === undefined) return;
    const reply = `${inbox}.${token}`;
    try {
      connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
    } catch {
      pending.delete(token);
      entry.settle('not-connected');
    }
  }

  return {
    connection,
    inbox: () => createInbox(inboxPrefix),
    connected: () => isConnected && !connection.isClosed(),
    losses: () => losses,
    onLoss: (listener) => {
      lossListeners.add(listener);
      return () => lossListeners.delete(listener);
    },
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
      clearInterval(sweep);
      subscription.unsubscribe();
      failAll('connection-lost');
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
