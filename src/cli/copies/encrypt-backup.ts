import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { bucketStream, type Requests } from '../../eventstore/index.ts';
import {
  type BackedUpStream,
  BackupError,
  type Manifest,
  writeHashed,
} from '../../platform/backup/manifest.ts';
import { putBackOne } from '../../platform/backup/put-back.ts';
import { rewriteStream, type StoredMessage } from '../../platform/backup/rewrite.ts';
import { snapshotStream } from '../../platform/backup/stream-copy.ts';
import type { Config } from '../../platform/config/schema.ts';
import { ENCRYPTED_METADATA } from '../../platform/topology.ts';
import { bucketNames } from '../../processes/engine/index.ts';
import { type Nats, openPersonalData } from '../../service/open.ts';
import { encryptMessages } from '../../service/personal/encrypt-log.ts';
import { keysStream } from '../../service/topology.ts';
import type { Progress } from '../shell/progress.ts';
import { logOn, withoutLogin, withRequestsAt, withThrowawayServer } from './other-servers.ts';

/** A sound backup, and what it is encrypted with. */
export interface EncryptBackup extends Pick<Nats, 'emailKey' | 'masterKeys'> {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/** Two servers that are gone afterwards: what the backup holds, and what it becomes. */
interface Servers {
  readonly from: Requests;
  readonly to: Requests;
}

/**
 * Encrypts a copy of a backup, which is there for as long as the work lasts: the log with every personal text sealed, the
 * keys that this takes, and dead letters without the copies of events that people are shown. Positions, ids, times of
 * events and their order are the same.
 * @param work is given the manifest of the copy, for the same folder
 * @throws BackupError, KeysUnavailable
 */
export async function withEncryptedBackup<T>(
  config: Config,
  backup: EncryptBackup,
  work: (manifest: Manifest) => Promise<T>,
): Promise<T> {
  if (backup.masterKeys.length === 0)
    throw new BackupError(
      'There is no master key to encrypt with: set privacy.masterKeys or privacy.masterKeyFile. Nothing was restored.',
    );
  const { log } = config;
  const own = withoutLogin({ ...config, log: { ...log, replicas: 1 } });
  const target = await mkdtemp(join(tmpdir(), 'jetledger-encrypted-'));
  try {
    const streams = await withThrowawayServer(config, (plain) =>
      withThrowawayServer(config, (sealed) =>
        withRequestsAt(own, plain, (from) =>
          withRequestsAt(own, sealed, (to) => encryptStreams(own, backup, { from, to }, target)),
        ),
      ),
    );
    return await work({ ...backup.manifest, streams });
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

/** Writes what was encrypted into the target folder. @returns the streams of the backup, with that in place of theirs */
async function encryptStreams(
  config: Config,
  backup: EncryptBackup,
  { from, to }: Servers,
  target: string,
): Promise<readonly BackedUpStream[]> {
  const { folder, manifest, signal } = backup;
  const keys = keysStream(config.log);
  const parked = manifest.streams.find(
    ({ name }) => name === bucketStream(bucketNames(config.log.prefix).parked),
  );
  const put = async (requests: Requests, name: string) => {
    const stream = manifest.streams.find((each) => each.name === name);
    if (stream !== undefined) await putBackOne({ requests, folder, replicas: 1, signal }, stream, {});
  };
  await put(from, manifest.log.stream);
  await put(to, keys);
  await encryptLog(config, backup, { from, to });
  if (parked !== undefined) {
    await put(from, parked.name);
    const rewrite = async (batch: readonly StoredMessage[]) => batch.map(withoutPayloads);
    await rewriteStream({
      from,
      to,
      stream: parked.name,
      metadata: {},
      keepSequences: false,
      rewrite,
      signal,
    });
  }
  const copied = async (name: string, what: string): Promise<BackedUpStream> => {
    const path = join(target, `${name}.snapshot`);
    const { config: made, state, chunks } = await snapshotStream(to, name);
    const written = await writeHashed(path, chunks, signal);
    return { name, what, file: relative(resolve(folder), path), ...written, config: made, state };
  };
  // A plain backup may be of a time without keys.
  const streams = [await copied(keys, 'keys of persons, wrapped')];
  for (const stream of manifest.streams) {
    const { name, what } = stream;
    const isRewritten = name === manifest.log.stream || name === parked?.name;
    if (name !== keys) streams.push(isRewritten ? await copied(name, what) : stream);
  }
  return streams;
}

async function encryptLog(config: Config, backup: EncryptBackup, { from, to }: Servers): Promise<void> {
  const { emailKey, masterKeys, signal, progress, manifest } = backup;
  const personal = await openPersonalData(config, { requests: to, masterKeys }, true);
  const log = await logOn(config, from);
  await rewriteStream({
    ...{ from, to, signal, stream: manifest.log.stream, metadata: ENCRYPTED_METADATA, keepSequences: true },
    rewrite: (batch) => encryptMessages({ log, personal, emailKey }, batch),
    onDone: (done, total) => progress.show({ what: 'encrypting', done, total, unit: 'messages' }),
  });
}

const LEFT_OUT = 'left out when the log was encrypted: look at the commit';

/** A dead letter without the copies of its commit's events. One that is no commit's is all that is sent again, and stays. */
function withoutPayloads({ data }: StoredMessage): Uint8Array {
  const entry = jsonIn(data);
  if (typeof entry !== 'object' || entry === null || !('commitId' in entry) || !('events' in entry))
    return data;
  if (entry.commitId === '' || !Array.isArray(entry.events)) return data;
  const events = entry.events.map((event: object) => ({ ...event, payload: LEFT_OUT }));
  return Buffer.from(JSON.stringify({ ...entry, events }));
}

function jsonIn(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8'));
  } catch {
    return undefined;
  }
}
