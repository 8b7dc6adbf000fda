import { randomUUID } from 'node:crypto';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../../src/eventstore/log.ts';
import {
  addStream,
  INCARNATION_KEY,
  logStreamConfig,
  type OpenLogOptions,
  openNatsLog,
} from '../../src/eventstore/nats/log-stream.ts';
import { createNatsLog } from '../../src/eventstore/nats/nats-log.ts';
import { createRequests, type Requests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { type Control, controlSubject } from '../../src/eventstore/stream.ts';
import { until } from '../../src/testing/until.ts';
import { createPlainRequests } from './plain-requests.ts';

/** A connection of its own, as another process would have, with the log opened on it. */
export interface LogHandle extends AsyncDisposable {
  readonly log: Log;
  readonly requests: Requests;
  readonly connection: NatsConnection;
  close(): Promise<void>;
}

export interface LogNames {
  readonly stream: string;
  readonly prefix: string;
}

/** The two ways of making requests, which must not differ in any result. */
export const WAYS_OF_REQUESTS = { lean: createRequests, plain: createPlainRequests } as const;
export type WayOfRequests = keyof typeof WAYS_OF_REQUESTS;

export const TEST_LOG: LogNames = { stream: 'jetledger', prefix: 'jl' };

const DEFAULT_BOUNDS = { attemptTimeoutMs: 1_000, deadlineMs: 5_000 } as const;

/** Creates the log's stream on a test server. */
export async function createLogStream(url: string, names: LogNames = TEST_LOG, replicas = 1): Promise<void> {
  const connection = await connect({ servers: url });
  const jsm = await jetstreamManager(connection);
  const config = logStreamConfig({ ...names, replicas }, { [INCARNATION_KEY]: randomUUID() });
  const isStored = async (): Promise<boolean> => {
    await addStream(jsm, config);
    return true;
  };
  // On a busy machine the servers of a cluster take one another for gone now and then.
  if (replicas > 1) await until('the cluster takes the log', isStored, 30_000);
  else await isStored();
  await connection.close();
}

/** Stores a message of the log's own; returns its position. */
export async function publishControl(url: string, prefix: string, control: Control): Promise<number> {
  const connection = await connect({ servers: url });
  try {
    return (await jetstream(connection).publish(controlSubject(prefix, control))).seq;
  } finally {
    await connection.close();
  }
}

export interface TestLogBounds
  extends Pick<OpenLogOptions, 'attemptTimeoutMs' | 'deadlineMs' | 'groupCommit' | 'confirm'> {
  /** A majority confirms reads, also where one server is that majority. */
  readonly alwaysConfirm?: boolean;
}

function confirming({ incarnation }: Log, options: OpenLogOptions): Log {
  const group = { mode: options.groupCommit ?? 'auto', replicated: false };
  return createNatsLog({ ...options, incarnation, group, confirm: 'quorum' });
}

/** Opens the log of a test server; `createLogStream` comes first. */
export async function openTestLog(
  url: string,
  names: LogNames = TEST_LOG,
  bounds: TestLogBounds = DEFAULT_BOUNDS,
  way: WayOfRequests = 'lean',
): Promise<LogHandle> {
  const connection = await connect({
    servers: url,
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  const requests = WAYS_OF_REQUESTS[way](connection);
  const options = { requests, runtime: systemRuntime, ...names, ...bounds };
  const opened = await openNatsLog(options);
  const log = bounds.alwaysConfirm === true ? confirming(opened.log, options) : opened.log;
  const close = async (): Promise<void> => {
    requests.close();
    await connection.close();
  };
  return { log, requests, connection, close, [Symbol.asyncDispose]: close };
}
