import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { INCARNATION_KEY, managerOf, type Requests } from '../../eventstore/index.ts';

import {
  type BackedUpStream,
  BackupError,
  CHECKSUMS,
  checkInterrupted,
  counted,
  type LeftOut,
  MANIFEST,
  type Manifest,
  newManifest,
  type OnBytes,
  writeHashed,
} from './manifest.ts';
import { snapshotStream } from './stream-copy.ts';

/** What to copy, in the order that makes it sound (protocol 15). */
export interface BackupPlan {
  readonly streams: readonly { readonly name: string; readonly what: string }[];
  readonly leftOut: readonly LeftOut[];
}

export interface TakeOptions {
  readonly requests: Requests;
  /** Must not exist. */
  readonly folder: string;
  readonly log: { readonly stream: string; readonly prefix: string };
  readonly plan: BackupPlan;
  readonly toolVersion: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly signal?: AbortSignal;
  readonly onStream?: (stream: BackedUpStream) => void;
  /** The total is about what the server says that it holds: it copies in another form. */
  readonly onBytes?: (stream: string, ...bytes: Parameters<OnBytes>) => void;
}

/**
 * Copies the streams of a plan into a new folder, beside a running service. The folder appears whole or not at all.
 * @throws BackupError
 */
export async function takeBackup(options: TakeOptions): Promise<Manifest> {
  const folder = resolve(options.folder);
  if ((await stat(folder).catch(() => undefined)) !== undefined) {
    throw new BackupError(`${folder} exists already. Name a new folder for each backup.`);
  }
  const draft = join(dirname(folder), `.${basename(folder)}.partial-${process.pid}`);
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    const manifest = await fill(draft, options);
    await syncFolder(draft);
    await rename(draft, folder);
    await syncFolder(dirname(folder));
    return manifest;
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function fill(draft: string, options: TakeOptions): Promise<Manifest> {
  const { requests, log, plan, toolVersion, signal } = options;
  const jsm = await managerOf(requests);
  const takenAt = new Date(options.now()).toISOString();
  const streams: BackedUpStream[] = [];
  for (const { name, what } of plan.streams) {
    checkInterrupted(signal);
    const { created } = await jsm.streams.info(name);
    const { config, state, chunks } = await snapshotStream(requests, name);
    const file = `${name}.snapshot`;
    const watched = counted(chunks, (done) => options.onBytes?.(name, done, state.bytes));
    const written = await writeHashed(join(draft, file), watched, signal);
    const stream = { name, file, what, ...written, config, created, state };
    streams.push(stream);
    options.onStream?.(stream);
  }
  const found = streams.find(({ name }) => name === log.stream);
  const { config } = await jsm.streams.info(log.stream);
  const incarnation = found?.config.metadata?.[INCARNATION_KEY] ?? '';
  if (found === undefined || config.metadata?.[INCARNATION_KEY] !== incarnation) {
    throw new BackupError('The log was replaced while it was copied. Try again.');
  }
  const manifest = newManifest({
    takenAt,
    toolVersion,
    serverVersion: requests.connection.info?.version ?? 'unknown',
    log: { stream: log.stream, prefix: log.prefix, incarnation, last: found.state.last_seq },
    streams,
    leftOut: plan.leftOut,
  });
  await writeTexts(draft, manifest);
  return manifest;
}

async function writeTexts(draft: string, manifest: Manifest): Promise<void> {
  const text = (content: string): Uint8Array[] => [Buffer.from(content)];
  const written = await writeHashed(join(draft, MANIFEST), text(`${JSON.stringify(manifest, null, 2)}\n`));
  const lines = [{ file: MANIFEST, ...written }, ...manifest.streams];
  const sums = lines.map(({ file, sha256 }) => `${sha256}  ${file}\n`).join('');
  await writeHashed(join(draft, CHECKSUMS), text(sums));
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  // Not every file system can; the files themselves are on disk.
  await handle.sync().catch(() => undefined);
  await handle.close();
}
