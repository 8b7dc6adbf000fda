import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { positionOfVersion, versionAt } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { account } from '../audit/account.ts';
import { openAuditLog } from '../audit/open-log.ts';
import { createLogStream, TEST_LOG } from '../support/nats-log.ts';

const ID = 'a';

/** Moves an account's balance, repeating while the cluster has no leader. */
async function moveBy(log: Log, amount: number, commandId: string): Promise<number> {
  const handler = createHandler({ log, runtime: systemRuntime });
  for (;;) {
    try {
      const meta = { commandId, actor: 'test' };
      const result = await handler.execute(account, ID, { kind: 'move', amount }, meta);
      if (result.outcome !== 'accepted') throw new TypeError(`The command was answered ${result.outcome}`);
      return result.version;
    } catch (error) {
      if (error instanceof TypeError) throw error;
      await delay(100);
    }
  }
}

it('a leader that was paused while another was elected answers no confirmed read with what it knew before', {
  timeout: 120_000,
}, async () => {
  await using cluster = await startTestCluster();
  await createLogStream(cluster.urls[0] ?? '', TEST_LOG, 3);
  await cluster.settled([TEST_LOG.stream]);
  const paused = await cluster.leaderOf(TEST_LOG.stream);
  const others = cluster.nodes.filter((node) => node !== paused);
  if (paused === undefined) throw new Error('The stream has no leader');
  await using near = await openAuditLog({ urls: [paused.url] });
  await using far = await openAuditLog({ urls: others.map((node) => node.url) });
  const before = await moveBy(far.log, 1, 'k1');

  paused.signal('SIGSTOP');
  const after = await moveBy(far.log, 1, 'k2');
  const seen: number[] = [];
  const reads: Promise<void>[] = [];
  for (let i = 0; i < 60; i++) {
    if (i === 30) paused.signal('SIGCONT');
    const read = near.log.read({ category: 'account', id: ID }, { after: before, confirm: true });
    reads.push(
      read.then(
        ({ commits }) => void seen.push(versionAt(commits.at(-1)?.position ?? positionOfVersion(before))),
        () => undefined,
      ),
    );
    await delay(10);
  }
  await Promise.all(reads);
  expect(seen.filter((version) => version !== after)).toEqual([]);
  await cluster.settled([TEST_LOG.stream]);
  expect(
    (await near.log.read({ category: 'account', id: ID }, { after: 0, confirm: true })).commits,
  ).toHaveLength(2);
});
