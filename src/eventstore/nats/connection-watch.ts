import { errors, type Msg, type NatsConnection } from '@nats-io/transport-node';

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
