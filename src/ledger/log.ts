import {
  INCARNATION_KEY,
  type Log,
  type OpenedLog,
  openNatsLog,
  readLogConfig,
  type StoreObserver,
  systemRuntime,
} from '../eventstore/index.ts';
import {
  type DurabilitySettings,
  groupCommitMode,
  guardDurability,
  readSyncEvidence,
} from '../platform/durability.ts';
import type { Server } from './server.ts';

/** The log's stream, and what is asked of it. */
export interface LogSettings extends DurabilitySettings {
  /** The stream's name. */
  readonly stream: string;
  /** First token of its subjects, and first part of the names of buckets. */
  readonly prefix: string;
  /** Copies of the log: 1, 3 or 5. */
  readonly replicas: number;
}

/** What opening a log takes. */
export interface OpenLogOptions {
  readonly server: Pick<Server, 'requests' | 'monitorUrls'>;
  readonly log: LogSettings;
  readonly commands: { readonly groupCommit: 'auto' | 'off' };
  /** Whose word a confirmed read takes (protocol 19). */
  readonly confirm: 'leader' | 'quorum';
  /** How long one request may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** Whether a log that a power cut could shorten is refused; elsewhere `warn` is told. */
  readonly production: boolean;
  readonly warn: (problem: string) => void;
  readonly observer?: StoreObserver | undefined;
  /** A sentence that says how the log is made, for the error that it is not there. */
  readonly howToCreate: string;
}

/**
 * The log of a connected server, once everything says that it can be trusted.
 * @throws UnsafeLog, NatsUnusable, PermissionDenied, EventStoreError `log/missing`
 */
export async function openLog(options: OpenLogOptions): Promise<OpenedLog> {
  const { server, log: settings, production, warn, requestTimeoutMs: deadlineMs } = options;
  const { stream, prefix } = settings;
  const evidence = await readSyncEvidence(server.monitorUrls);
  const opened = await openNatsLog({
    requests: server.requests,
    runtime: systemRuntime,
    stream,
    prefix,
    deadlineMs,
    attemptTimeoutMs: Math.ceil(deadlineMs / 2),
    groupCommit: groupCommitMode(options, evidence),
    confirm: options.confirm,
    observer: options.observer,
    howToCreate: options.howToCreate,
  });
  guardDurability(settings, { replicas: opened.config.num_replicas, evidence }, production, warn);
  return opened;
}

/** Whether the server still has the log that was opened. @throws LogUnavailable */
export async function isSameLog(
  server: Pick<Server, 'requests'>,
  stream: string,
  log: Log,
  requestTimeoutMs: number,
): Promise<boolean> {
  const { requests } = server;
  const config = await readLogConfig({ requests, stream, attemptTimeoutMs: requestTimeoutMs });
  return config?.metadata?.[INCARNATION_KEY] === log.incarnation;
}
