import { describe, expect, it } from 'vitest';
import {
  logReading,
  type NatsServerReading,
  natsServerCheck,
  readNatsServer,
} from '../../../src/platform/nats-monitor.ts';
import { startTestServer } from '../../../src/testing/nats-server.ts';
import { startHttpServer } from '../../contract/payment-server.ts';

const reading: NatsServerReading = {
  server: 'n1',
  version: '2.15.1',
  illness: undefined,
  storageBytes: 250,
  storageLimitBytes: 1_000,
  memoryBytes: 20 * 1024 * 1024,
  slowConsumers: 2,
  cpuPercent: 3,
  syncAlways: true,
  log: { leader: 'n2', current: 1, replicas: 3 },
};

describe('the monitoring endpoint of NATS', () => {
  it('of a real server tells its storage, memory and how it syncs', async () => {
    await using server = await startTestServer({ syncAlways: true, serverName: 'n1' });
    const found = await readNatsServer(server.monitorUrl, 'jetledger');
    expect(found).toMatchObject({
      server: 'n1',
      illness: undefined,
      syncAlways: true,
      slowConsumers: 0,
      log: undefined,
    });
    expect(found?.storageLimitBytes).toBeGreaterThan(0);
    expect(found?.memoryBytes).toBeGreaterThan(0);
  });

  it('that does not answer, or answers something else, is no reading', async () => {
    await using other = await startHttpServer(
      (_request, response) => void response.writeHead(200).end('hello'),
    );
    expect(await readNatsServer(other.url, 'jetledger')).toBeUndefined();
    expect(await readNatsServer('http://127.0.0.1:9', 'jetledger')).toBeUndefined();
  });
});

describe('the log as servers see it', () => {
  it('is taken from its leader, who alone knows which copies are current', () => {
    const leader = { ...reading, server: 'n2', log: { leader: 'n2', current: 3, replicas: 3 } };
    expect(logReading([reading, leader])?.current).toBe(3);
  });

  it('without a leader anywhere, or with one that is not well, fails readiness, and nothing else does', () => {
    const lost = { ...reading, log: { leader: undefined, current: 0, replicas: 3 } };
    expect(natsServerCheck([lost])).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/^log led by nobody/),
    });
    expect(natsServerCheck([lost, reading])?.ok).toBe(true);
    const elsewhere = { ...reading, illness: 'no space left on device', syncAlways: false, log: undefined };
    expect(natsServerCheck([elsewhere])?.ok).toBe(true);
    const ill = { ...reading, server: 'n2', illness: 'no space left on device' };
    expect(natsServerCheck([reading, ill])).toMatchObject({
      ok: false,
      detail: expect.stringMatching(
        /make room.*\), then restart .*n2 2.15.1 unhealthy \(no space left on device\)/,
      ),
    });
    expect(natsServerCheck([])).toBeUndefined();
  });

  it('says in words what matters', () => {
    expect(natsServerCheck([reading])?.detail).toBe(
      'log led by n2, 1 of 3 copies current; n1 2.15.1, 25.0 % of its storage used, 20 MiB of memory, 2 slow consumers, sync always',
    );
  });
});
