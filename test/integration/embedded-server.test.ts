import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { access, chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { readAddresses } from '../../src/platform/nats-connection.ts';
import {
  type EmbeddedServerOptions,
  findRunningServer,
  startEmbeddedServer,
} from '../../src/platform/nats-server/embedded.ts';
import {
  DataFolderInUse,
  PortTaken,
  ServerStartFailed,
  ServerTooOld,
} from '../../src/platform/nats-server/errors.ts';
import { isAlive } from '../../src/platform/nats-server/process.ts';
import { openNats } from '../../src/service/open.ts';
import { startTestServer, testServerBinary } from '../../src/testing/nats-server.ts';
import { testProgram } from '../support/service-build.ts';

const CHILD = new URL('../support/embedded-server-child.ts', import.meta.url);
const BOUND_MS = 15_000;

let dataDir: string;
let children: ChildProcess[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'jetledger-embedded-'));
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await until(async () => (await findRunningServer(dataDir)) === undefined);
  await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

async function start(options: Partial<EmbeddedServerOptions> = {}) {
  const server = await startEmbeddedServer({
    binary: await testServerBinary(),
    dataDir,
    port: -1,
    syncAlways: false,
    ...options,
  });
  return { ...server, [Symbol.asyncDispose]: server.stop };
}

/** Starts a process that starts a server, and waits until it says that the server is ready. */
async function startChild() {
  const child = spawn(process.execPath, [await testProgram(CHILD), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async () => JSON.parse((await lines.next()).value ?? '{}') as Record<string, unknown>;
  const { pid, url, error } = await nextLine();
  return { child, nextLine, serverPid: Number(pid), url: String(url), error };
}

/** Ends the guard of a server and the guard's watcher, so that nothing ends the server with its service. */
function orphan(serverPid: number): void {
  const statusOf = (pid: number) => readFileSync(`/proc/${pid}/status`, 'utf8');
  const guard = Number(/^PPid:\t(\d+)/m.exec(statusOf(serverPid))?.[1]);
  const children = readFileSync(`/proc/${guard}/task/${guard}/children`, 'utf8').trim().split(' ');
  const watching = [guard, ...children.map(Number)].filter((pid) => pid !== serverPid);
  // Stopped first: one that still runs would see the other die, and end the server.
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) for (const pid of watching) process.kill(pid, signal);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + BOUND_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not so within ${BOUND_MS} ms`);
    await delay(20);
  }
}

/** A connection as the user that the address names. */
function clientOf(url: string): Promise<NatsConnection> {
  const { servers, logins } = readAddresses(url);
  return connect({ ...logins[0], servers: [...servers] });
}

async function store(url: string, text: string): Promise<void> {
  const connection = await clientOf(url);
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'kept', subjects: ['kept.*'] });
  await jetstream(connection).publish('kept.a', text);
  await connection.close();
}

async function stored(url: string): Promise<string | undefined> {
  const connection = await clientOf(url);
  const manager = await jetstreamManager(connection);
  const message = await manager.streams.getMessage('kept', { last_by_subj: 'kept.a' });
  await connection.close();
  return message?.string();
}

async function reason(attempt: Promise<AsyncDisposable>): Promise<Error> {
  try {
    await using unexpected = await attempt;
    throw new Error(`started: ${JSON.stringify(unexpected)}`);
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

describe('the embedded server', { timeout: 30_000 }, () => {
  it('keeps its data from one start to the next', async () => {
    {
      await using first = await start();
      await store(first.url, 'still here');
    }
    await using second = await start();
    expect(await stored(second.url)).toBe('still here');
  });

  it('listens on loopback only, for clients and for monitoring', async () => {
    await using server = await start();
    expect(new URL(server.url).hostname).toBe('127.0.0.1');
    expect(new URL(server.monitorUrl).hostname).toBe('127.0.0.1');
    const answer = await fetch(`${server.monitorUrl}/varz`);
    expect(await answer.json()).toMatchObject({ host: '127.0.0.1', http_host: '127.0.0.1' });
  });

  it('syncs every write before it is acknowledged when asked to', async () => {
    await using server = await start({ syncAlways: true });
    const answer = await fetch(`${server.monitorUrl}/varz`);
    expect(await answer.json()).toMatchObject({ jetstream: { config: { sync_always: true } } });
  });

  it('takes further configuration over its own', async () => {
    await using server = await start({
      serverName: 'n1',
      extraConfig: { jetstream: { max_file_store: 1e9 } },
    });
    const answer = await fetch(`${server.monitorUrl}/varz`);
    const config = { max_storage: 1e9, store_dir: join(dataDir, 'data', 'jetstream') };
    expect(await answer.json()).toMatchObject({ server_name: 'n1', jetstream: { config } });
  });

  it('stops cleanly: the process is gone, the folder is free, and stopping again does nothing', async () => {
    const server = await start();
    await server.stop();
    await server.stop();
    expect(isAlive(server.pid)).toBe(false);
    expect(await readFile(join(dataDir, 'nats-server.log'), 'utf8')).toContain('Server Exiting');
    await expect(access(join(dataDir, 'server.json'))).rejects.toThrow('ENOENT');
    expect(await findRunningServer(dataDir)).toBeUndefined();
  });

  it('can be found by other commands while it runs', async () => {
    await using server = await start();
    const { url, monitorUrl, pid } = server;
    expect(await findRunningServer(dataDir)).toEqual({ url, monitorUrl, pid });
  });

  it('is not found any more after it was killed, though its note is still there', async () => {
    await using server = await start();
    server.kill('SIGKILL');
    await server.exited;
    await access(join(dataDir, 'server.json'));
    expect(await findRunningServer(dataDir)).toBeUndefined();
    expect(server.kill('SIGTERM')).toBe(false);
  });

  it('loses nothing that was acknowledged when the server gets SIGKILL', async () => {
    await using server = await startTestServer();
    await store(server.url, 'acknowledged');
    await server.kill9();
    expect(isAlive(server.pid())).toBe(false);
    await server.restart();
    expect(await stored(server.url)).toBe('acknowledged');
  });
});

/** What a server answers to a client that sends `lines` without logging in, until it closes the connection. */
async function answerTo(url: string, lines: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = dial(Number(port), hostname);
  let answer = '';
  socket.on('data', (bytes) => {
    answer += bytes.toString();
  });
  socket.write(lines.map((line) => `${line}\r\n`).join(''));
  await once(socket, 'close');
  return answer.split('\r\n').slice(1).join(' ').trim();
}

async function modeOf(name: string): Promise<string> {
  return ((await stat(join(dataDir, name))).mode & 0o777).toString(8);
}

/** The configuration of a service or command on the folder. */
async function configOfFolder() {
  return loadConfig({
    env: {
      JETLEDGER_ENV: 'test',
      JETLEDGER_NATS__EMBEDDED__DATA_DIR: dataDir,
      JETLEDGER_NATS__EMBEDDED__BINARY: (await testServerBinary()).path,
    },
    dir: configDir({}),
  });
}

describe('who may use the embedded server', { timeout: 30_000 }, () => {
  it('nobody without its password: neither publish nor read nor any call of the JetStream API', async () => {
    await using server = await start();
    await store(server.url, 'mine');
    const { host } = new URL(server.url);
    await expect(connect({ servers: host })).rejects.toThrow(/Authorization Violation/);
    const wrong = connect({ servers: host, user: 'jetledger', pass: 'x', token: 'x' });
    await expect(wrong).rejects.toThrow(/Authorization Violation/);
    const attempts = [
      ['PUB kept.a 5', 'yours'],
      ['SUB > 1'],
      ['SUB _INBOX.x 1', 'PUB $JS.API.STREAM.MSG.GET.kept _INBOX.x 25', '{"last_by_subj":"kept.a"}'],
      ['PUB $JS.API.STREAM.DELETE.kept 0', ''],
    ];
    for (const lines of attempts) {
      for (const first of ['CONNECT {}', 'CONNECT {"user":"jetledger","pass":""}', undefined]) {
        const sent = first === undefined ? lines : [first, ...lines];
        expect(await answerTo(server.url, sent)).toMatch(/^-ERR 'Authorization Violation'/);
      }
    }
    expect(await stored(server.url)).toBe('mine');
  });

  it('it has another password after each start; only its user can read the files that hold it', async () => {
    const first = await start();
    await first.stop();
    await chmod(join(dataDir, 'nats-server.conf'), 0o644);
    await using second = await start();
    const password = new URL(second.url).password;
    expect(password).toMatch(/^[0-9a-f]{64}$/);
    expect(password).not.toBe(new URL(first.url).password);
    const names = (await readdir(dataDir)).filter((name) => !['data', 'ports'].includes(name));
    const holding = await Promise.all(
      names.map(async (name) =>
        (await readFile(join(dataDir, name), 'utf8')).includes(password) ? [name, await modeOf(name)] : [],
      ),
    );
    expect(holding.filter(({ length }) => length > 0)).toEqual([
      ['nats-server.conf', '600'],
      ['server.json', '600'],
    ]);
    expect(await modeOf('.')).toBe('700');
    expect(await modeOf('data')).toBe('700');
  });

  it('a command on the same folder joins it, and so does one beside a server whose service is gone', async () => {
    const config = await configOfFolder();
    const { child, serverPid } = await startChild();
    const joins = async (): Promise<boolean> => {
      const nats = await openNats(config, 'bare');
      await nats.connection.flush();
      await nats.close();
      return nats.embedded === undefined;
    };
    expect(await joins()).toBe(true);
    orphan(serverPid);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await joins()).toBe(true);
    process.kill(serverPid, 'SIGTERM');
    await until(() => !isAlive(serverPid));
    await using again = await start();
    expect(again.pid).not.toBe(serverPid);
    expect(await joins()).toBe(true);
  });

  it('a server that an older build has started without a login is joined as before', async () => {
    await using old = await start({ password: '' });
    const { url, monitorUrl, pid } = old;
    expect(url).not.toContain('@');
    await writeFile(join(dataDir, 'server.json'), JSON.stringify({ url, monitorUrl, pid }));
    const nats = await openNats(await configOfFolder(), 'bare');
    expect(nats.connection.info?.auth_required).toBeUndefined();
    expect(nats.embedded).toBeUndefined();
    await nats.close();
  });
});

describe('a data folder', { timeout: 30_000 }, () => {
  it('in use by this process is refused', async () => {
    await using _running = await start();
    expect(await reason(start())).toBeInstanceOf(DataFolderInUse);
  });

  it('in use by another process is refused in one line that names the process and what to do', async () => {
    const { child, url } = await startChild();
    const error = await reason(start());
    expect(error).toBeInstanceOf(DataFolderInUse);
    expect(error.message).toContain(`in use by process ${child.pid}`);
    expect(error.message).toContain('nats.embedded.dataDir');
    expect(error.message).not.toContain('\n');
    expect((await findRunningServer(dataDir))?.url).toBe(url);
  });

  it('of a process that got SIGKILL is taken over, and no server is left behind', async () => {
    const { child, serverPid, url } = await startChild();
    await store(url, 'from the killed one');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await using server = await start();
    expect(isAlive(serverPid)).toBe(false);
    expect(await stored(server.url)).toBe('from the killed one');
  });

  it('is given to exactly one of several that start at once', async () => {
    const contenders = await Promise.all([startChild(), startChild(), startChild(), startChild()]);
    const refusals = contenders.map(({ error }) => error).filter((error) => error !== undefined);
    expect(refusals).toEqual(Array(3).fill('data-folder-in-use'));
  });
});

describe('a killed or interrupted service', { timeout: 30_000 }, () => {
  it('leaves no orphan after SIGKILL', async () => {
    const { child, serverPid } = await startChild();
    expect(isAlive(serverPid)).toBe(true);
    child.kill('SIGKILL');
    await until(() => !isAlive(serverPid));
  });

  it('leaves no orphan after SIGKILL even when the server is stopped and cannot end gently', async () => {
    const { child, serverPid } = await startChild();
    process.kill(serverPid, 'SIGSTOP');
    child.kill('SIGKILL');
    await until(() => !isAlive(serverPid));
  });

  it('still has its server when Ctrl-C arrives, and ends it itself', async () => {
    const { child, nextLine, serverPid } = await startChild();
    process.kill(-Number(child.pid), 'SIGINT');
    expect(await nextLine()).toEqual({ answersAtInterrupt: true });
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(isAlive(serverPid)).toBe(false);
  });
});

describe('a server that cannot start', { timeout: 30_000 }, () => {
  it('because its port is taken says so in one line, and leaves the folder free', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const address = squatter.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const error = await reason(start({ port }));
    squatter.close();
    await once(squatter, 'close');
    expect(error).toBeInstanceOf(PortTaken);
    expect(error.message).toMatch(new RegExp(`^port ${port} .*nats\\.embedded\\.port.*$`));
    await using server = await start({ port });
    expect(new URL(server.url).port).toBe(String(port));
  });

  it('because it is too old is refused before it touches the data', async () => {
    const binary = { path: '/usr/sbin/nats-server', version: '2.10.27' };
    const error = await reason(start({ binary }));
    expect(error).toBeInstanceOf(ServerTooOld);
    expect(error.message).toContain('2.12.0 or later is needed');
    await expect(access(join(dataDir, 'data'))).rejects.toThrow('ENOENT');
  });

  it('because of its configuration shows the end of its log', async () => {
    const error = await reason(start({ extraConfig: { no_such_field: true } }));
    expect(error).toBeInstanceOf(ServerStartFailed);
    expect(error.message).toContain('no_such_field');
  });

  it('in time is ended, and its log is shown', async () => {
    const error = await reason(start({ healthPath: '/no-such-page', readyTimeoutMs: 500 }));
    expect(error).toBeInstanceOf(ServerStartFailed);
    expect(error.message).toContain('was not ready within 0.5 s');
    expect(error.message).toContain('Server is ready');
    await using server = await start();
    expect(isAlive(server.pid)).toBe(true);
  });
});
