import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { Log } from '../../src/eventstore/log.ts';
import { openNatsLog } from '../../src/eventstore/nats/log-stream.ts';
import { createNatsSnapshotStore } from '../../src/eventstore/nats/nats-bucket.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { SnapshotStore } from '../../src/eventstore/snapshots/stored.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { acknowledgingEarly, withoutExpectation } from './broken-logs.ts';

/** How a log is spoilt to prove that the audit notices. */
export type Breakage = 'no-expectation' | 'early-acks';

export interface AuditLogOptions {
  readonly urls: readonly string[];
  readonly broken?: Breakage | undefined;
  /** `always` packs whatever is under way at once, whatever it costs, so that batches meet every fault. Default `auto`. */
  readonly groupCommit?: GroupCommit | undefined;
  /** Default `quorum`. */
  readonly confirm?: Confirm | undefined;
}

/** Whose word confirmed reads take (protocol 19). */
export type Confirm = 'leader' | 'quorum';

/** Which way commits take (protocol 16). */
export type GroupCommit = 'auto' | 'always' | 'off';

/**
 * A client leaves a server that has been silent for 2.1 s. A cluster elects another leader 3 s after the first one fell
 * silent at the earliest (4 s after its last heartbeat; there is one a second). A client that stays longer can be
 * answered by a leader that was paused, when that wakes up: of the "reads through the leader" that were under way
 * at that moment up to half were stale (measured with the client's default of 4 minutes).
 */
export const LIVENESS = { pingInterval: 700, maxPingOut: 2 } as const;

/** The log as a process of the product has it, on a connection of its own that never gives up. */
export interface AuditLog extends AsyncDisposable {
  readonly log: Log;
  /** In `AUDIT_SNAPSHOTS`, which need not be there. */
  readonly snapshots: SnapshotStore;
  /** How many messages of its own the log holds. */
  controls(): Promise<number>;
}

/** The bucket of the writers' snapshots: as in the product one copy, which a dead server takes with it. */
export const AUDIT_SNAPSHOTS = 'audit_snapshots';

/** Opens the log. @throws LogUnavailable when no server answers */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const connection = await connect({
    servers: [...options.urls],
    noRandomize: true,
    noAsyncTraces: true,
    ignoreClusterUpdates: true,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    timeout: 2_000,
    ...LIVENESS,
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
      groupCommit: options.groupCommit ?? 'auto',
      confirm: options.confirm ?? 'quorum',
    });
    const snapshots = createNatsSnapshotStore({ requests, bucket: AUDIT_SNAPSHOTS, timeoutMs: 700 });
    return {
      log: broken(log, options.broken),
      snapshots,
      controls: async () => {
        const jsm = await jetstreamManager(connection, { checkAPI: false });
        const info = await jsm.streams.info(TEST_LOG.stream, { subjects_filter: `${TEST_LOG.prefix}.*` });
        return Object.values(info.state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }

  function broken(log: Log, how: Breakage | undefined): Log {
    if (how === 'no-expectation') return withoutExpectation(log, requests, TEST_LOG.prefix);
    return how === 'early-acks' ? acknowledgingEarly(log, requests, TEST_LOG.prefix) : log;
  }
}
