import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StreamConfig, StreamState } from '@nats-io/jetstream';

/** A backup could not be taken or put back; the message is one line that says what to do. */
export class BackupError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BackupError';
  }
}

/** @throws BackupError once the signal has fired */
export function checkInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new BackupError('It was interrupted.');
}

/** What a file holds, in short. */
export interface Written {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

const READ_BYTES = 128 * 1024;
/** Backups hold personal data. */
const OWNER_ONLY = 0o600;

/** Writes a new file and has it on disk when this returns. @throws BackupError once the signal has fired */
export async function writeHashed(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<Written> {
  const file = await open(path, 'wx', OWNER_ONLY);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      checkInterrupted(signal);
      await file.writeFile(chunk);
      hash.update(chunk);
      bytes += chunk.length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** The bytes of a file, in chunks that fit a NATS message. */
export function readChunks(path: string): AsyncIterable<Uint8Array> {
  return createReadStream(path, { highWaterMark: READ_BYTES });
}

/** Told while bytes are read or written: how many by now, and how many there will be. */
export type OnBytes = (done: number, total: number) => void;

/** The same chunks; tells how many bytes went by, each time when whoever reads them has dealt with them. */
export async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (done: number) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of chunks) {
    yield chunk;
    done += chunk.length;
    onBytes(done);
  }
}

/** What a file holds now; undefined when it cannot be read. */
export async function hashFile(path: string, onBytes?: (done: number) => void): Promise<Written | undefined> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of counted(readChunks(path), onBytes)) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  } catch {
    return undefined;
  }
  return { bytes, sha256: hash.digest('hex') };
}

export const MANIFEST = 'manifest.json';
/** The checksums of all files, as `sha256sum -c` reads them. */
export const CHECKSUMS = 'SHA256SUMS';
const FORMAT = 1;

/** A stream of the backup. */
export interface BackedUpStream extends Written {
  readonly name: string;
  /** Its file in the folder. */
  readonly file: string;
  /** Where that is, when it is another one than the backup's. */
  readonly folder?: string;
  /** Why it is in the backup, for people. */
  readonly what: string;
  readonly config: StreamConfig;
  /** When it was made, as the server says; earlier versions did not write it down. */
  readonly created?: string;
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
  /** The log's stream, its prefix, its incarnation, and its last position. */
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

/** A file of a backup that is not what was written. */
export interface FileProblem {
  readonly file: string;
  readonly problem: string;
}

const LINE = /^([0-9a-f]{64}) {2}(\S+)$/;

/**
 * Reads every byte of a backup and compares it with the checksums, which stand twice: in the manifest and beside it.
 * @returns nothing for a sound backup
 * @throws BackupError when there is no usable manifest although its checksum holds
 */
export async function checkFiles(folder: string, onBytes?: OnBytes): Promise<readonly FileProblem[]> {
  const sums = await readChecksums(folder);
  const expectedManifest = sums.get(MANIFEST);
  const manifestNow = await hashFile(join(folder, MANIFEST));
  if (manifestNow === undefined) return [{ file: MANIFEST, problem: 'is missing' }];
  if (expectedManifest !== undefined && expectedManifest !== manifestNow.sha256) {
    return [{ file: MANIFEST, problem: 'was changed: its checksum differs' }];
  }
  const { streams } = await readManifest(folder);
  const problems: FileProblem[] = [];
  const total = streams.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const { file, bytes, sha256 } of streams) {
    const now = await hashFile(join(folder, file), (done) => onBytes?.(before + done, total));
    before += bytes;
    if (now === undefined) problems.push({ file, problem: 'is missing' });
    else if (now.bytes !== bytes) problems.push({ file, problem: `has ${now.bytes} bytes, not ${bytes}` });
    else if (now.sha256 !== sha256) problems.push({ file, problem: 'was changed: its checksum differs' });
    else if (sums.get(file) !== sha256) problems.push({ file: CHECKSUMS, problem: `does not fit ${file}` });
  }
  if (expectedManifest === undefined)
    problems.push({ file: CHECKSUMS, problem: `does not name ${MANIFEST}` });
  return problems;
}

async function readChecksums(folder: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(folder, CHECKSUMS), 'utf8').catch(() => '');
  const sums = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, sum, file] = LINE.exec(line) ?? [];
    if (sum !== undefined && file !== undefined) sums.set(file, sum);
  }
  return sums;
}
