import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StreamConfig, StreamState } from '@nats-io/jetstream';
import { BackupError } from './errors.ts';
import type { Written } from './files.ts';

export const MANIFEST = 'manifest.json';
/** The checksums of all files, as `sha256sum -c` reads them. */
export const CHECKSUMS = 'SHA256SUMS';
const FORMAT = 1;

/** A stream of the backup. */
export interface BackedUpStream extends Written {
  readonly name: string;
  /** Its file in the folder. */
  readonly file: string;
  /** Why it is in the backup, for people. */
  readonly what: string;
  readonly config: StreamConfig;
  /** As of its copy. */
  readonly state: StreamState;
}

/** A stream that is not in the backup. */
export interface LeftOut {
  readonly name: string;
  readonly why: string;
}

/** What a backup folder holds. */
export interface Manifest {
  readonly format: number;
  /** ISO 8601. */
  readonly takenAt: string;
  /** Of JetLedger and of the server that it was taken with. */
  readonly toolVersion: string;
  readonly serverVersion: string;
  /** The log's stream, its prefix, the life it was in, and its last position. */
  readonly log: {
    readonly stream: string;
    readonly prefix: string;
    readonly incarnation: string;
    readonly last: number;
  };
  /** In the order in which they were copied. */
  readonly streams: readonly BackedUpStream[];
  readonly leftOut: readonly LeftOut[];
}

export function newManifest(fields: Omit<Manifest, 'format'>): Manifest {
  return { format: FORMAT, ...fields };
}

/** @throws BackupError when there is none, or one that this version cannot read */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST);
  let manifest: Manifest;
  try {
    manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? 'is damaged' : 'cannot be read';
    throw new BackupError(`${path} ${reason}: this is not a whole backup. Take another one.`, cause);
  }
  if (manifest.format === FORMAT && Array.isArray(manifest.streams) && logOf(manifest) !== undefined) {
    return manifest;
  }
  throw new BackupError(`${path} is not a manifest of format ${FORMAT}. Use the version that wrote it.`);
}

/** The log among the streams. */
export function logOf({ log, streams }: Manifest): BackedUpStream | undefined {
  return streams.find(({ name }) => name === log?.stream);
}
