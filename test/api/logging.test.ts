import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { requestLogger } from '../../src/api/request-log.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { createLogger } from '../../src/platform/logger.ts';
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
  // Nothing in this line is masked, so it may hold nothing else.
  const fields = ['reqId', 'method', 'route', 'status', 'ms', 'position', 'msg'];
  expect(Object.keys(shown[0] ?? {})).toEqual(['level', 'time', 'pid', 'hostname', ...fields]);
  expect(shown.map(({ trace_id: traceId }) => traceId)).toEqual([undefined, undefined, TRACE_ID]);
  expect(lines.join('')).not.toMatch(new RegExp(`ada@|Ada|${userId}`));
});

it('what anybody else writes about a request is masked, whatever shape it has', () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger(loadConfig({ env: {}, dir: configDir({}) }), { destination });
  const fields = { email: 'ada@example.com', user: { name: 'Ada' } };
  requestLogger(logger, { reqId: 'req-7' }).info(fields, 'unknown');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ email: '***', user: { name: '***' }, msg: 'unknown' });
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

it('a logger of a request puts the fields of all that are above it on each line, the last one winning', () => {
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  const logger = requestLogger(pino({ level: 'info' }, sink), { reqId: 'req-7' }).child({ traceId: 't1' });
  logger.info({ status: 200 }, 'request');
  logger.warn('only words');
  logger.error(new Error('broken'), 'failed');
  logger.child({ traceId: 't2' }, { level: 'error' }).error({ status: 500 });
  logger.debug({ status: 204 }, 'below the level');
  const shown = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(shown).toHaveLength(4);
  expect(shown[0]).toMatchObject({ reqId: 'req-7', traceId: 't1', status: 200, msg: 'request' });
  expect(shown[1]).toMatchObject({ reqId: 'req-7', traceId: 't1', msg: 'only words' });
  expect(shown[2]).toMatchObject({
    reqId: 'req-7',
    traceId: 't1',
    msg: 'failed',
    err: { message: 'broken' },
  });
  expect(shown[3]).toMatchObject({ reqId: 'req-7', traceId: 't2', status: 500 });
});
