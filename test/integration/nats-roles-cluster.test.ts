import { createServer } from 'node:net';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { startService } from '../../src/service/start.ts';
import { until } from '../../src/testing/until.ts';
import { must } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { makeSecrets, type SecuredServer, startSecuredServer } from '../support/secured-nats.ts';

/** Ports that were free a moment ago: routes must be known before any server starts. */
async function freePorts(count: number): Promise<number[]> {
  const holders = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports = holders.map(async (holder) => {
    if (!holder.listening) await new Promise((resolve) => holder.once('listening', resolve));
    const address = holder.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  const found = await Promise.all(ports);
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return found;
}

async function hasLeader(server: SecuredServer): Promise<boolean> {
  const answer = await fetch(`${server.monitorUrl}/jsz`);
  const { meta_cluster: meta } = (await answer.json()) as {
    meta_cluster?: { leader?: string; cluster_size?: number };
  };
  return meta?.leader !== undefined && meta.leader !== '' && meta.cluster_size === 3;
}

it('three nodes with configs/nats/cluster.conf know each other by TLS, and keep a log of three copies', async () => {
  await using secrets = await makeSecrets();
  const ports = await freePorts(3);
  const routes = Object.fromEntries(
    ports.map((port, i) => [`NATS_ROUTE_${i + 1}`, `tls://127.0.0.1:${port}`]),
  );
  const start = (i: number): Promise<SecuredServer> =>
    startSecuredServer('cluster.conf', secrets, {
      variables: { ...routes, NATS_NODE_NAME: `nats-${i}` },
      args: ['--cluster', `nats://127.0.0.1:${ports[i]}`],
    });
  await using first = await start(0);
  await using second = await start(1);
  await using third = await start(2);
  const servers = [first, second, third];
  await until('there is a leader', () => hasLeader(first), 20_000);

  const addresses = {
    url: servers.map(({ url }) => url).join(','),
    monitorUrl: servers.map((one) => one.monitorUrl).join(','),
  };
  const replicated = { JETLEDGER_LOG__REPLICAS: '3', JETLEDGER_LOG__DURABILITY: 'always' };
  const applied = await runInProcess(addresses, topologyCommand, ['apply'], {
    ...replicated,
    ...secrets.variablesOf('owner'),
  });
  expect([applied.code, applied.text]).toEqual([0, applied.text]);

  const env = {
    JETLEDGER_ENV: 'test',
    JETLEDGER_SERVICE__ROLES: 'api',
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    NATS_URL: addresses.url,
    JETLEDGER_NATS__MONITOR_URLS: addresses.monitorUrl,
    JETLEDGER_READS__CONFIRM: 'quorum',
    ...replicated,
    ...secrets.variablesOf('api'),
  };
  const service = await startService(loadConfig({ env, dir: configDir(env) }), pino({ level: 'silent' }));
  try {
    const user = { email: 'ada@example.com', name: 'Ada' };
    const made = await must(201, service.url, 'POST', '/v1/users', user);
    expect(made.field('email')).toBe('ada@example.com');
    const path = `/v1/users/${String(made.field('id'))}?consistency=strong`;
    expect((await must(200, service.url, 'GET', path)).field('name')).toBe('Ada');
    for (const server of servers) {
      const owner = await secrets.connectAs('owner', server);
      await expect(owner.request('$JS.API.STREAM.DELETE.jetledger', '')).rejects.toThrow(/no responders/);
      const info = await owner.request('$JS.API.STREAM.INFO.jetledger', '{"subjects_filter":"jl.fence"}');
      expect(info.string()).toContain('"jl.fence":');
      await owner.close();
    }
  } finally {
    await service.stop();
  }
}, 60_000);
