import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { checkInterrupted } from './errors.ts';

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

/** What a file holds now; undefined when it cannot be read. */
export async function hashFile(path: string): Promise<Written | undefined> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of readChunks(path)) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  } catch {
    return undefined;
  }
  return { bytes, sha256: hash.digest('hex') };
}
