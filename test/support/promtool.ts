import { access, chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { debianMirror, privateApt } from '../../src/platform/nats-server/sources.ts';
import { runCommand } from '../../src/platform/nats-server/version.ts';

/** Where promtool is, or why there is none. */
export type FoundPromtool =
  | { readonly path: string; readonly missing?: undefined }
  | { readonly path?: undefined; readonly missing: string };

const CACHE_DIR = fileURLToPath(new URL('../../.jetledger/prometheus', import.meta.url));
/** The Debian release whose package runs on it and everything later. */
const RELEASE = 'bookworm';
const TIMEOUT_MS = 120_000;

/**
 * Prometheus' own tool: from PATH, else out of Debian's package, fetched and checked by apt into the project's cache
 * without root, as nats-server is. Never throws.
 */
export async function findPromtool(): Promise<FoundPromtool> {
  const cached = join(CACHE_DIR, 'promtool');
  for (const path of [
    ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'promtool')),
    cached,
  ]) {
    if (await runs(path)) return { path };
  }
  try {
    await fetchPromtool(cached);
    return { path: cached };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

async function fetchPromtool(target: string): Promise<void> {
  if (process.platform !== 'linux') throw new Error('promtool is not on PATH and not fetched on this system');
  await mkdir(CACHE_DIR, { recursive: true });
  const scratch = await mkdtemp(join(CACHE_DIR, '.fetching-'));
  try {
    const apt = await privateApt(scratch, await debianMirror(), RELEASE);
    await runCommand('apt-get', [...apt, 'update'], { timeoutMs: TIMEOUT_MS });
    await runCommand('apt-get', [...apt, 'download', 'prometheus'], { timeoutMs: TIMEOUT_MS, cwd: scratch });
    const archive = (await readdir(scratch)).find((name) => /^prometheus_.*\.deb$/.test(name));
    if (archive === undefined) throw new Error('apt-get brought no package');
    const root = join(scratch, 'root');
    await runCommand('dpkg-deb', ['-x', join(scratch, archive), root], { timeoutMs: TIMEOUT_MS });
    const program = join(root, 'usr', 'bin', 'promtool');
    if (!(await runs(program))) throw new Error("the package's promtool does not run here");
    await chmod(program, 0o755);
    // Whole or not at all, since several test files may do this at once.
    await rename(program, target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function runs(path: string): Promise<boolean> {
  try {
    await access(path);
    await runCommand(path, ['--version'], { timeoutMs: 10_000 });
    return true;
  } catch {
    return false;
  }
}
