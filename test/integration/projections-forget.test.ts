import { expect, it } from 'vitest';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createLogStream, openTestLog } from '../support/nats-log.ts';
import { killForgetting } from './projections-forget.ts';

it('the planted loss is real: acknowledged rows are gone afterwards, and only the newest ones', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using opened = await openTestLog(server.url);
  const limits = { replicas: 1, timeoutMs: 1_000, announceLosses: false };
  const buckets = createNatsBuckets({ requests: opened.requests, runtime: systemRuntime, ...limits });
  const bucket = await buckets.create('fast', { durable: false });
  const acknowledged: string[] = [];
  let down = false;
  const writing = (async () => {
    while (!down) {
      const key = `row-${acknowledged.length}`;
      await bucket.write({ key, value: Buffer.from(key), expectedRevision: 0, position: positionOf(1) });
      acknowledged.push(key);
    }
  })().catch(() => undefined);
  await until('rows are written', () => acknowledged.length >= 20);
  await killForgetting(server, ['fast'], 200);
  down = true;
  await writing;
  await server.restart();
  await until('it answers again', async () => (await bucket.get('row-0', { leader: true })) !== undefined);
  const left: string[] = [];
  for await (const { key } of bucket.rows()) left.push(key);
  expect(left.length).toBeLessThan(acknowledged.length);
  expect(left).toEqual(acknowledged.slice(0, left.length));
});
