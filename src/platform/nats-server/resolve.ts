import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fetchWithApt } from './apt.ts';
import { addToCache, findCached } from './cache.ts';
import { ServerNotFound, ServerTooOld } from './errors.ts';
import { fetchReleaseArchive } from './release-archive.ts';
import { isAtLeast, MINIMUM_VERSION, readVersion, type ServerBinary } from './version.ts';

/** Where a server program came from. */
export type ServerSource = 'config' | 'path' | 'cache' | 'debian' | 'release';

/** A usable nats-server program. */
export interface ResolvedServer extends ServerBinary {
  readonly source: ServerSource;
}

/** Where to look for a server and where to keep a fetched one. */
export interface ResolveOptions {
  /** Path of the program, from the configuration; when given, nothing else is tried. */
  readonly explicit?: string | undefined;
  /** Folder of fetched servers; made when missing. */
  readonly cacheDir: string;
  /** Gets a line now and then while something is fetched, at least every two seconds. */
  readonly onProgress?: (line: string) => void;
  /** What `PATH` holds; this process's unless given. */
  readonly searchPath?: string;
  /** How to fetch a server, in this order; Debian's package and then the official archive unless given. */
  readonly fetchers?: readonly Fetcher[];
}

/** One way to fetch a server program into a scratch folder; answers the program's path. */
export interface Fetcher {
  readonly source: ServerSource;
  readonly title: string;
  fetch(scratch: string, onProgress: (line: string) => void): Promise<string>;
}
