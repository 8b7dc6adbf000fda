import { join } from 'node:path';
import { PersistMode, type StreamConfig } from '@nats-io/jetstream';
import {
  bucketStream,
  forgottenBucket,
  INCARNATION_KEY,
  isStreamMissing,
  lineageOf,
  managerOf,
  putBackMetadata,
  type Requests,
  reasonOf,
} from '../../eventstore/index.ts';

import {
  type BackedUpStream,
  BackupError,
  counted,
  logOf,
  type Manifest,
  type OnBytes,
  readChunks,
} from './manifest.ts';
import { restoreStream } from './stream-copy.ts';

/** Where the log's metadata says which incarnation it was restored from. */
export const RESTORED_FROM_KEY = 'jetledger.restored-from';

export interface PutBackOptions {
  readonly requests: Requests;
  readonly folder: string;
  readonly manifest: Manifest;
  /** Of every stream on the target. */
  readonly replicas: number;
  /** The new one, of the restored log; must never have been used. */
  readonly incarnation: string;
  /** Brings what holds positions into the new incarnation; called before the log exists. */
  readonly translate: () => Promise<void>;
  readonly signal?: AbortSignal;
  readonly onStream?: (stream: BackedUpStream) => void;
  readonly onBytes?: (stream: string, ...bytes: Parameters<OnBytes>) => void;
}

/** The streams on a server that a restore would collide with; the ledger of who was forgotten stays. @throws BackupError */
export async function occupiedStreams(
  requests: Requests,
  { log, streams }: Manifest,
): Promise<readonly string[]> {
  const wanted = new Set(streams.map(({ name }) => name));
  const { prefix } = log;
  const isOurs = (name: string): boolean =>
    wanted.has(name) || name.startsWith(`KV_${prefix}_`) || name.startsWith(`${prefix}-`);
  const found: string[] = [];
  const jsm = await managerOf(requests);
  const ledger = bucketStream(forgottenBucket(prefix));
  for await (const name of jsm.streams.names()) if (isOurs(name) && name !== ledger) found.push(name);
  return found;
}

/**
 * Makes every stream of a backup on a server that has none of them. The log comes last, with its new incarnation from
 * its first moment on: before that nothing starts, after that everything is there. What fails is undone.
 * @throws BackupError; the server is then as empty as before, or the message says what to remove
 */
export async function putBack(options: PutBackOptions): Promise<void> {
  const { manifest, translate, onStream } = options;
  const log = logOf(manifest);
  if (log === undefined) throw new BackupError('The backup holds no log.');
  const others = manifest.streams.filter((stream) => stream !== log);
  const made: string[] = [];
  try {
    for (const stream of others) {
      made.push(stream.name);
      await putBackOne(options, stream, lineage(stream, options.incarnation));
      onStream?.(stream);
    }
    await translate();
    made.push(log.name);
    await putBackOne(options, log, {
      [INCARNATION_KEY]: options.incarnation,
      [RESTORED_FROM_KEY]: manifest.log.incarnation,
    });
    onStream?.(log);
  } catch (error) {
    await undo(options.requests, made, error);
  }
}

/** For who remembers places in a stream; what a bucket holds is found by its keys. */
function lineage(
  { name, created, config, state }: BackedUpStream,
  incarnation: string,
): Readonly<Record<string, string>> {
  if (created === undefined || name.startsWith(bucketStream(''))) return {};
  return putBackMetadata(lineageOf({ created, config }), state.last_seq, incarnation);
}

type PutBackOneOptions = Pick<PutBackOptions, 'requests' | 'folder' | 'replicas' | 'signal' | 'onBytes'>;

/** A stream of the backup with additions to its metadata. */
export async function putBackOne(
  { requests, folder, replicas, signal, onBytes }: PutBackOneOptions,
  { name, config, state, file, bytes, folder: own = folder }: BackedUpStream,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const copy = {
    config: configFor(config, replicas, metadata),
    state,
    chunks: counted(readChunks(join(own, file)), (done) => onBytes?.(name, done, bytes)),
  };
  await restoreStream(requests, copy, signal);
}

function configFor(
  config: StreamConfig,
  replicas: number,
  metadata: Readonly<Record<string, string>>,
): StreamConfig {
  const { persist_mode: mode, ...rest } = config;
  // Only a single server knows it.
  const persist = mode === PersistMode.Async && replicas === 1 ? { persist_mode: mode } : {};
  return {
    ...rest,
    ...persist,
    num_replicas: replicas,
    metadata: { ...config.metadata, ...metadata },
  } as StreamConfig;
}

/** Only what this run made is removed: the server had none of it before. */
async function undo(requests: Requests, made: readonly string[], cause: unknown): Promise<never> {
  const reason = reasonOf(cause);
  const left: string[] = [];
  const jsm = await managerOf(requests).catch(() => undefined);
  for (const name of made) {
    const gone = await jsm?.streams.delete(name).catch((error: unknown) => isStreamMissing(error));
    if (gone !== true) left.push(name);
  }
  const after =
    left.length === 0
      ? 'Nothing is left of the attempt.'
      : `Remove what is left of the attempt before the next one: ${left.join(', ')}.`;
  throw new BackupError(`The restore failed: ${reason} ${after}`, cause);
}
