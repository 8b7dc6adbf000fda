import { createReadStream } from 'node:fs';
import { opendir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { reasonOf } from '../../eventstore/index.ts';
import { checkInterrupted } from '../../platform/backup/manifest.ts';
import type { Search } from './search.ts';
import type { Searched } from './streams.ts';

export interface FilesOptions {
  readonly search: Search;
  readonly signal: AbortSignal;
  /** Told of each file, with how many bytes were looked through by now. */
  readonly onFile: (path: string) => void;
}

/** What a search of a folder or file came to. */
export interface SearchedFiles extends Searched {
  readonly unsearched: readonly string[];
  /** In how many of its places a witness was. */
  readonly witnessed: number;
}

const CHUNK_BYTES = 1024 * 1024;
const ZIPPED = /\.gz$/i;
/** Compressed in ways that are not undone here. */
const PACKED = /\.(zst|xz|bz2|lz4|zip|7z|br)$/i;

/** Looks through a file, or through all files below a folder, their names too; what ends with `.gz` is unpacked. */
export async function searchFiles(path: string, options: FilesOptions): Promise<SearchedFiles> {
  const { search } = options;
  const [before, witnesses] = [search.bytes, search.witnessed()];
  const unsearched: string[] = [];
  let count = 0;
  for await (const file of filesBelow(path, unsearched)) {
    checkInterrupted(options.signal);
    options.onFile(file);
    if (await searchFile(file, options, unsearched)) count++;
  }
  const [bytes, witnessed] = [search.bytes - before, search.witnessed() - witnesses];
  return { name: path, unit: 'files', count, bytes, unsearched, witnessed };
}

/** Links are followed to files only, so that nothing is walked in a circle. */
async function* filesBelow(path: string, unsearched: string[]): AsyncGenerator<string> {
  try {
    const found = await stat(path);
    if (found.isFile()) yield path;
    if (!found.isDirectory()) return;
    for await (const entry of await opendir(path)) {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) yield* filesBelow(inner, unsearched);
      else if (entry.isFile() || (await isFile(entry.isSymbolicLink(), inner))) yield inner;
    }
  } catch (error) {
    unsearched.push(`${path}: ${reasonOf(error)}`);
  }
}

async function isFile(isLink: boolean, path: string): Promise<boolean> {
  return (
    isLink && (await stat(await realpath(path).catch(() => path)).catch(() => undefined))?.isFile() === true
  );
}

async function searchFile(
  path: string,
  { search, signal }: FilesOptions,
  unsearched: string[],
): Promise<boolean> {
  search.enter(() => `the name of the file ${path}`).look(Buffer.from(path));
  const place = search.enter(() => `the file ${path}`);
  try {
    const source = createReadStream(path, { highWaterMark: CHUNK_BYTES });
    const chunks = ZIPPED.test(path) ? source.pipe(createGunzip()) : source;
    source.once('error', (error) => chunks.destroy(error));
    for await (const chunk of chunks) {
      checkInterrupted(signal);
      place.look(chunk as Uint8Array);
    }
    if (PACKED.test(path)) unsearched.push(`${path}: unpack it first`);
    return true;
  } catch (error) {
    checkInterrupted(signal);
    // A server removes files while it is searched.
    if (!isGone(error)) unsearched.push(`${path}: ${reasonOf(error)}`);
    return false;
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';
