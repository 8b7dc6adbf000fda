import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { access, mkdir, readdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { runCommand } from './version.ts';

/** Where a server program came from. */
export type ServerSource = 'config' | 'path' | 'cache' | 'debian' | 'release';

/** One way to fetch a server program. */
export interface Fetcher {
  readonly source: ServerSource;
  /** How it is called in messages. */
  readonly title: string;
  /**
   * Fetches and verifies the program and answers its path.
   *
   * @param scratch    an empty folder that is removed afterwards
   * @param onProgress gets one line at a time, as often as there is news
   * @throws `Error` with the reason, one line
   */
  fetch(scratch: string, onProgress: (line: string) => void): Promise<string>;
}

/** Bounds of one download, in milliseconds. */
export interface DownloadBounds {
  /** Until the first byte of the body, redirects included. */
  readonly firstByteMs: number;
  /** Between two pieces of the body. */
  readonly idleMs: number;
  readonly totalMs: number;
}

const BOUNDS: DownloadBounds = { firstByteMs: 10_000, idleMs: 10_000, totalMs: 120_000 };

/**
 * Downloads `url` into `file`.
 *
 * @param onBytes gets how far it is, such as `3.1 of 6.2 MB`, with each piece
 * @throws `Error` with the reason, one line
 */
export async function download(
  url: string,
  file: string,
  onBytes: (progress: string) => void,
  bounds: DownloadBounds = BOUNDS,
): Promise<void> {
  const limit = new AbortController();
  const total = setTimeout(() => limit.abort(tooSlow('not complete', bounds.totalMs)), bounds.totalMs);
  let silence = setTimeout(() => limit.abort(tooSlow('no answer', bounds.firstByteMs)), bounds.firstByteMs);
  const restartSilence = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => limit.abort(tooSlow('nothing more', bounds.idleMs)), bounds.idleMs);
  };
  try {
    const response = await fetch(url, { signal: limit.signal });
    if (!response.ok || response.body === null) throw new Error(`answer ${response.status}`);
    const size = Number(response.headers.get('content-length') ?? 0);
    let received = 0;
    const counted = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        restartSilence();
        received += chunk.length;
        onBytes(describe(received, size));
        yield chunk;
      }
    };
    await pipeline(Readable.fromWeb(response.body), counted, createWriteStream(file), {
      signal: limit.signal,
    });
  } catch (error) {
    throw new Error(reasonOf(limit.signal.aborted ? limit.signal.reason : error), { cause: error });
  } finally {
    clearTimeout(total);
    clearTimeout(silence);
  }
}

function tooSlow(what: string, milliseconds: number): Error {
  return new Error(`${what} within ${milliseconds / 1_000} s`);
}

function describe(received: number, size: number): string {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
  return size > 0 ? `${megabytes(received)} of ${megabytes(size)} MB` : `${megabytes(received)} MB`;
}

// `fetch failed` says nothing; what it wraps does.
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.message === 'fetch failed'
    ? error.cause.message
    : error.message;
}

/** An archive of an official release, with the one content that is accepted. */
export interface ReleaseArchive {
  readonly url: string;
  /** SHA-256 of the archive, in hex. */
  readonly sha256: string;
}

const VERSION = 'v2.14.5';
const SHA256: Readonly<Record<string, string>> = {
  'linux-amd64': '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355',
  'linux-arm64': '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c',
};
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const UNPACK_TIMEOUT_MS = 30_000;

/** The official archive for a platform and processor (as in `process.platform`, `process.arch`), if its content is pinned here. */
export function officialArchive(platform: string, arch: string): ReleaseArchive | undefined {
  const target = `${platform}-${ARCHITECTURES[arch] ?? arch}`;
  const sha256 = SHA256[target];
  if (sha256 === undefined) return undefined;
  const folder = `https://github.com/nats-io/nats-server/releases/download/${VERSION}`;
  return { url: `${folder}/nats-server-${VERSION}-${target}.tar.gz`, sha256 };
}

/** Fetches the server from an archive, which is unpacked only when its content is exactly the pinned one. */
export function releaseFetcher(archive: ReleaseArchive | undefined): Fetcher {
  return {
    source: 'release',
    title: 'official release archive',
    fetch: async (scratch, onProgress) => {
      if (archive === undefined) {
        throw new Error(`no archive is pinned for ${process.platform} on ${process.arch}`);
      }
      const file = join(scratch, 'release.tar.gz');
      await download(archive.url, file, (bytes) => onProgress(`downloading the archive: ${bytes}`));
      const sha256 = await sha256Of(file);
      if (sha256 !== archive.sha256) {
        throw new Error(
          `the archive is not the expected one (sha256 ${sha256} instead of ${archive.sha256})`,
        );
      }
      const args = ['-xzf', file, '--strip-components=1', '-C', scratch];
      await runCommand('tar', args, { timeoutMs: UNPACK_TIMEOUT_MS });
      return join(scratch, 'nats-server');
    },
  };
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** The Debian release that carries a server new enough; its package runs on older releases too (libc 2.34 and later). */
const RELEASE = 'forky';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const LIST_TIMEOUT_MS = 10_000;
const UPDATE_TIMEOUT_MS = 90_000;
const DOWNLOAD_TIMEOUT_MS = 90_000;

/**
 * Fetches Debian's package of nats-server with the machine's own apt, its mirror and its archive keys.
 * Needs no root and leaves the system as it was: sources, lists, caches and preferences are all private.
 */
export const debianFetcher: Fetcher = {
  source: 'debian',
  title: `Debian ${RELEASE}`,
  fetch: async (scratch, onProgress) => {
    if (process.platform !== 'linux') throw new Error('only on Debian and its like');
    await access(KEYRING).catch(() => {
      throw new Error(`no Debian archive keys on this machine (${KEYRING})`);
    });
    onProgress('reading the package list');
    const apt = await privateApt(scratch, await debianMirror());
    const percent = (step: string) => (status: string) => reportPercent(status, step, onProgress);
    const reading = { timeoutMs: UPDATE_TIMEOUT_MS, onStatus: percent('reading the package list') };
    await runCommand('apt-get', [...apt, 'update'], reading);
    onProgress('downloading nats-server');
    const loading = {
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
      cwd: scratch,
      onStatus: percent('downloading nats-server'),
    };
    await runCommand('apt-get', [...apt, 'download', 'nats-server'], loading);
    return unpack(scratch);
  },
};

async function unpack(scratch: string): Promise<string> {
  const archive = (await readdir(scratch)).find((name) => /^nats-server_.*\.deb$/.test(name));
  if (archive === undefined) throw new Error('apt-get brought no package');
  const root = join(scratch, 'root');
  await runCommand('dpkg-deb', ['-x', join(scratch, archive), root], { timeoutMs: UNPACK_TIMEOUT_MS });
  return join(root, 'usr', 'sbin', 'nats-server');
}

/** The mirror that this machine's own apt uses. */
export async function debianMirror(): Promise<string> {
  const { stdout } = await runCommand(
    'apt-get',
    ['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages'],
    { timeoutMs: LIST_TIMEOUT_MS },
  );
  return pickMirror(stdout);
}

/**
 * The mirror of Debian's main archive among the lines `<uri> <release>` that `apt-get indextargets` prints.
 *
 * @throws `Error` when no line names one
 */
export function pickMirror(indexTargets: string): string {
  const candidates = indexTargets
    .split('\n')
    .map((line) => line.trim().split(' '))
    .filter(
      ([uri, release]) =>
        uri !== undefined && uri !== '' && !/security|updates|backports/.test(release ?? ''),
    )
    .map(([uri]) => uri ?? '');
  const mirror = candidates.find((uri) => /\/debian\/?$/.test(uri)) ?? candidates[0];
  if (mirror === undefined) throw new Error('apt knows no Debian mirror');
  return mirror;
}

/**
 * Arguments that make apt-get read one release from the mirror into the scratch folder, with Debian's own keys, and
 * nothing of this machine's state.
 */
export async function privateApt(
  scratch: string,
  mirror: string,
  release = RELEASE,
): Promise<readonly string[]> {
  const inScratch = (...parts: string[]): string => join(scratch, 'apt', ...parts);
  for (const folder of ['parts', 'preferences', 'lists/partial', 'cache/archives/partial']) {
    await mkdir(inScratch(folder), { recursive: true });
  }
  await writeFile(inScratch('sources.list'), `deb [signed-by=${KEYRING}] ${mirror} ${release} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': inScratch('sources.list'),
    'Dir::Etc::sourceparts': inScratch('parts'),
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': inScratch('preferences'),
    'Dir::State::lists': inScratch('lists'),
    'Dir::Cache': inScratch('cache'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '10',
    'Acquire::https::Timeout': '10',
    'APT::Sandbox::User': userInfo().username,
    'APT::Status-Fd': '3',
    'Debug::NoLocking': '1',
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
}

// apt's status lines read `dlstatus:<n>:<percent>:<text>`.
function reportPercent(status: string, step: string, onProgress: (line: string) => void): void {
  const percent = /dlstatus:\d+:([\d.]+):/.exec(status)?.[1];
  if (percent !== undefined) onProgress(`${step}: ${Math.round(Number(percent))} %`);
}
