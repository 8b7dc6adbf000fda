import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServerNotFound, ServerTooOld } from '../../../src/platform/nats-server/errors.ts';
import { type ResolveOptions, resolveNatsServer } from '../../../src/platform/nats-server/resolve.ts';
import {
  download,
  type Fetcher,
  officialArchive,
  pickMirror,
  releaseFetcher,
} from '../../../src/platform/nats-server/sources.ts';
import { isAtLeast, parseVersion, runCommand } from '../../../src/platform/nats-server/version.ts';

let folder: string;
let cacheDir: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-resolve-'));
  cacheDir = join(folder, 'cache');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Makes a program that answers `-v` as nats-server of that version does. */
async function program(version: string, ...path: string[]): Promise<string> {
  const file = join(folder, ...path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(file, 0o755);
  return file;
}

function fetcherOf(fetch: Fetcher['fetch'], title = 'somewhere'): Fetcher {
  return { source: 'debian', title, fetch };
}

function failing(title: string, reason: string): Fetcher {
  return fetcherOf(() => Promise.reject(new Error(reason)), title);
}

function resolve(options: Partial<ResolveOptions>) {
  return resolveNatsServer({ cacheDir, searchPath: '', fetchers: [], ...options });
}

async function serve(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${port}/archive.tar.gz`, [Symbol.asyncDispose]: close };
}

describe('resolveNatsServer', () => {
  it('takes the configured program and looks no further', async () => {
    const explicit = await program('2.12.3', 'mine');
    const searchPath = dirname(await program('2.15.1', 'bin', 'nats-server'));
    expect(await resolve({ explicit, searchPath })).toEqual({
      path: explicit,
      version: '2.12.3',
      source: 'config',
    });
  });

  it('refuses a configured program that is too old, missing or something else', async () => {
    const old = await program('2.10.27', 'old');
    await expect(resolve({ explicit: old })).rejects.toThrow(ServerTooOld);
    await expect(resolve({ explicit: join(folder, 'none') })).rejects.toThrow(/nats\.embedded\.binary/);
    await expect(resolve({ explicit: '/bin/echo' })).rejects.toThrow(/not that of a nats-server/);
  });

  it('passes over one that is too old on the search path', async () => {
    const old = dirname(await program('2.10.27', 'a', 'nats-server'));
    const path = await program('2.12.0', 'b', 'nats-server');
    const found = await resolve({ searchPath: `${old}:${join(folder, 'none')}:${dirname(path)}` });
    expect(found).toEqual({ path, version: '2.12.0', source: 'path' });
  });

  it('takes the newest in the cache, and none that does not run', async () => {
    await program('2.12.0', 'cache', '2.12.0', 'nats-server');
    const path = await program('2.14.5', 'cache', '2.14.5', 'nats-server');
    await mkdir(join(cacheDir, '2.15.0'));
    expect(await resolve({})).toEqual({ path, version: '2.14.5', source: 'cache' });
  });

  it('fetches into the cache once, also when several ask at the same time', async () => {
    const original = await program('2.15.1', 'original');
    const fetcher = fetcherOf(async (scratch) => {
      await link(original, join(scratch, 'fetched'));
      return join(scratch, 'fetched');
    });
    const all = await Promise.all([1, 2, 3, 4].map(() => resolve({ fetchers: [fetcher] })));
    const path = join(cacheDir, '2.15.1', 'nats-server');
    for (const found of all) expect(found).toMatchObject({ path, version: '2.15.1' });
    expect(await readdir(cacheDir)).toEqual(['2.15.1']);
    expect(await resolve({ fetchers: [failing('no', 'not asked')] })).toMatchObject({ source: 'cache' });
  });

  it('tries the next source when one fails, and says so', async () => {
    const lines: string[] = [];
    const good = fetcherOf(() => program('2.14.5', 'elsewhere'), 'second');
    const found = await resolve({
      fetchers: [failing('first', 'no network'), good],
      onProgress: (line) => lines.push(line),
    });
    expect(found.version).toBe('2.14.5');
    expect(lines).toEqual(['nats-server from first: failed, no network']);
  });

  it('names every attempt with its reason, and how to install by hand, when all fail', async () => {
    const searchPath = dirname(await program('2.10.27', 'bin', 'nats-server'));
    const tooOld = fetcherOf(() => program('2.9.10', 'fetched'), 'third');
    const attempt = resolve({ searchPath, fetchers: [failing('first', 'no network'), tooOld] });
    const error = await attempt.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ServerNotFound);
    const { message } = error as Error;
    expect(message).toContain('bin/nats-server: is version 2.10.27, too old');
    expect(message).toContain(`cache ${cacheDir}: holds none`);
    expect(message).toContain('first: no network');
    expect(message).toContain('third: it is version 2.9.10, and 2.12.0 or later is needed');
    expect(message).toContain('https://github.com/nats-io/nats-server/releases');
    expect(message).toContain('NATS_URL');
    expect(await readdir(cacheDir)).toEqual([]);
  });
});

describe('the official release archive', () => {
  async function archive(): Promise<{ content: Buffer; sha256: string }> {
    await program('2.14.5', 'nats-server-v2.14.5-linux-amd64', 'nats-server');
    const file = join(folder, 'packed.tar.gz');
    const args = ['-czf', file, '-C', folder, 'nats-server-v2.14.5-linux-amd64'];
    await runCommand('tar', args, { timeoutMs: 10_000 });
    const content = await readFile(file);
    return { content, sha256: createHash('sha256').update(content).digest('hex') };
  }

  it('is unpacked when its content is the pinned one', async () => {
    const { content, sha256 } = await archive();
    await using server = await serve((_request, response) => response.end(content));
    const found = await resolve({ fetchers: [releaseFetcher({ url: server.url, sha256 })] });
    expect(found).toMatchObject({ version: '2.14.5', source: 'release' });
  });

  it('is refused, and nothing of it kept, when its content is another', async () => {
    const { content } = await archive();
    await using server = await serve((_request, response) => response.end(content));
    const fetcher = releaseFetcher({ url: server.url, sha256: '0'.repeat(64) });
    await expect(resolve({ fetchers: [fetcher] })).rejects.toThrow(/not the expected one/);
    expect(await readdir(cacheDir)).toEqual([]);
  });

  it('is pinned for Linux on both processors and for nothing else', () => {
    expect(officialArchive('linux', 'x64')?.url).toMatch(/v2\.14\.5-linux-amd64\.tar\.gz$/);
    expect(officialArchive('linux', 'arm64')?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(officialArchive('darwin', 'arm64')).toBeUndefined();
  });
});

describe('a download', () => {
  const bounds = { firstByteMs: 100, idleMs: 100, totalMs: 5_000 };
  const nothing = (): void => undefined;

  it('reports how far it is', async () => {
    await using server = await serve((_request, response) => response.end(Buffer.alloc(2_500_000)));
    const reports: string[] = [];
    await download(server.url, join(folder, 'file'), (progress) => reports.push(progress));
    expect(reports.at(-1)).toBe('2.5 of 2.5 MB');
  });

  it('ends when no answer comes in time', async () => {
    await using server = await serve(nothing);
    const attempt = download(server.url, join(folder, 'file'), nothing, bounds);
    await expect(attempt).rejects.toThrow('no answer within 0.1 s');
  });

  it('ends when it stalls half way', async () => {
    await using server = await serve((_request, response) => response.write('half'));
    const attempt = download(server.url, join(folder, 'file'), nothing, bounds);
    await expect(attempt).rejects.toThrow('nothing more within 0.1 s');
  });

  it('fails with the status, or with the reason why nothing answers', async () => {
    let url: string;
    {
      await using server = await serve((_request, response) => response.writeHead(404).end());
      url = server.url;
      await expect(download(url, join(folder, 'file'), nothing)).rejects.toThrow('answer 404');
    }
    await expect(download(url, join(folder, 'file'), nothing)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('small parts', () => {
  it('a version is read from the answer of -v, and nothing else passes for one', () => {
    expect(parseVersion('nats-server: v2.15.1\n')).toBe('2.15.1');
    expect(parseVersion('nats-server: v2.12.0-RC.1')).toBe('2.12.0');
    expect(parseVersion('nginx version: 1.2.3')).toBeUndefined();
  });

  it('versions are compared as numbers', () => {
    expect(isAtLeast('2.12.0', '2.12.0')).toBe(true);
    expect(isAtLeast('2.9.10', '2.12.0')).toBe(false);
    expect(isAtLeast('10.0.0', '2.12.0')).toBe(true);
  });

  it("Debian's main archive is picked among the machine's sources", () => {
    const targets = [
      'https://packages.example/apt stable',
      'http://mirror.example/debian-security/ bookworm-security',
      'http://mirror.example/debian/ bookworm-updates',
      'http://mirror.example/debian/ bookworm',
    ].join('\n');
    expect(pickMirror(targets)).toBe('http://mirror.example/debian/');
    expect(() => pickMirror('\n')).toThrow('apt knows no Debian mirror');
  });

  it('a command that does not end is killed at its time limit', async () => {
    await expect(runCommand('sleep', ['60'], { timeoutMs: 100 })).rejects.toThrow('no end within 0.1 s');
  });
});
