import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { memoryService } from '../support/memory-service.ts';
import { clientOf, registered } from './requests.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

it('each answer is one line with method, pattern, status and time, and no personal data or id of a path', async () => {
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  await using service = await memoryService({ logger: pino({ level: 'info' }, sink) });
  const client = clientOf(service);
  const userId = await registered(client, 'ada@example.com');
  await client.get(`/v1/users/${userId}`, { 'x-request-id': 'req-7' });
  await client.get('/v1/ada@example.com', { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-00` });
  await client.get('/health/live');
  const shown = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(shown.map(({ method, route, status }) => [method, route, status])).toEqual([
    ['POST', '/v1/users', 201],
    ['GET', '/v1/users/:id', 200],
    ['GET', 'unknown', 404],
  ]);
  expect(shown[1]).toMatchObject({ reqId: 'req-7', ms: expect.any(Number) });
  expect(shown.map(({ trace_id: traceId }) => traceId)).toEqual([undefined, undefined, TRACE_ID]);
  expect(lines.join('')).not.toMatch(new RegExp(`ada@|Ada|${userId}`));
});

it('an internal fault is logged once, with its cause', async () => {
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  const ready = () => Promise.reject(new Error('broken check'));
  await using service = await memoryService({
    logger: pino({ level: 'error' }, sink),
    override: { health: { ready, startup: ready } },
  });
  expect((await service.app.inject('/health/ready')).statusCode).toBe(500);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('broken check');
});
