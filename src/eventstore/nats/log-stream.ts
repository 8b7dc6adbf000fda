import {
  DiscardPolicy,
  type JetStreamManager,
  PersistMode,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';
import { TimeoutError } from '@nats-io/transport-node';
import { EventStoreError, LogUnavailable, PermissionDenied, UnsafeLog } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoreObserver } from '../observer.ts';
import type { Runtime } from '../runtime.ts';
import { type StreamRef, subjectOf } from '../stream.ts';
import { denialIn } from './connection-watch.ts';
import { headerLine, writeHeaders } from './message.ts';
import { createNatsLog } from './nats-log.ts';
import { managerOf, type Requests } from './requests.ts';
import { HEADER, isConflict, parseAck } from './wire.ts';

const TRIES = 4;

/**
 * Creates a stream. A cluster that elects a leader meanwhile may drop the request or its answer; it is then sent again,
 * the same to the letter, which a server that has made the stream answers as if it had just done so.
 * @throws TimeoutError when no answer came to any of four requests; the server's error when it refuses
 */
export async function addStream(
  jsm: JetStreamManager,
  config: Partial<StreamConfig> & { readonly name: string },
): Promise<StreamConfig> {
  for (let tries = 1; ; tries++) {
    try {
      return (await jsm.streams.add(config)).config;
    } catch (error) {
      if (!(error instanceof TimeoutError) || tries === TRIES) throw error;
    }
  }
}

/** Where the log's incarnation stands in the stream's metadata. */
export const INCARNATION_KEY = 'jetledger.incarnation';
const NO_INFO = 404;

/** What decides the log's stream. */
export interface LogStreamSettings {
  readonly stream: string;
  readonly prefix: string;
  readonly replicas: number;
}

/** How the log's stream must be: for ever, append only, without anything that could remove a message. */
export function logStreamConfig(
  settings: LogStreamSettings,
  metadata: Record<string, string>,
): Partial<StreamConfig> & { name: string } {
  return {
    name: settings.stream,
    subjects: [`${settings.prefix}.>`],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    // Compressed blocks were corrupted on clusters and cost cold reads and appends four times as much: docs/adr/0013.
    compression: StoreCompression.None,
    num_replicas: settings.replicas,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    deny_delete: true,
    deny_purge: true,
    allow_direct: true,
    allow_atomic: true,
    allow_rollup_hdrs: false,
    metadata,
  };
}

/** What makes a stream unfit to be the log, one phrase each; none = fit. */
export function logStreamProblems(config: StreamConfig, settings: LogStreamSettings): string[] {
  const problems: string[] = [];
  const must = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  must(
    config.subjects.length === 1 && config.subjects[0] === `${settings.prefix}.>`,
    `its subjects are not ${settings.prefix}.>`,
  );
  must(config.storage === StorageType.File, 'it is not on file storage');
  must(config.retention === RetentionPolicy.Limits, 'its retention removes messages');
  must(config.discard === DiscardPolicy.New, 'it discards old messages (set discard to new)');
  must(
    config.max_msgs <= 0 && config.max_bytes <= 0 && config.max_age === 0,
    'it has a limit on messages, bytes or age',
  );
  must(config.max_msgs_per_subject <= 0, 'it has a limit on messages per subject');
  must(config.deny_delete && config.deny_purge, 'it allows deleting or purging');
  must(config.allow_direct, 'direct gets are off (allow_direct)');
  must(
    config.allow_atomic === true,
    'atomic batches are off (allow_atomic), or the server is too old for them',
  );
  must(
    config.allow_rollup_hdrs !== true && config.allow_msg_schedules !== true,
    'it allows roll-ups or schedules, which can remove messages',
  );
  must(config.allow_msg_ttl !== true, 'it allows messages that expire');
  must(
    config.persist_mode !== PersistMode.Async,
    'its persist mode is async, which loses acknowledged commits',
  );
  must(config.sealed !== true, 'it is sealed');
  must(
    config.num_replicas === 1 || config.compression !== StoreCompression.S2,
    'it is replicated and compressed (set compression to none)',
  );
  must((config.metadata?.[INCARNATION_KEY] ?? '') !== '', `its metadata has no ${INCARNATION_KEY}`);
  return problems;
}

export interface OpenLogOptions extends Pick<LogStreamSettings, 'stream' | 'prefix'> {
  readonly requests: Requests;
  readonly runtime: Runtime;
  readonly attemptTimeoutMs: number;
  readonly deadlineMs: number;
  readonly observer?: StoreObserver | undefined;
  /** A sentence that says how this service creates its log's stream, for the error that it is not there. */
  readonly howToCreate?: string | undefined;
  /**
   * Default `auto`: commits of different aggregates share a batch where that is measured to be faster (protocol 16).
   * `always` shares one whenever two are under way, whatever it costs: for tests.
   */
  readonly groupCommit?: 'auto' | 'off' | 'always' | undefined;
  /**
   * Whose word a confirmed read takes (protocol 19): the leader's, which is the default, or a majority's, where several
   * servers keep the log. One server is its own majority.
   */
  readonly confirm?: 'leader' | 'quorum' | undefined;
}

/** The log of a running server and what its stream says about it. */
export interface OpenedLog {
  readonly log: Log;
  readonly config: StreamConfig;
}

/**
 * Opens the log after reading back how its stream is configured.
 * @throws UnsafeLog when it could lose history; EventStoreError `log/missing`; LogUnavailable; PermissionDenied
 */
export async function openNatsLog(options: OpenLogOptions): Promise<OpenedLog> {
  const config = await readStreamConfig(options);
  const problems = logStreamProblems(config, { ...options, replicas: config.num_replicas });
  if (problems.length > 0) throw new UnsafeLog(options.stream, problems);
  const incarnation = config.metadata?.[INCARNATION_KEY] ?? '';
  const group = { mode: options.groupCommit ?? 'auto', replicated: config.num_replicas > 1 } as const;
  const confirm = group.replicated ? (options.confirm ?? 'leader') : 'leader';
  return { log: createNatsLog({ ...options, incarnation, group, confirm }), config };
}

/**
 * The configuration of the log's stream as the server has it now; undefined when it has none. @throws LogUnavailable
 * @internal
 */
export async function readLogConfig(
  options: Pick<OpenLogOptions, 'requests' | 'stream' | 'attemptTimeoutMs'>,
): Promise<StreamConfig | undefined> {
  try {
    return await readStreamConfig(options);
  } catch (error) {
    if (error instanceof EventStoreError && error.code === 'log/missing') return undefined;
    throw error;
  }
}

async function readStreamConfig({
  requests,
  stream,
  attemptTimeoutMs,
  howToCreate = 'Create it first.',
}: Pick<OpenLogOptions, 'requests' | 'stream' | 'attemptTimeoutMs' | 'howToCreate'>): Promise<StreamConfig> {
  try {
    const jsm = await managerOf(requests, attemptTimeoutMs);
    return (await jsm.streams.info(stream)).config;
  } catch (cause) {
    if (isStreamMissing(cause)) {
      throw new EventStoreError('log/missing', `The server has no stream ${stream}. ${howToCreate}`);
    }
    throw denialIn(cause, requests.user) ?? new LogUnavailable(`asking for the stream ${stream}`, cause);
  }
}

/** Whether the server said that a stream does not exist. @internal */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof Error && 'status' in error && error.status === NO_INFO;
}

/** No aggregate ever has this version. */
const NEVER = Number.MAX_SAFE_INTEGER;

/**
 * Asks the log's leader to take a commit that it has to refuse, since its expectation cannot hold. A refusal for exactly
 * that reason shows that appends reach a leader that decides about them; nothing is stored.
 * @param stream an aggregate that this process may write to; it need not exist
 * @returns undefined when appends are decided about, else the reason why not
 * @internal
 */
export async function probeWrites(
  requests: Pick<Requests, 'request'>,
  options: { readonly prefix: string; readonly stream: StreamRef; readonly timeoutMs: number },
): Promise<string | undefined> {
  const { prefix, stream, timeoutMs } = options;
  const headers = writeHeaders(headerLine(HEADER.expectedSubjectSequence, String(NEVER)));
  const reply = await requests.request(subjectOf(prefix, stream), '', { headers, timeoutMs });
  if (reply.failed instanceof PermissionDenied) return reply.failed.message;
  if (reply.failed !== undefined) return reply.failed;
  const { error } = parseAck(reply.msg);
  if (error === undefined) return 'an append that had to be refused was stored';
  return isConflict(error.errCode) ? undefined : error.description;
}
