import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Authentication } from '../../src/api/auth/identity.ts';
import { type MemoryService, memoryService, TEST_SETTINGS } from '../support/memory-service.ts';
import { plantConsumer } from './planted.ts';
import { field } from './requests.ts';

const PAUSE = '/v1/admin/consumers/order-process/pause';
const PAGE = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' };

let service: MemoryService;

beforeAll(async () => {
  const cors = { origins: 'https://shop.example' };
  const settings = { ...TEST_SETTINGS, host: 'my-laptop', allowedHosts: 'api, Proxy.Local', cors };
  service = await memoryService({ override: { settings } });
  await plantConsumer(service, 'order-process');
});
afterAll(() => service[Symbol.asyncDispose]());

const call = async (method: 'GET' | 'POST', url: string, headers: Record<string, string>) => {
  const answer = await service.app.inject({ method, url, headers });
  return answer.statusCode === 403 ? field(answer, 'code') : answer.statusCode;
};

describe('while authentication is off', () => {
  it.each([
    ['localhost:3000'],
    ['LOCALHOST'],
    ['shop.localhost:3000'],
    ['127.0.0.1:3000'],
    ['[::1]:3000'],
    ['192.168.1.20'],
    ['my-laptop:3000'],
    ['api'],
    ['proxy.local:80'],
  ])('the service answers to %s', async (host) => {
    expect(await call('GET', '/v1/products', { host })).toBe(200);
    expect(await call('POST', PAUSE, { host })).toBe(200);
  });

  it.each([
    ['evil.example'],
    ['evil.example:3000'],
    ['localhost.evil.example'],
    ['127.0.0.1.evil.example'],
    ['notlocalhost'],
  ])('and not to "%s"', async (host) => {
    for (const path of ['/v1/products', '/console/settings.json', '/openapi.json', '/nowhere'])
      expect(await call('GET', path, { host })).toBe('request/unknown-host');
    expect(await call('POST', PAUSE, { host })).toBe('request/unknown-host');
  });

  it.each([
    ['an origin', { origin: 'https://evil.example' }],
    ['another port of this machine', { origin: 'http://localhost:5173' }],
    ['no origin of its own', { origin: 'null' }],
    ['a page, which asks without a preflight', PAGE],
    ['a page of another port', { ...PAGE, 'sec-fetch-site': 'same-site' }],
    ['a form', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
  ])('%s may send nothing', async (_what, headers) => {
    expect(await call('POST', PAUSE, { host: 'localhost:3000', ...headers })).toBe('request/foreign-page');
  });

  it('its own pages, those that are allowed, followed links and programs are served', async () => {
    const host = 'localhost:3000';
    const own = { host, origin: 'http://localhost:3000', 'sec-fetch-site': 'same-origin' };
    expect(await call('POST', PAUSE, own)).toBe(200);
    const allowed = { host, origin: 'https://shop.example', 'sec-fetch-site': 'cross-site' };
    expect(await call('POST', PAUSE, allowed)).toBe(200);
    const typed = { host, 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' };
    expect(await call('GET', '/v1/products', typed)).toBe(200);
    const link = { host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect(await call('GET', '/v1/products', link)).toBe(200);
    expect(await call('GET', '/v1/products', { host, ...PAGE })).toBe('request/foreign-page');
  });

  it('probes are answered by any name, and every refusal says the setting', async () => {
    expect(await call('GET', '/health/live', { host: '10-0-0-7.pods.example' })).toBe(200);
    const refused = await service.app.inject({ url: '/v1/products', headers: { host: 'evil.example' } });
    expect(field(refused, 'detail')).toContain('http.allowedHosts');
    const foreign = await service.app.inject({
      url: '/v1/products',
      headers: { origin: 'https://evil.example' },
    });
    expect(field(foreign, 'detail')).toContain('http.cors.origins');
  });
});

it('with authentication on, the token decides and not the name', async () => {
  const auth: Authentication = {
    verify: async () => ({
      outcome: 'verified',
      user: 'ada',
      scopes: ['admin'],
      expiresAt: Date.now() + 60_000,
    }),
  };
  await using guarded = await memoryService({ override: { auth } });
  const headers = { host: 'shop.example', origin: 'https://shop.example', authorization: 'Bearer x' };
  expect((await guarded.app.inject({ url: '/v1/products', headers })).statusCode).toBe(200);
});
