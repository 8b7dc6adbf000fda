import { randomBytes } from 'node:crypto';
import { access, constants, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { reasonOf } from '../../eventstore/index.ts';
import { readEnvironment } from '../config/environment.ts';
import { ServerNotFound, ServerTooOld } from './errors.ts';
import {
  debianFetcher,
  type Fetcher,
  officialArchive,
  releaseFetcher,
  type ServerSource,
} from './sources.ts';
import { compareVersions, isAtLeast, MINIMUM_VERSION, readVersion, type ServerBinary } from './version.ts';

const REPEAT_MS = 2_000;

/** Passes news on at a readable pace, and repeats the last line with the time gone by when there is none. */
export interface Progress {
  report(line: string): void;
  /** Ends the repeating. */
  stop(): void;
}

/**
 * A line at once when the topic changes, else every two seconds at most and at least.
 *
 * @param print gets each line
 * @param title put before each line
 */
export function pacedProgress(print: (line: string) => void, title: string): Progress {
  const startedAt = Date.now();
  let lastLine = '';
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    print(`${title}: ${lastLine} (${seconds} s)`);
  }, REPEAT_MS);
  return {
    report: (line) => {
      const sameTopic = topicOf(line) === topicOf(lastLine);
      lastLine = line;
      if (!sameTopic) print(`${title}: ${line}`);
    },
    stop: () => clearInterval(timer),
  };
}

// `downloading x: 3.1 of 6.2 MB` and `downloading x: 4.0 of 6.2 MB` are one topic.
function topicOf(line: string): string {
  return line.split(': ')[0] ?? '';
}

const PROGRAM = 'nats-server';
const VERSION_FOLDER = /^\d+\.\d+\.\d+$/;
const TEMPORARY = '.unpacking-';
const ABANDONED_AFTER_MS = 60 * 60 * 1_000;

/** The newest usable server in the cache; undefined when there is none. */
export async function findCached(cacheDir: string): Promise<ServerBinary | undefined> {
  const folders = (await readdir(cacheDir).catch(() => []))
    .filter((name) => VERSION_FOLDER.test(name) && isAtLeast(name, MINIMUM_VERSION))
    .sort((a, b) => compareVersions(b, a));
  for (const folder of folders) {
    const path = join(cacheDir, folder, PROGRAM);
    const version = await readVersion(path).catch(() => undefined);
    if (version !== undefined && isAtLeast(version, MINIMUM_VERSION)) return { path, version };
  }
  return undefined;
}

/**
 * Lets `fetch` put a server program somewhere into a scratch folder and moves it into the cache in one step, so that
 * processes that do this at the same time never see half a program: the first one wins, the others use its copy.
 *
 * @param fetch gets the scratch folder and answers the path of the program in it
 * @throws whatever `fetch` throws, or an `Error` when the program does not run or is too old
 */
export async function addToCache(
  cacheDir: string,
  fetch: (scratch: string) => Promise<string>,
): Promise<ServerBinary> {
  await removeAbandoned(cacheDir);
  const scratch = join(cacheDir, `${TEMPORARY}${randomBytes(6).toString('hex')}`);
  const complete = join(scratch, 'complete');
  // Often the first to make the data folder, which is nobody else's.
  await mkdir(complete, { recursive: true, mode: 0o700 });
  try {
    const program = await fetch(scratch);
    const version = await readVersion(program);
    if (!isAtLeast(version, MINIMUM_VERSION)) {
      throw new Error(`it is version ${version}, and ${MINIMUM_VERSION} or later is needed`);
    }
    await rename(program, join(complete, PROGRAM));
    return { path: await publish(complete, join(cacheDir, version)), version };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function publish(complete: string, target: string): Promise<string> {
  const path = join(target, PROGRAM);
  try {
    await rename(complete, target);
  } catch (error) {
    // A folder that is there and not empty: another process was faster.
    await access(path).catch(() => {
      throw error;
    });
  }
  return path;
}

async function removeAbandoned(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir).catch(() => [])) {
    if (!name.startsWith(TEMPORARY)) continue;
    const path = join(cacheDir, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}

/** A usable nats-server program. */
export interface ResolvedServer extends ServerBinary {
  readonly source: ServerSource;
}

/** Where to look for a server and where to keep a fetched one. */
export interface ResolveOptions {
  /** Path of the program, from the configuration; when given and not empty, nothing else is tried. */
  readonly explicit?: string | undefined;
  /** Folder of fetched servers; made when missing. */
  readonly cacheDir: string;
  /** Gets a line at a time while something is fetched, at least every two seconds. */
  readonly onProgress?: (line: string) => void;
  /** Folders to search, as in `PATH`; this process's `PATH` and the usual sbin folders unless given. */
  readonly searchPath?: string;
  /** How to fetch a server, in this order; Debian's package and then the official archive unless given. */
  readonly fetchers?: readonly Fetcher[];
}

interface Attempt {
  readonly where: string;
  readonly reason: string;
}

const SBIN_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/sbin', '/opt/homebrew/bin'];

/**
 * Finds a nats-server that is new enough: the configured one, else on the search path, else in the cache, else fetched
 * into the cache. Safe to call from several processes at once.
 *
 * @throws ServerTooOld when the configured one is too old
 * @throws ServerNotFound when there is none; its message lists every attempt and how to install by hand
 */
export async function resolveNatsServer(options: ResolveOptions): Promise<ResolvedServer> {
  if (options.explicit !== undefined && options.explicit !== '') return resolveExplicit(options.explicit);
  const attempts: Attempt[] = [];
  const onPath = await findOnPath(options.searchPath ?? defaultSearchPath(), attempts);
  if (onPath !== undefined) return { ...onPath, source: 'path' };
  const cached = await findCached(options.cacheDir);
  if (cached !== undefined) return { ...cached, source: 'cache' };
  attempts.push({ where: `cache ${options.cacheDir}`, reason: 'holds none' });
  for (const fetcher of options.fetchers ?? [debianFetcher, defaultReleaseFetcher()]) {
    const fetched = await tryFetch(fetcher, options, attempts);
    if (fetched !== undefined) return { ...fetched, source: fetcher.source };
  }
  throw new ServerNotFound(describeAttempts(attempts));
}

async function resolveExplicit(path: string): Promise<ResolvedServer> {
  const version = await readVersion(path).catch((error: unknown) => {
    throw new ServerNotFound(
      `nats.embedded.binary (JETLEDGER_NATS__EMBEDDED__BINARY) names ${path}, which cannot be used: ${reasonOf(error)}`,
    );
  });
  if (!isAtLeast(version, MINIMUM_VERSION)) throw new ServerTooOld(path, version, MINIMUM_VERSION);
  return { path, version, source: 'config' };
}

async function findOnPath(searchPath: string, attempts: Attempt[]): Promise<ServerBinary | undefined> {
  const folders = new Set(searchPath.split(delimiter).filter((folder) => folder !== ''));
  const before = attempts.length;
  for (const folder of folders) {
    const path = join(folder, 'nats-server');
    if (!(await isExecutable(path))) continue;
    try {
      const version = await readVersion(path);
      if (isAtLeast(version, MINIMUM_VERSION)) return { path, version };
      attempts.push({ where: path, reason: `is version ${version}, too old` });
    } catch (error) {
      attempts.push({ where: path, reason: reasonOf(error) });
    }
  }
  if (attempts.length === before) attempts.push({ where: 'PATH and the sbin folders', reason: 'hold none' });
  return undefined;
}

async function tryFetch(
  fetcher: Fetcher,
  options: ResolveOptions,
  attempts: Attempt[],
): Promise<ServerBinary | undefined> {
  const progress = pacedProgress(
    options.onProgress ?? (() => undefined),
    `nats-server from ${fetcher.title}`,
  );
  try {
    return await addToCache(options.cacheDir, (scratch) => fetcher.fetch(scratch, progress.report));
  } catch (error) {
    attempts.push({ where: fetcher.title, reason: reasonOf(error) });
    progress.report(`failed, ${reasonOf(error)}`);
    return undefined;
  } finally {
    progress.stop();
  }
}

function describeAttempts(attempts: readonly Attempt[]): string {
  return [
    `no nats-server ${MINIMUM_VERSION} or later was found or could be fetched:`,
    ...attempts.map(({ where, reason }) => `  - ${where}: ${reason}`),
    'Install one by hand: download it from https://github.com/nats-io/nats-server/releases, put it on your PATH or set',
    'nats.embedded.binary (JETLEDGER_NATS__EMBEDDED__BINARY) to its path; or set NATS_URL to a server that runs already.',
  ].join('\n');
}

function defaultSearchPath(): string {
  return [readEnvironment().PATH ?? '', ...SBIN_FOLDERS].join(delimiter);
}

function defaultReleaseFetcher(): Fetcher {
  return releaseFetcher(officialArchive(process.platform, process.arch));
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
