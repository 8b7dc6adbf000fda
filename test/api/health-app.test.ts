import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildHealthApp } from '../../src/api/health-app.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { TEST_SETTINGS } from '../support/memory-service.ts';

const FINE = { ok: true, checks: { log: { ok: true } } };
const BEHIND = { ok: false, checks: { 'view orders': { ok: false, detail: '5000 behind' } } };

let app: FastifyInstance;
let stopping = false;

beforeAll(() => {
  app = buildHealthApp({
    health: { ready: async () => FINE, startup: async () => BEHIND },
    settings: TEST_SETTINGS,
    runtime: systemRuntime,
    logger: false,
    stopping: () => stopping,
    roles: ['projections', 'processes'],
  });
});
afterAll(() => app.close());

describe('a process without the role api', () => {
  it('answers how it stands', async () => {
    const [live, ready, startup] = await Promise.all(
      ['live', 'ready', 'startup'].map((which) => app.inject(`/health/${which}`)),
    );
    expect([live?.statusCode, live?.json<{ status: string }>().status]).toEqual([200, 'live']);
    expect([ready?.statusCode, ready?.json()]).toEqual([200, FINE]);
    expect([startup?.statusCode, startup?.json()]).toEqual([503, BEHIND]);
  });

  it.each([
    ['GET', '/v1/orders/o-1'],
    ['POST', '/v1/orders'],
    ['GET', '/docs'],
    ['GET', '/metrics'],
    ['POST', '/health/live'],
  ] as const)('answers %s %s with the role that does', async (method, url) => {
    const response = await app.inject({ method, url });
    expect([response.statusCode, response.headers['content-type']]).toEqual([
      404,
      expect.stringContaining('application/problem+json'),
    ]);
    expect(response.json()).toMatchObject({
      code: 'route/other-role',
      detail: 'This process has the roles projections, processes; ask one with the role api.',
    });
  });

  it('lets go of its connections once it is being stopped', async () => {
    expect((await app.inject('/health/live')).headers.connection).not.toBe('close');
    stopping = true;
    expect((await app.inject('/health/live')).headers.connection).toBe('close');
  });
});
