import { access, mkdir, readdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Fetcher } from './fetcher.ts';
import { runCommand } from './run-command.ts';

/** The Debian release that carries a server new enough; its package runs on older releases too (libc 2.34 and later). */
const RELEASE = 'forky';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const LIST_TIMEOUT_MS = 10_000;
const UPDATE_TIMEOUT_MS = 90_000;
const DOWNLOAD_TIMEOUT_MS = 90_000;
const UNPACK_TIMEOUT_MS = 30_000;

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
