import { AckPolicy, DeliverPolicy, jetstreamManager, ReplayPolicy } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { LogUnavailable } from '../errors.ts';
import { backoffMs, type Runtime } from '../runtime.ts';
import { type Delivered, type Ended, PULL_EXPIRES_MS, pullSession } from './pull-session.ts';
import type { Requests } from './requests.ts';

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
  /** Throw LogUnavailable after so many milliseconds without a message or a consumer; for ever by default. */
  readonly giveUpMs?: number;
  /** How long the server keeps a pull that it has nothing for, in milliseconds. */
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
 * @throws LogUnavailable, only with `giveUpMs`
 */
export async function* readOrdered(options: ReaderOptions): AsyncGenerator<Delivered[]> {
  const { runtime, signal, giveUpMs = Number.POSITIVE_INFINITY } = options;
  const aborted = (): boolean => signal?.aborted === true;
  let after = options.after;
  let failures = 0;
  let first = true;
  let aliveAt = runtime.now();
  const restart = (reason: string): void => {
    options.onRestart?.(reason);
    if (runtime.now() - aliveAt > giveUpMs) throw new LogUnavailable(`reading ${options.stream}: ${reason}`);
  };
  while (!aborted()) {
    const session = await startSession(options, after, first).catch((error: unknown) => String(error));
    if (typeof session === 'string') {
      restart(session);
    } else {
      if (first && session.initialPending === 0) yield [];
      first = false;
      for await (const batch of drain(session)) {
        yield batch;
        failures = 0;
        after = batch.at(-1)?.seq ?? after;
        aliveAt = runtime.now();
      }
      if (!aborted()) restart('the connection or the consumer was lost');
    }
    if (!aborted()) await runtime.sleep(backoffMs(runtime, failures++, 50, 2_000));
  }
}

async function* drain(session: Session): AsyncGenerator<Delivered[]> {
  try {
    for (;;) {
      const batch = await session.next();
      if (!Array.isArray(batch)) return;
      yield batch;
    }
  } finally {
    session.close();
  }
}

interface Session {
  readonly initialPending: number;
  next(): Promise<Delivered[] | Ended>;
  close(): void;
}

async function startSession(options: ReaderOptions, after: number, first: boolean): Promise<Session> {
  const { requests, stream, filter, signal } = options;
  const { connection } = requests;
  // Asking would only wait for its timeout.
  if (!requests.connected()) throw new LogUnavailable(`reading ${stream}: not connected`);
  const jsm = await jetstreamManager(connection, { checkAPI: false });
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
    initialPending: info.num_pending,
    next: session.next,
    close: () => {
      session.close();
      if (!connection.isClosed()) void jsm.consumers.delete(stream, info.name).catch(() => undefined);
    },
  };
}
