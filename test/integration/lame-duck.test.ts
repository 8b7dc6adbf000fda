import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createHandler } from '../../src/eventstore/handler.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { until } from '../../src/testing/until.ts';
import { account } from '../audit/account.ts';
import { openAuditLog } from '../audit/open-log.ts';
import { createLogStream, TEST_LOG } from '../support/nats-log.ts';

const GENTLE = { lame_duck_grace_period: '1s', lame_duck_duration: '30s' };

it('a leader that is ended gently (lame duck) hands over: commands go on through the others, and none is lost or done twice', {
  timeout: 120_000,
}, async () => {
  await using cluster = await startTestCluster({ extraConfig: GENTLE });
  await createLogStream(cluster.urls[0] ?? '', TEST_LOG, 3);
  await cluster.settled([TEST_LOG.stream]);
  const leader = await cluster.leaderOf(TEST_LOG.stream);
  if (leader === undefined) throw new Error('The stream has no leader');
  const others = cluster.nodes.filter((node) => node !== leader);
  await using handle = await openAuditLog({ urls: [leader.url, ...others.map((node) => node.url)] });
  const handler = createHandler({ log: handle.log, runtime: systemRuntime });
  let slowest = 0;
  const move = async (n: number): Promise<void> => {
    const begun = performance.now();
    const meta = { commandId: `c${n}`, actor: 'test' };
    // As a client does that repeats with its key.
    await until(`the command ${n} is accepted`, async () => {
      const result = await handler
        .execute(account, 'a', { kind: 'move', amount: n % 2 === 0 ? 1 : -1 }, meta)
        .catch(() => undefined);
      return result?.outcome === 'accepted' || result?.outcome === 'unchanged';
    });
    slowest = Math.max(slowest, performance.now() - begun);
  };
  let sent = 0;
  await move(sent++);
  leader.signal('SIGUSR2');
  for (const end = performance.now() + 4_000; performance.now() < end; await delay(10)) await move(sent++);
  await leader.kill9();
  for (let more = 0; more < 20; more++) await move(sent++);
  const ids: string[] = [];
  for await (const { commits } of handle.log.scan({ after: BEGINNING }))
    ids.push(...commits.flatMap(({ decisions }) => decisions.map(({ commandId }) => commandId)));
  expect(ids).toEqual(Array.from({ length: sent }, (_, n) => `c${n}`));
  expect(await cluster.leaderOf(TEST_LOG.stream)).not.toBe(leader);
  expect(slowest).toBeLessThan(10_000);
});
