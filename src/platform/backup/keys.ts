import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Requests } from '../../eventstore/index.ts';
import { type BackedUpStream, BackupError, hashFile, writeHashed } from './manifest.ts';
import { snapshotStream } from './stream-copy.ts';

// A copy of the keys of persons: the stream of their bucket, and a file that says what it is. It stands apart from the
// backups of the log, so that any newer copy fits an older backup, and old copies may go while old backups stay.

const DESCRIPTION = 'keys.json';
const FORMAT = 1;

interface Description {
  readonly holds: 'keys of persons';
  readonly format: number;
  readonly stream: BackedUpStream;
}

/**
 * Copies the keys of persons, wrapped, into a new folder.
 * @throws BackupError, also once the signal has fired; Error of the file system where the folder is there already
 */
export async function copyKeys(
  requests: Requests,
  name: string,
  folder: string,
  signal: AbortSignal,
): Promise<BackedUpStream> {
  await mkdir(folder, { mode: 0o700 });
  const { config, state, chunks } = await snapshotStream(requests, name);
  const file = `${name}.snapshot`;
  const written = await writeHashed(join(folder, file), chunks, signal);
  const stream = { name, file, what: 'keys of persons, wrapped', ...written, config, state };
  const description: Description = { holds: 'keys of persons', format: FORMAT, stream };
  // Last, so that a folder without it is no copy.
  await writeHashed(join(folder, DESCRIPTION), [Buffer.from(`${JSON.stringify(description, null, 2)}\n`)]);
  return stream;
}

/** The stream of a copy, with where it lies. @throws BackupError for what is not a whole copy */
export async function readKeysCopy(folder: string): Promise<BackedUpStream> {
  const wrong = (why: string, cause?: unknown) =>
    new BackupError(`${folder} ${why}: it is no whole copy of the keys of persons.`, cause);
  const text = await readFile(join(folder, DESCRIPTION), 'utf8').catch((cause: unknown) => {
    throw wrong(`has no ${DESCRIPTION}`, cause);
  });
  let description: Description;
  try {
    description = JSON.parse(text) as Description;
  } catch (cause) {
    throw wrong('is damaged', cause);
  }
  if (description.holds !== 'keys of persons' || description.format !== FORMAT)
    throw wrong('holds something else');
  const { stream } = description;
  const now = await hashFile(join(folder, stream.file));
  if (now?.sha256 !== stream.sha256) throw wrong(`has another ${stream.file} than was written`);
  return { ...stream, folder };
}
