import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A PostgreSQL server with empty data of its own, on loopback. It ends with this process at the latest. */
export interface Postgres extends AsyncDisposable {
  readonly url: string;
  readonly version: string;
  /** Of the process whose descendants the server is. */
  readonly pid: number;
}

const DEBIAN = '/usr/lib/postgresql';
const READY_MS = 20_000;
/** PostgreSQL refuses to run as root: then it runs as the user `nobody`. */
const NOBODY = { uid: 65_534, gid: 65_534 };

/** The pipe closes when this process ends, however it does; then connections are ended and data is flushed. */
const GUARD = '"$0" "$@" & server=$!; cat >/dev/null; kill -INT $server; wait $server';

/**
 * Starts it as it comes.
 * @param syncs whether a commit is on disk before it is acknowledged (`synchronous_commit`)
 * @throws Error when there is none, or it does not start
 */
export async function startPostgres(syncs: boolean): Promise<Postgres> {
  const bin = await findBinaries();
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-postgres-'));
  const user = process.getuid?.() === 0 ? NOBODY : {};
  if (user === NOBODY) {
    await chown(folder, NOBODY.uid, NOBODY.gid);
    await chmod(folder, 0o700);
  }
  const data = join(folder, 'data');
  const at = { cwd: folder, ...user };
  const init = ['-D', data, '-U', 'bench', '--auth=trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
  const made = spawnSync(join(bin, 'initdb'), init, { ...at, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'on',
    synchronous_commit: syncs ? 'on' : 'off',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = ['-c', GUARD, join(bin, 'postgres'), '-D', data, ...flags];
  const server = spawn('/bin/sh', command, { ...at, stdio: ['pipe', 'ignore', 'ignore'] });
  const stop = async (): Promise<void> => {
    await stopped(server);
    await rm(folder, { recursive: true, force: true });
  };
  const url = `postgresql://bench@127.0.0.1:${port}/postgres`;
  const version = spawnSync(join(bin, 'postgres'), ['--version'], { ...at, encoding: 'utf8' }).stdout.trim();
  try {
    await ready(bin, port, server);
    return { url, version, pid: server.pid ?? 0, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function findBinaries(): Promise<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    // PATH may hold links to some of the programs only.
    const initdb = await realpath(join(folder, 'initdb')).catch(() => undefined);
    if (initdb !== undefined) return dirname(initdb);
  }
  const versions = await readdir(DEBIAN).catch(() => []);
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    if (existsSync(join(DEBIAN, version, 'bin/initdb'))) return join(DEBIAN, version, 'bin');
  }
  throw new Error(
    `There is no PostgreSQL on PATH or in ${DEBIAN}: install postgresql, or leave out --peers.`,
  );
}

async function ready(bin: string, port: number, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline && server.exitCode === null) {
    const asked = spawnSync(join(bin, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(port), '-q']);
    if (asked.status === 0) return;
    await delay(50);
  }
  throw new Error(`PostgreSQL (${dirname(bin)}) did not start within ${READY_MS} ms.`);
}

async function stopped(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.stdin?.end();
  await gone;
}

async function freePort(): Promise<number> {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const address = holder.address();
  await new Promise((resolve) => holder.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
