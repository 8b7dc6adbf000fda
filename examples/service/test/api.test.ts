import type { FastifyInstance } from 'fastify';
import { type Ledger, openLedger } from 'jetledger';
import { startTestServer, type TestServer } from 'jetledger/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApp } from '../src/app.ts';
import { aggregates, prefix, views } from '../src/service.ts';

let ledger: Ledger;
let app: FastifyInstance;
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  ledger = await openLedger({
    prefix,
    aggregates,
    views,
    nats: { url: server.url, monitorUrls: server.monitorUrl },
  });
  app = await buildApp(ledger);
});
afterAll(async () => {
  await app?.close();
  await ledger?.close();
  await server?.stop();
});

const post = (url: string, payload?: object, key?: string) =>
  app.inject({
    method: 'POST',
    url,
    ...(payload && { payload }),
    headers: key ? { 'idempotency-key': key } : {},
  });

describe('the API', () => {
  it('opens, renames, closes and shows a task', async () => {
    const opened = await post('/v1/tasks', { title: 'Paint' });
    expect(opened.statusCode).toBe(201);
    const { location } = opened.headers;
    expect((await post(`${location}/rename`, { title: 'Paint it' })).json()).toMatchObject({
      title: 'Paint it',
    });
    const closed = await post(`${location}/close`);
    expect(closed.json()).toMatchObject({ title: 'Paint it', status: 'closed' });
    const read = await app.inject({
      url: `${location}`,
      headers: { 'min-position': `${closed.headers.position}` },
    });
    expect(read.json()).toEqual(closed.json());
  });

  it('opens one task for one Idempotency-Key, and refuses the key for another request', async () => {
    const [first, again, other] = [
      await post('/v1/tasks', { title: 'Wash' }, 'key-1'),
      await post('/v1/tasks', { title: 'Wash' }, 'key-1'),
      await post('/v1/tasks', { title: 'Dry' }, 'key-1'),
    ];
    expect(again.headers.location).toBe(first.headers.location);
    expect([first, again, other].map(({ statusCode }) => statusCode)).toEqual([201, 201, 422]);
    expect(other.json()).toMatchObject({ code: 'key-reused' });
  });

  it('answers what it cannot do with a problem that says why', async () => {
    const missing = await app.inject({ url: '/v1/tasks/nosuch' });
    expect(missing.headers['content-type']).toContain('application/problem+json');
    expect([missing.statusCode, missing.json().code]).toEqual([404, 'task/not-found']);
    expect((await post('/v1/tasks', {})).json()).toMatchObject({ status: 400, code: 'invalid' });
    expect((await post('/v1/tasks/nosuch/close')).json()).toMatchObject({
      status: 422,
      code: 'task/not-open',
    });
    expect((await app.inject({ url: '/nosuch' })).json()).toMatchObject({ status: 404, code: 'not-found' });
  });

  it('is alive, ready and documented', async () => {
    expect((await app.inject({ url: '/health/live' })).statusCode).toBe(200);
    expect((await app.inject({ url: '/health/ready' })).json()).toEqual({ status: 'ok', stopped: [] });
    const { paths } = (await app.inject({ url: '/openapi.json' })).json();
    expect(Object.keys(paths)).toContain('/v1/tasks/{id}');
  });
});
