import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type MemoryService, memoryService, TEST_SETTINGS } from '../support/memory-service.ts';

let service: MemoryService;
let port: number;

beforeEach(async () => {
  service = await memoryService();
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  port = (service.app.server.address() as AddressInfo).port;
});
afterEach(async () => service[Symbol.asyncDispose]());

/** Sends raw text and answers everything that comes back until the server closes. */
async function raw(text: string, to = port): Promise<string> {
  const socket = connect(to, '127.0.0.1');
  socket.setEncoding('latin1');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.write(text, 'latin1');
  await once(socket, 'close');
  return received;
}

it.each([
  ['what is no HTTP', 'BLA BLA\r\n\r\n', 400, 'request/malformed'],
  ['an unknown method', 'FOO / HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'request/malformed'],
  [
    'a control character in a header',
    'GET / HTTP/1.1\r\nHost: a\r\nX: \u0001\r\n\r\n',
    400,
    'request/malformed',
  ],
  [
    'two lengths',
    'POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
    400,
    'request/malformed',
  ],
  [
    'headers that are too large',
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    431,
    'request/headers-too-large',
  ],
])('%s is answered on the socket with a problem', async (_name, text, status, code) => {
  const answer = await raw(text);
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answer).toContain('Content-Type: application/problem+json');
  expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))).toMatchObject({ status, code });
});

it.each([
  [
    'a path with a control character',
    'GET /v1/users/a%00b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    400,
  ],
  ['a path without a slash', 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 404],
  [
    'raw bytes in the path',
    'GET /v1/users/\u00ff\u00fe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    400,
  ],
])('%s is a problem and never a 500', async (_name, text, status) => {
  const answer = await raw(text);
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
});

it('closing ends while a client keeps its connection open', async () => {
  const agent = new Agent({ keepAlive: true });
  const answered = new Promise<number | undefined>((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', path: '/health/live', agent }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    });
    sent.once('error', reject).end();
  });
  expect(await answered).toBe(200);
  await service.app.close();
  agent.destroy();
});

it('a request in flight is answered before closing ends, although its connection would be kept', async () => {
  let release = (): void => undefined;
  let arrived = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const inside = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const ready = async () => {
    arrived();
    await held;
    return { ok: true, checks: {} };
  };
  await using slow = await memoryService({ override: { health: { ready, startup: ready } } });
  await slow.app.listen({ host: '127.0.0.1', port: 0 });
  const { port: slowPort } = slow.app.server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  const answered = new Promise<number | undefined>((resolve, reject) => {
    const sent = request({ port: slowPort, host: '127.0.0.1', path: '/health/ready', agent }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    });
    sent.once('error', reject).end();
  });
  await inside;
  const closed = slow.app.close();
  release();
  expect(await answered).toBe(200);
  await closed;
  agent.destroy();
});

it('a client that sends too slowly, or more headers than are allowed, is answered and cut off', async () => {
  const settings = { ...TEST_SETTINGS, requestTimeoutMs: 300, maxHeaderBytes: 2_048 };
  await using strict = await memoryService({ override: { settings } });
  await strict.app.listen({ host: '127.0.0.1', port: 0 });
  const { port: strictPort } = strict.app.server.address() as AddressInfo;
  const slow = await raw(
    'POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{',
    strictPort,
  );
  expect(slow).toMatch(/^HTTP\/1\.1 408 /);
  expect(slow).toContain('request/timeout');
  const large = await raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(3_000)}\r\n\r\n`, strictPort);
  expect(large).toMatch(/^HTTP\/1\.1 431 /);
});
