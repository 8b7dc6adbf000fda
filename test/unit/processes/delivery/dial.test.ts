import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createDialler,
  isAllowed,
  retryAfterOf,
  type Targets,
} from '../../../../src/processes/delivery/adapters/dial.ts';

describe('an address may be dialled', () => {
  it.each([
    ['93.184.216.34', 'public'],
    ['2606:2800:220:1:248:1893:25c8:1946', 'public'],
    ['::ffff:93.184.216.34', 'public'],
    ['127.0.0.1', 'loopback'],
    ['127.9.9.9', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fc00::1', 'private'],
    ['fd12:3456:789a::1', 'private'],
    ['0.0.0.0', 'never'],
    ['0.1.2.3', 'never'],
    ['::', 'never'],
    ['169.254.169.254', 'never'],
    ['::ffff:169.254.169.254', 'never'],
    ['fe80::1', 'never'],
    ['fec0::1', 'never'],
    ['224.0.0.1', 'never'],
    ['ff02::1', 'never'],
    ['255.255.255.255', 'never'],
    ['240.0.0.1', 'never'],
    ['192.0.0.1', 'never'],
    ['192.0.2.1', 'never'],
    ['198.18.0.1', 'never'],
    ['198.51.100.1', 'never'],
    ['203.0.113.1', 'never'],
    ['64:ff9b::7f00:1', 'never'],
    ['64:ff9b:1::a00:1', 'never'],
    ['2002:7f00:1::', 'never'],
    ['2001::1', 'never'],
    ['2001:db8::1', 'never'],
    ['::7f00:1', 'never'],
    ['::10.0.0.1', 'private'],
    ['100::1', 'never'],
    ['fe80::1%eth0', 'never'],
    ['no address', 'never'],
  ])('%s: from %s on', (address, from) => {
    const levels: readonly Targets[] = ['public', 'loopback', 'private'];
    const allowed = levels.filter((targets) => isAllowed(address, targets));
    expect(allowed).toEqual(from === 'never' ? [] : levels.slice(levels.indexOf(from as Targets)));
  });
});

describe('a request', () => {
  let server: Server;
  let port = 0;
  let asked = 0;
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked++;
      if (request.url === '/slow') return;
      if (request.url === '/slow-body') response.writeHead(200).write('and so on');
      else if (request.url === '/away') response.writeHead(302, { location: '/taken' }).end('elsewhere');
      else if (request.url === '/endless') {
        response.writeHead(200);
        const more = setInterval(() => response.write('x'.repeat(10_000)), 1);
        response.once('close', () => clearInterval(more));
      } else response.writeHead(503, { 'retry-after': '7' }).end('busy');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    ({ port } = server.address() as AddressInfo);
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const post = async (url: string, targets: Targets) => {
    const dialler = createDialler({ targets, timeoutMs: 300 });
    try {
      return await dialler.post(url, {}, '{}');
    } finally {
      dialler.close();
    }
  };
  const at = (path: string, host = '127.0.0.1'): string => `http://${host}:${port}${path}`;

  it.each([
    ['http://127.0.0.1:1/', 'public'],
    ['https://127.0.0.1:1/', 'public'],
    ['https://0x7f.1:1/', 'public'],
    ['https://2130706433:1/', 'public'],
    ['https://017700000001:1/', 'public'],
    ['https://[::1]:1/', 'public'],
    ['https://[::ffff:127.0.0.1]:1/', 'public'],
    ['https://localhost:1/', 'public'],
    ['http://10.0.0.1:1/', 'loopback'],
    ['http://169.254.169.254/latest/meta-data', 'private'],
    ['http://user:secret@127.0.0.1:1/', 'loopback'],
    ['file:///etc/passwd', 'private'],
  ] as const)('to %s is refused before it is sent where %s targets are allowed', async (url, targets) => {
    await expect(post(url, targets)).rejects.toMatchObject({ name: 'TargetRefused' });
  });

  it('to a name is checked by the very addresses that are dialled', async () => {
    const before = asked;
    await expect(post(`https://localhost:${port}/`, 'public')).rejects.toMatchObject({
      name: 'TargetRefused',
    });
    expect(asked).toBe(before);
    expect((await post(at('/', 'localhost'), 'loopback')).status).toBe(503);
  });

  it('follows no redirect, tells the beginning of the answer, and how long to wait', async () => {
    expect(await post(at('/away'), 'loopback')).toMatchObject({ status: 302, answer: 'elsewhere' });
    expect(await post(at('/'), 'loopback')).toEqual({ status: 503, answer: 'busy', retryAfterMs: 7_000 });
  });

  it('is sent again, over a new connection, where the other side gave up the idle one meanwhile', async () => {
    const seen = new Set<unknown>();
    const fickle = createServer(({ socket }, response) => {
      if (seen.has(socket)) socket.resetAndDestroy();
      else response.writeHead(204).end();
      seen.add(socket);
    });
    await new Promise<void>((done) => fickle.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(fickle.address() as AddressInfo).port}/`;
    const dialler = createDialler({ targets: 'loopback', timeoutMs: 5_000 });
    for (let n = 0; n < 3; n++) expect((await dialler.post(url, {}, '{}')).status).toBe(204);
    expect(seen.size).toBe(3);
    dialler.close();
    fickle.close();
  });

  it('ends at once where it is answered in another protocol', async () => {
    const other = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
      );
    });
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`;
    expect(await post(url, 'loopback')).toMatchObject({ status: 101 });
    other.close();
  });

  it('ends in time, and does not read an answer without end', async () => {
    await expect(post(at('/slow'), 'loopback')).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(await post(at('/slow-body'), 'loopback')).toMatchObject({ status: 200, answer: 'and so on' });
    const { status, answer } = await post(at('/endless'), 'loopback');
    expect([status, answer.length]).toEqual([200, 1_024]);
  });
});

it.each([
  [undefined, undefined],
  ['0', undefined],
  ['120', 120_000],
  ['999999999', 86_400_000],
  ['Thu, 15 Jan 2026 09:31:00 GMT', 60_000],
  ['Thu, 15 Jan 2026 09:29:00 GMT', undefined],
  ['soon', undefined],
])('a Retry-After of %s is %s ms', (header, expected) => {
  expect(retryAfterOf(header, Date.parse('2026-01-15T09:30:00Z'))).toBe(expected);
});
