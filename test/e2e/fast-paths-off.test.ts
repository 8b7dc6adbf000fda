import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { createDataDir, startService, stopService } from '../support/service-process.ts';
import { must } from './client.ts';
import { openShop, showShop } from './shop.ts';

const OFF = {
  // Accepted, and without effect.
  JETLEDGER_NATS__LEAN_REQUESTS: 'false',
  JETLEDGER_COMMANDS__GROUP_COMMIT: 'off',
  JETLEDGER_COMMANDS__MAX_BATCH: '1',
  JETLEDGER_SNAPSHOTS__ENABLED: 'false',
  JETLEDGER_PROJECTIONS__COALESCE_ROWS: 'false',
};

/** The subjects of the requests that pass through a server. */
async function listen(url: string) {
  const connection = await connect({ servers: url });
  const heard: string[] = [];
  connection.subscribe('>', {
    callback: (_error, { subject, reply = '' }) => {
      if (reply.startsWith('_INBOX.')) heard.push(subject);
    },
  });
  await connection.flush();
  /** How many messages of a stream match. */
  const stored = async (stream: string, filter: string): Promise<number> => {
    const jsm = await jetstreamManager(connection);
    const { state } = await jsm.streams.info(stream, { subjects_filter: filter });
    return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  };
  return { heard, stored, close: () => connection.close() };
}

it('a service without any fast path confirms an order and shows it', async () => {
  await using server = await startTestServer();
  await using data = await createDataDir();
  const variables = { ...data.variables, ...OFF, NATS_URL: server.url };
  await applyTopology(variables);
  const traffic = await listen(server.url);
  await using service = await startService(variables);
  const shop = await openShop(service.url, 'plain');
  const path = `/v1/orders/${shop.orderId}`;
  await until(
    'the order is confirmed',
    async () => (await must(200, service.url, 'GET', path)).field('status') === 'confirmed',
  );
  expect(await showShop(service.url, shop)).toMatchObject([{}, {}, { status: 'confirmed' }, { items: [{}] }]);
  const { stdout } = await stopService(service);
  const warned = stdout.split('\n').filter((line) => line.includes('LEAN_REQUESTS'));
  expect(warned).toEqual([expect.stringContaining('(environment) has no effect any more')]);
  const commits = await traffic.stored('jetledger', `jl.order.*.*.*.${shop.orderId}`);
  await traffic.close();

  const to = (start: string, end = '') =>
    traffic.heard.filter((subject) => subject.startsWith(start) && subject.endsWith(end));
  expect(to('$KV.jl_snapshots.')).toEqual([]);
  expect(commits).toBeGreaterThan(2);
  expect(to('$KV.jl_orders_v', shop.orderId).length).toBeGreaterThanOrEqual(commits);
});
