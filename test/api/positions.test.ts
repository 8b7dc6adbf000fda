import { afterEach, beforeEach, expect, it } from 'vitest';
import { createMemoryLog } from '../../src/testing/memory-log.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { clientOf, list, ordered } from './requests.ts';

const QUERIES = [
  '/v1/users/u1',
  '/v1/users/u1/orders',
  '/v1/products',
  '/v1/products/TEA',
  '/v1/orders?status=placed',
  '/v1/statistics?from=2026-01-01&to=2026-01-31',
];

let service: MemoryService;

beforeEach(async () => {
  service = await memoryService();
});
afterEach(async () => service[Symbol.asyncDispose]());

const codeOf = (response: { json(): unknown }) => (response.json() as { code?: string }).code;

it('the Position of an answer is a token that any process of this log takes, now and after a restart', async () => {
  const client = clientOf(service);
  const listed = await list(client, 'TEA');
  const token = String(listed.headers.position);
  expect(token).toMatch(/^1@[A-Za-z0-9_-]{8}$/);
  await using restarted = await memoryService({
    override: { log: service.log, views: service.deps.views },
  });
  for (const { app } of [service, restarted]) {
    for (const [url, headers] of [
      ['/v1/products/TEA', { 'min-position': token }],
      [`/v1/products/TEA?minPosition=${token}`, {}],
      ['/v1/products/TEA', { 'min-position': '1' }],
    ] as const) {
      const shown = await app.inject({ url, headers });
      expect([shown.statusCode, shown.headers.position]).toEqual([200, token]);
    }
  }
});

it('a token of another incarnation of the log is refused by every query, whatever its number', async () => {
  const client = clientOf(service);
  await list(client, 'TEA');
  const id = await ordered(client, 'u1', 'TEA');
  await using restored = await memoryService({
    override: { log: createMemoryLog({ incarnation: 'after the restore' }) },
  });
  const token = String((await client.get(`/v1/orders/${id}`)).headers.position);
  for (const url of [...QUERIES, `/v1/orders/${id}`]) {
    const byHeader = await restored.app.inject({ url, headers: { 'min-position': token } });
    expect([url, byHeader.statusCode, codeOf(byHeader)]).toEqual([url, 412, 'position/not-in-log']);
    const byQuery = await restored.app.inject(`${url}${url.includes('?') ? '&' : '?'}minPosition=${token}`);
    expect([url, byQuery.statusCode]).toEqual([url, 412]);
  }
});

it.each(['1@short', '1@too-long-', '@12345678', '1.2@12345678', 'one', '-1', '1e3', '1, 2'])(
  'Min-Position: %s is not a position',
  async (given) => {
    const response = await service.app.inject({ url: '/v1/products', headers: { 'min-position': given } });
    expect([response.statusCode, codeOf(response)]).toEqual([400, 'request/invalid']);
  },
);
