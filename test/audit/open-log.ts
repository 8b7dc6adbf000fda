import { connect } from '@nats-io/transport-node';
import type { Log } from '../../src/eventstore/log.ts';
import { openNatsLog } from '../../src/eventstore/nats/log-stream.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { acknowledgingEarly, withoutExpectation } from './broken-logs.ts';

/** How a log is spoilt to prove that the audit notices. */
export type Breakage = 'no-expectation' | 'early-acks';

export interface AuditLogOptions {
  readonly urls: readonly string[];
  readonly broken?: Breakage | undefined;
  /** How often the client looks whether its server still answers, in milliseconds; the client's default is 2 minutes. */
  readonly pingMs?: number | undefined;
}

/** The log as a process of the product has it, on a connection of its own that never gives up. */
export interface AuditLog extends AsyncDisposable {
  readonly log: Log;
}

/** Opens the log. @throws LogUnavailable when no server answers */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const connection = await connect({
    servers: [...options.urls],
    noAsyncTraces: true,
    ignoreClusterUpdates: true,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    timeout: 2_000,
    ...(options.pingMs === undefined ? {} : { pingInterval: options.pingMs }),
  });
  const requests = createRequests(connection);
  const close = async (): Promise<void> => {
    requests.close();
    await connection.close();
  };
  try {
    const { log } = await openNatsLog({
      requests,
      runtime: systemRuntime,
      ...TEST_LOG,
      attemptTimeoutMs: 700,
      deadlineMs: 3_000,
    });
    return { log: broken(log, options.broken), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }

  function broken(log: Log, how: Breakage | undefined): Log {
    if (how === 'no-expectation') return withoutExpectation(log, requests, TEST_LOG.prefix);
    return how === 'early-acks' ? acknowledgingEarly(log, requests, TEST_LOG.prefix) : log;
  }
}
