import { errors, type NatsConnection } from '@nats-io/transport-node';
import { PermissionDenied } from '../errors.ts';

/** Whether a connection is there, how often it was not, and what NATS forbade on it. */
export interface ConnectionWatch {
  /** False while the client is reconnecting; requests then fail at once, and nothing is sent late. */
  connected(): boolean;
  /** How often the connection was lost so far. */
  losses(): number;
  /** Calls back whenever the connection is lost, until the returned function is called. */
  onLoss(listener: () => void): () => void;
  /** What NATS denied in the last half minute and has not let through since, the latest last. */
  denials(): readonly PermissionDenied[];
  /** Calls back whenever NATS denies something on this connection, until the returned function is called. */
  onDenied(listener: (denied: PermissionDenied) => void): () => void;
}

export interface WatchOptions {
  /** As whom the connection is logged in. */
  readonly user?: string | undefined;
  /** Called when the connection is lost, before everybody else, and when it is closed for good. */
  readonly failUnderWay: () => void;
  /** Called when NATS denies something, before everybody else. */
  readonly denied?: (denied: PermissionDenied) => void;
}

/** How long a denial that nothing has repeated or refuted counts, in milliseconds. */
const REMEMBERED_MS = 30_000;
const MOST_REMEMBERED = 100;

/** Watches a connection for as long as it lives; `allowed` is to be told of subjects that got through. */
export function watchConnection(
  connection: NatsConnection,
  options: WatchOptions,
): ConnectionWatch & { allowed(subject: string): void } {
  let isConnected = true;
  let losses = 0;
  const lossListeners = new Set<() => void>();
  const denialListeners = new Set<(denied: PermissionDenied) => void>();
  const denials = new Map<string, { readonly denied: PermissionDenied; readonly until: number }>();

  const lost = (): void => {
    isConnected = false;
    losses++;
    options.failUnderWay();
    for (const listener of [...lossListeners]) listener();
  };
  const deny = (denied: PermissionDenied): void => {
    const key = `${denied.operation} ${denied.subject}`;
    denials.delete(key);
    denials.set(key, { denied, until: Date.now() + REMEMBERED_MS });
    const [oldest = key] = denials.keys();
    if (denials.size > MOST_REMEMBERED) denials.delete(oldest);
    options.denied?.(denied);
    for (const listener of [...denialListeners]) listener(denied);
  };

  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') lost();
      else if (status.type === 'reconnect') isConnected = true;
      else if (status.type === 'error') {
        const denied = denialIn(status.error, options.user);
        if (denied !== undefined) deny(denied);
      }
    }
    isConnected = false;
    options.failUnderWay();
  })();

  return {
    connected: () => isConnected && !connection.isClosed(),
    losses: () => losses,
    onLoss: (listener) => {
      lossListeners.add(listener);
      return () => lossListeners.delete(listener);
    },
    denials: () => {
      const now = Date.now();
      for (const [key, { until }] of denials) if (until <= now) denials.delete(key);
      return [...denials.values()].map(({ denied }) => denied);
    },
    onDenied: (listener) => {
      denialListeners.add(listener);
      return () => denialListeners.delete(listener);
    },
    allowed: (subject) => {
      if (denials.size > 0) denials.delete(`publish ${subject}`);
    },
  };
}

/** What NATS denied, where that is what an error of the client, or what caused it, says. */
export function denialIn(error: unknown, user: string | undefined): PermissionDenied | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof PermissionDenied) return cause;
    if (!(cause instanceof errors.PermissionViolationError)) continue;
    const operation = cause.operation === 'publish' ? 'publish' : 'subscribe';
    return new PermissionDenied(operation, cause.subject || cause.message, user);
  }
  return undefined;
}
