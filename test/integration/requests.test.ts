import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { startTestServer } from '../support/nats-server.ts';

const options = { timeoutMs: 300 };

async function connected(url: string) {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const requests = createRequests(connection);
  const close = async (): Promise<void> => {
    requests.close();
    await connection.close();
  };
  return { connection, requests, close };
}

it('matches each reply with its request, whatever the order', async () => {
  await using server = await startTestServer();
  const { connection, requests, close } = await connected(server.url);
  const waiting: (() => void)[] = [];
  connection.subscribe('echo', {
    callback: (_error, msg) => {
      waiting.unshift(() => msg.respond(msg.data));
      if (waiting.length === 10) for (const answer of waiting) answer();
    },
  });
  const replies = await Promise.all(
    Array.from({ length: 10 }, (_, i) => requests.request('echo', String(i), options)),
  );
  expect(replies.map((r) => (r.failed === undefined ? r.msg.string() : r.failed))).toEqual(
    Array.from({ length: 10 }, (_, i) => String(i)),
  );
  await close();
});

it('tells nobody there from nobody answering', async () => {
  await using server = await startTestServer();
  const { connection, requests, close } = await connected(server.url);
  connection.subscribe('silence', { callback: () => undefined });
  expect(await requests.request('nobody', '', options)).toEqual({ failed: 'no-responders' });
  expect(await requests.request('silence', '', options)).toEqual({ failed: 'timeout' });
  await close();
});

it('fails what is under way when the connection is lost, sends nothing meanwhile, and works again afterwards', async () => {
  await using server = await startTestServer();
  const { connection, requests, close } = await connected(server.url);
  connection.subscribe('silence', { callback: () => undefined });
  const underWay = requests.request('silence', '', { timeoutMs: 20_000 });
  await server.kill9();
  expect(await underWay).toEqual({ failed: 'connection-lost' });
  expect(await requests.request('silence', '', options)).toEqual({ failed: 'not-connected' });
  expect([requests.connected(), requests.losses()]).toEqual([false, 1]);
  await server.restart();
  await expect.poll(requests.connected, { timeout: 10_000 }).toBe(true);
  expect(await requests.request('nobody', '', options)).toEqual({ failed: 'no-responders' });
  await close();
});

it('gives up what is under way when it is closed', async () => {
  await using server = await startTestServer();
  const { connection, requests, close } = await connected(server.url);
  connection.subscribe('silence', { callback: () => undefined });
  const underWay = requests.request('silence', '', { timeoutMs: 20_000 });
  await close();
  expect(await underWay).toEqual({ failed: 'connection-lost' });
  expect(await requests.request('silence', '', options)).toEqual({ failed: 'not-connected' });
});
