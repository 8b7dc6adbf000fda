import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { startService } from '../../src/service/start.ts';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { tracedConfig } from './tracing-support.ts';

/** Whether this machine lets a user mount a small disk of its own. */
const mounts =
  spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=1m tmpfs "$0"', tmpdir()]).status === 0;

/** A nats-server on a disk of 24 MB, most of which something else takes. */
class SmallDisk {
  readonly #folder: string;
  readonly #binary: string;
  readonly #ports: readonly [number, number];
  #keeper: ChildProcess | undefined;
  #server: ChildProcess | undefined;

  private constructor(folder: string, binary: string, ports: readonly [number, number]) {
    this.#folder = folder;
    this.#binary = binary;
    this.#ports = ports;
  }

  static async open(): Promise<SmallDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'jetledger-disk-'));
    const { path } = await testServerBinary();
    const disk = new SmallDisk(folder, path, [await freePort(), await freePort()]);
    const [port, monitor] = disk.#ports;
    const config = { listen: `127.0.0.1:${port}`, http: `127.0.0.1:${monitor}` };
    const jetstream = { store_dir: join(folder, 'disk', 'data'), max_file_store: 10 ** 11 };
    await writeFile(join(folder, 'nats.json'), JSON.stringify({ ...config, jetstream }));
    const mount =
      'mkdir "$0/disk" && mount -t tmpfs -o size=24m tmpfs "$0/disk" && echo ready && exec sleep 600';
    disk.#keeper = spawn('unshare', ['-rm', 'sh', '-c', mount, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(disk.#keeper.stdout as NodeJS.ReadableStream, 'data');
    disk.startServer();
    return disk;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#ports[0]}`;
  }

  get monitorUrl(): string {
    return `http://127.0.0.1:${this.#ports[1]}`;
  }

  /** Runs a command where the disk is mounted. */
  #inside(command: string, args: readonly string[]): ChildProcess {
    const target = ['-t', String(this.#keeper?.pid), '-U', '-m', '--preserve-credentials'];
    return spawn('nsenter', [...target, command, ...args], { stdio: 'ignore' });
  }

  startServer(): void {
    this.#server = this.#inside(this.#binary, ['-c', join(this.#folder, 'nats.json')]);
  }

  async stopServer(): Promise<void> {
    const ended = once(this.#server as ChildProcess, 'exit');
    this.#server?.kill('SIGTERM');
    await ended;
  }

  /** Takes all the room that is left, in small steps so that nothing stays. */
  async fill(): Promise<void> {
    await once(this.#inside('sh', ['-c', `cat /dev/zero > "${this.#folder}/disk/other"`]), 'exit');
  }

  async makeRoom(): Promise<void> {
    await once(this.#inside('rm', [`${this.#folder}/disk/other`]), 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopServer();
    this.#keeper?.kill('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

it.skipIf(!mounts)(
  'a full disk fails readiness and the doctor with the cure, which is room and a restart (needs a mount of its own: unshare)',
  async () => {
    await using disk = await SmallDisk.open();
    const config = tracedConfig(disk.url, { JETLEDGER_NATS__MONITOR_URLS: disk.monitorUrl });
    const variables = { JETLEDGER_USERS__EMAIL_KEY: 'c3'.repeat(32) };
    await until('the server answers', async () => (await fetch(`${disk.monitorUrl}/healthz`)).ok);
    expect((await runInProcess(disk, topologyCommand, ['apply'], variables)).code).toBe(0);
    const service = await startService(
      config,
      createLogger(config, { destination: { write: () => undefined } }),
      {},
    );
    const register = (n: number) => {
      const name = 'A'.repeat(80);
      return ask(service.url, 'POST', '/v1/users', { email: `a${n}@example.com`, name });
    };
    try {
      await until(
        'the service is ready',
        async () => (await ask(service.url, 'GET', '/health/ready')).status === 200,
      );
      expect((await register(0)).status).toBe(201);
      await disk.fill();
      let n = 0;
      await until('nothing can be stored', async () => (await register(++n)).status >= 500, 40_000);
      let detail = '';
      await until('readiness says so', async () => {
        const ready = await ask(service.url, 'GET', '/health/ready');
        detail = String(ready.field('checks', 'nats server', 'detail'));
        return ready.status === 503 && ready.field('checks', 'nats server', 'ok') === false;
      });
      expect(detail).toMatch(/^nothing can be stored: .*make room.*\), then restart that nats-server/);
      const { code, text } = await runInProcess(disk, doctorCommand, [], variables);
      expect([code, text]).toEqual([1, expect.stringMatching(/^health: .*no space left.* -> .*make room/)]);
      await disk.makeRoom();
      await disk.stopServer();
      disk.startServer();
      await until('it is stored again', async () => (await register(++n)).status === 201);
      await until(
        'the service is ready',
        async () => (await ask(service.url, 'GET', '/health/ready')).status === 200,
      );
    } finally {
      await service.stop();
    }
  },
);
