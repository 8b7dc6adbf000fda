import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import {
  createDataDir,
  type DataDir,
  runCommand,
  startCommand,
  startService,
  stopService,
} from '../support/service-process.ts';
import { ask, must } from './client.ts';
import { expectRefusal } from './refusal.ts';
import { openShop, STILL_ORDERS, showShop } from './shop.ts';

const natsGone = (data: DataDir) =>
  until('no nats-server is left', async () => (await data.natsPid()) === undefined);

/** Sends a registration whose second half waits until `finish` is called. */
function slowRegistration(url: string, email: string) {
  const body = JSON.stringify({ email, name: 'Slow' });
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const sent = request(`${url}/v1/users`, { method: 'POST', headers });
  sent.write(body.slice(0, 10));
  const status = new Promise<number>((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
  });
  return { status, finish: () => sent.end(body.slice(10)) };
}

describe('the service with a server of its own', () => {
  it('keeps all data over a gentle stop and over SIGKILL, and leaves no server behind', async () => {
    await using data = await createDataDir();
    const first = await startService({ ...data.variables, ...STILL_ORDERS });
    await using _first = first;
    const shop = await openShop(first.url, 'kept');
    const shown = await showShop(first.url, shop);
    await stopService(first);
    expect(await data.natsPid()).toBeUndefined();

    await using second = await startService({ ...data.variables, ...STILL_ORDERS });
    expect(await showShop(second.url, shop)).toEqual(shown);
    const later = await openShop(second.url, 'later');
    const shownLater = await showShop(second.url, later);
    const orphan = await data.natsPid();
    expect(orphan).toBeDefined();
    second.signal('SIGKILL');
    await second.ended();
    await natsGone(data);

    await using third = await startService({ ...data.variables, ...STILL_ORDERS });
    expect(await showShop(third.url, shop)).toEqual(shown);
    expect(await showShop(third.url, later)).toEqual(shownLater);
    // Refused only if addresses are still hashed with the key of the first start.
    const twin = await ask(third.url, 'POST', '/v1/users', { email: 'KEPT@example.com', name: 'Twin' });
    expect(twin.status).toBe(409);
    expect(twin.field('code')).toBe('user/email-taken');
    await stopService(third);
    expect(await data.natsPid()).toBeUndefined();
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'finishes the request under way and ends with 0 at %s',
    async (signal) => {
      await using data = await createDataDir();
      await using service = await startService(data.variables);
      const slow = slowRegistration(service.url, 'slow@example.com');
      // The other request came later, so once it is answered the slow one is under way.
      await must(200, service.url, 'GET', '/health/live');
      service.signal(signal);
      await until('it says that it stops', () => service.output().stdout.includes('"stopping"'));
      slow.finish();
      expect(await slow.status).toBe(201);
      const { code, stderr, stdout } = await service.ended();
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      // A stop that was asked for is no trouble; that everybody may do everything here is said at the start.
      const told = stdout.split('\n').filter((line) => !line.includes('AUTHENTICATION IS OFF'));
      expect(told.join('\n')).not.toMatch(/"level":(40|50|60)/);
      expect(await data.natsPid()).toBeUndefined();
    },
  );

  it('ends with 1 and says why when its server dies', async () => {
    await using data = await createDataDir();
    await using service = await startService(data.variables);
    const pid = await data.natsPid();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    const { code, stdout } = await service.ended();
    expect(stdout).toMatch(/embedded NATS server has ended/);
    expect(code).toBe(1);
  });
});

it.each(['SIGTERM', 'SIGINT'] as const)('%s ends a service that is still starting', async (signal) => {
  await using server = await startTestServer();
  server.signal('SIGSTOP');
  await using starting = await startCommand(['serve'], { NATS_URL: server.url });
  await until('it is starting', async () => starting.output().stdout.includes('AUTHENTICATION IS OFF'));
  starting.signal(signal);
  // Ended by the signal itself it would have no code, and as the first process of a container it would go on.
  const { code, stdout } = await starting.ended();
  expect([code, stdout.includes('stopped while starting')]).toEqual([1, true]);
  server.signal('SIGCONT');
});

describe('a start that cannot succeed ends with one line that says what to do', () => {
  it('when the port is taken, the data folder in use, or a configured server port taken', async () => {
    await using data = await createDataDir();
    await using other = await createDataDir();
    await using service = await startService(data.variables);
    const port = new URL(service.url).port;
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const address = blocker.address();
    const natsPort = typeof address === 'object' ? String(address?.port) : '';
    const [inUse, taken] = await Promise.all([
      runCommand(['serve'], data.variables),
      runCommand(['serve'], { ...other.variables, JETLEDGER_HTTP__PORT: port }),
    ]);
    expectRefusal(inUse, data.path, String(service.pid), 'JETLEDGER_NATS__EMBEDDED__DATA_DIR');
    expectRefusal(taken, `Port ${port} is taken`, 'JETLEDGER_HTTP__PORT');
    expect(await other.natsPid()).toBeUndefined();
    const variables = { ...other.variables, JETLEDGER_NATS__EMBEDDED__PORT: natsPort };
    expectRefusal(await runCommand(['serve'], variables), natsPort, 'JETLEDGER_NATS__EMBEDDED__PORT');
    blocker.close();
    // The running one has noticed nothing.
    await must(200, service.url, 'GET', '/health/ready');
    await stopService(service);
  });

  it('when the server program is too old, or none', async () => {
    await using data = await createDataDir();
    const old = join(data.path, 'old-nats-server');
    await writeFile(old, '#!/bin/sh\necho "nats-server: v2.9.10"\n');
    await chmod(old, 0o755);
    const withBinary = (path: string) =>
      runCommand(['serve'], { ...data.variables, JETLEDGER_NATS__EMBEDDED__BINARY: path });
    const [tooOld, none] = await Promise.all([withBinary(old), withBinary(join(data.path, 'none'))]);
    expectRefusal(tooOld, old, '2.9.10', '2.12.0', 'JETLEDGER_NATS__EMBEDDED__BINARY');
    expectRefusal(none, join(data.path, 'none'), 'JETLEDGER_NATS__EMBEDDED__BINARY');
  });

  it('when the configuration is wrong: a line for each problem, all of them at once', async () => {
    const { code, stderr } = await runCommand(['serve'], {
      JETLEDGER_HTTP__PORT: 'eighty',
      JETLEDGER_NATS__REQUEST_TIMEOUT_MS: '1',
      JETLEDGER_LOG__REPLICAS: '2',
      JETLEDGER_HTTP__PROT: '1',
    });
    expect(code).toBe(1);
    for (const key of ['http.port', 'nats.requestTimeoutMs', 'log.replicas', 'JETLEDGER_HTTP__PROT']) {
      expect(stderr).toContain(key);
    }
    expect(stderr.trim().split('\n')).toHaveLength(5);
  });
});
