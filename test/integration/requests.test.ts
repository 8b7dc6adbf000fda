import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type Msg } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { PermissionDenied } from '../../src/eventstore/errors.ts';
import { createNatsBucket } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import type { RequestFailure } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { WAYS_OF_REQUESTS, type WayOfRequests } from '../support/nats-log.ts';
import { startSecuredServer } from '../support/secured-nats.ts';

const options = { timeoutMs: 300 };
const patient = { timeoutMs: 20_000 };

async function connected(url: string, way: WayOfRequests, user?: string) {
  const login = user === undefined ? {} : { user, pass: user };
  const connection = await connect({
    servers: url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    ...login,
  });
  const requests = WAYS_OF_REQUESTS[way](connection, { user });
  const close = async (): Promise<void> => {
    requests.close();
    await connection.close();
  };
  return { connection, requests, close };
}

/** Somebody on a connection of its own who answers nothing and remembers what came. */
async function listener(url: string) {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const heard: string[] = [];
  connection.subscribe('silence', { callback: (_error, msg) => void heard.push(msg.string()) });
  await connection.flush();
  return { heard, connection, close: () => connection.close() };
}

describe.each(['lean', 'plain'] as const)('%s requests', (way) => {
  it('match each reply with its request, whatever the order', async () => {
    await using server = await startTestServer();
    const { connection, requests, close } = await connected(server.url, way);
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

  it('tell nobody there from nobody answering', async () => {
    await using server = await startTestServer();
    const { connection, requests, close } = await connected(server.url, way);
    connection.subscribe('silence', { callback: () => undefined });
    expect(await requests.request('nobody', '', options)).toEqual({ failed: 'no-responders' });
    expect(await requests.request('silence', '', options)).toEqual({ failed: 'timeout' });
    expect(await requests.collect('nobody', '', options, () => false)).toBe('no-responders');
    expect(await requests.collect('silence', '', options, () => false)).toBe('timeout');
    await close();
  });

  it('hand on the replies of one request until the last one, and none behind it', async () => {
    await using server = await startTestServer();
    const { connection, requests, close } = await connected(server.url, way);
    connection.subscribe('count', {
      callback: (_error, msg) => {
        for (let i = 1; i <= 5; i++) msg.respond(String(i));
      },
    });
    const counts = Array.from({ length: 8 }, async () => {
      const replies: string[] = [];
      const failed = await requests.collect('count', '', options, (msg) => {
        replies.push(msg.string());
        return replies.length === 3;
      });
      await connection.flush();
      return { failed, replies };
    });
    expect(await Promise.all(counts)).toEqual(
      counts.map(() => ({ failed: undefined, replies: ['1', '2', '3'] })),
    );
    await close();
  });

  it('fail when the connection is lost, are not sent meanwhile, and work again afterwards', async () => {
    await using server = await startTestServer();
    const { connection, requests, close } = await connected(server.url, way);
    connection.subscribe('silence', { callback: () => undefined });
    let told = 0;
    requests.onLoss(() => told++);
    const underWay = requests.request('silence', '', patient);
    const collecting = requests.collect('silence', '', patient, () => false);
    await server.kill9();
    expect(await underWay).toEqual({ failed: 'connection-lost' });
    expect(await collecting).toBe('connection-lost');
    expect(await requests.request('silence', '', options)).toEqual({ failed: 'not-connected' });
    expect(await requests.collect('silence', '', options, () => false)).toBe('not-connected');
    expect([requests.connected(), requests.losses(), told]).toEqual([false, 1, 1]);
    await server.restart();
    await expect.poll(requests.connected, { timeout: 10_000 }).toBe(true);
    expect(await requests.request('nobody', '', options)).toEqual({ failed: 'no-responders' });
    await close();
  });

  it('that are too large for the server fail alone, and are told from a connection that is away', async () => {
    await using server = await startTestServer({ extraConfig: { max_payload: 1_000 } });
    const { connection, requests, close } = await connected(server.url, way);
    connection.subscribe('echo', { callback: (_error, msg) => void msg.respond(msg.data) });
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, i) => requests.request('echo', 'x'.repeat(i === 5 ? 1_001 : i), options)),
    );
    expect(replies.map((r) => r.failed ?? r.msg.data.length)).toEqual([0, 1, 2, 3, 4, 'too-large', 6, 7]);
    expect(await requests.collect('echo', 'x'.repeat(1_001), options, () => true)).toBe('too-large');
    await close();
  });

  it('refuse rows that are too large for the server, alone or anywhere in a batch, instead of trying again', async () => {
    await using server = await startTestServer({ extraConfig: { max_payload: 1_000 } });
    const { connection, requests, close } = await connected(server.url, way);
    const kind = { replicas: 1, storage: 'file', persist: 'sync' } as const;
    await ensureBucket(await jetstreamManager(connection), 'rows', kind);
    const bucket = createNatsBucket({
      ...{ requests, runtime: systemRuntime, name: 'rows', timeoutMs: 2_000 },
      ...{ batches: true, announceLosses: false },
    });
    const row = (key: string, size: number) => ({
      ...{ key, expectedRevision: 0 },
      value: new Uint8Array(size).fill(1),
    });
    await expect(bucket.write(row('large', 1_001))).rejects.toMatchObject({ code: 'bucket/refused' });
    for (const sizes of [
      [1_001, 1, 1],
      [1, 1_001, 1],
      [1, 1, 1_001],
    ]) {
      const rows = sizes.map((size, i) => row(`row-${i}`, size));
      await expect(bucket.writeAll?.(rows)).rejects.toMatchObject({ code: 'bucket/refused' });
    }
    expect(await bucket.writeAll?.([row('row-0', 1), row('row-1', 1)])).toMatchObject({ written: true });
    await close();
  });

  it('that NATS denies fail at once and alone, with subject and user, and are remembered until one gets through', async () => {
    const permissions = { publish: { deny: ['forbidden.>', '$KV.rows.forbidden'] } };
    await using server = await startTestServer({
      extraConfig: { authorization: { users: [{ user: 'weak', password: 'weak', permissions }] } },
    });
    const { connection, requests, close } = await connected(server.url, way, 'weak');
    connection.subscribe('echo.>', { callback: (_error, msg) => void msg.respond(msg.data) });
    const told: string[] = [];
    requests.onDenied(({ subject }) => told.push(subject));
    const denied = (subject: string) => ({ operation: 'publish', subject, user: 'weak', retryable: false });
    const started = performance.now();
    const subjects = ['echo.1', 'forbidden.a', 'echo.2', 'forbidden.b', 'forbidden.b', 'echo.3'];
    const replies = await Promise.all(subjects.map((subject) => requests.request(subject, subject, patient)));
    expect(replies.map((r) => r.failed ?? r.msg.string())).toMatchObject([
      ...['echo.1', denied('forbidden.a'), 'echo.2', denied('forbidden.b'), denied('forbidden.b'), 'echo.3'],
    ]);
    expect(await requests.collect('forbidden.c', '', patient, () => true)).toMatchObject(
      denied('forbidden.c'),
    );
    expect(requests.publish('forbidden.d', '')).toBeUndefined();
    await expect.poll(() => told).toEqual(['a', 'b', 'b', 'c', 'd'].map((last) => `forbidden.${last}`));
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(requests.denials()).toMatchObject(['a', 'b', 'c', 'd'].map((last) => denied(`forbidden.${last}`)));
    await close();
  });

  it('that NATS denies write no row, alone or anywhere in a batch', async () => {
    const permissions = { publish: { deny: ['$KV.rows.forbidden'] } };
    await using server = await startTestServer({
      extraConfig: { authorization: { users: [{ user: 'weak', password: 'weak', permissions }] } },
    });
    const { connection, requests, close } = await connected(server.url, way, 'weak');
    const kind = { replicas: 1, storage: 'file', persist: 'sync' } as const;
    await ensureBucket(await jetstreamManager(connection), 'rows', kind);
    const bucket = createNatsBucket({
      ...{ requests, runtime: systemRuntime, name: 'rows', timeoutMs: 2_000 },
      ...{ batches: true, announceLosses: false },
    });
    const row = (key: string) => ({ key, expectedRevision: 0, value: new Uint8Array([1]) });
    await expect(bucket.write(row('forbidden'))).rejects.toBeInstanceOf(PermissionDenied);
    // By its own calls the client does not see that a message in the middle of a batch was denied.
    for (const keys of way === 'lean'
      ? ['forbidden,a,b', 'a,forbidden,b', 'a,b,forbidden']
      : ['a,b,forbidden']) {
      await expect(bucket.writeAll?.(keys.split(',').map(row))).rejects.toBeInstanceOf(PermissionDenied);
    }
    expect(await bucket.writeAll?.([row('a'), row('b')])).toMatchObject({ written: true });
    await close();
  });

  it('are given up when they are closed, and taken no more, also while the connection is still there', async () => {
    await using server = await startTestServer();
    const silence = await listener(server.url);
    const { connection, requests } = await connected(server.url, way);
    const underWay = [1, 2, 3].map((i) => requests.request('silence', String(i), patient));
    await expect.poll(() => silence.heard.length).toBe(3);
    requests.close();
    expect(await Promise.all(underWay)).toEqual(underWay.map(() => ({ failed: 'connection-lost' })));
    expect(await requests.request('silence', '4', patient)).toEqual({ failed: 'not-connected' });
    expect(await requests.collect('silence', '5', patient, () => false)).toBe('not-connected');
    await connection.flush();
    await silence.connection.flush();
    expect(silence.heard).toEqual(['1', '2', '3']);
    await connection.close();
    await silence.close();
  });
});

/** A server whose users can be changed while it runs. */
async function serverWithUsers(users: (weak: object) => object) {
  const dir = await mkdtemp(join(tmpdir(), 'jetledger-users-'));
  const write = (weak: object) => writeFile(join(dir, 'users.conf'), `users: ${JSON.stringify(users(weak))}`);
  await write({});
  await writeFile(
    join(dir, 'server.conf'),
    'http: $NATS_MONITOR\njetstream { store_dir: $NATS_STORE_DIR }\nauthorization { include users.conf }\n',
  );
  const secrets = { serverVariables: { NATS_MONITOR: '127.0.0.1:-1' } };
  const server = await startSecuredServer('server.conf', secrets, { dir });
  return {
    url: server.url.replace('tls:', 'nats:'),
    change: async (weak: object) => {
      await write(weak);
      await server.reload();
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

describe('lean requests whose permissions change while they are under way', () => {
  const usersWith = (permissions: object) => [
    { user: 'weak', password: 'weak', permissions },
    { user: 'other', password: 'other' },
  ];

  it('are not taken for denied because of another one on the same subject', async () => {
    await using server = await serverWithUsers(usersWith);
    const other = await connected(server.url, 'lean', 'other');
    const heard: Msg[] = [];
    other.connection.subscribe('slow', { callback: (_error, msg) => void heard.push(msg) });
    await other.connection.flush();
    const { requests, close } = await connected(server.url, 'lean', 'weak');
    const outcomes: string[] = [];
    const ask = (name: string) =>
      void requests.request('slow', name, patient).then(({ failed }) => {
        outcomes.push(`${name}: ${failed === undefined ? 'answered' : String(failed).slice(0, 16)}`);
      });
    ask('permitted');
    await expect.poll(() => heard.length).toBe(1);
    await server.change({ publish: { deny: ['slow'] } });
    ask('denied');
    await expect.poll(() => requests.denials().length).toBe(1);
    expect(outcomes).toEqual([]);
    heard[0]?.respond('yes');
    await expect.poll(() => outcomes).toEqual(['permitted: answered', 'denied: PermissionDenied']);
    await server.change({});
    ask('granted');
    await expect.poll(() => heard.length).toBe(2);
    heard[1]?.respond('yes');
    await expect.poll(() => outcomes.at(-1)).toBe('granted: answered');
    expect(requests.denials()).toEqual([]);
    await close();
    await other.close();
  });

  it('go on once they may hear replies again, and are not sent before', async () => {
    await using server = await serverWithUsers(usersWith);
    const other = await connected(server.url, 'lean', 'other');
    const heard: string[] = [];
    other.connection.subscribe('echo', {
      callback: (_error, msg) => {
        heard.push(msg.string());
        msg.respond(msg.data);
      },
    });
    await other.connection.flush();
    const { requests, close } = await connected(server.url, 'lean', 'weak');
    expect((await requests.request('echo', 'first', patient)).failed).toBeUndefined();
    await server.change({ subscribe: { deny: ['_INBOX.>'] } });
    await expect.poll(() => requests.denials().length).toBeGreaterThan(0);
    const { failed } = await requests.request('echo', 'deaf', patient);
    expect(failed).toMatchObject({ code: 'log/permission-denied', operation: 'subscribe' });
    await server.change({});
    await expect
      .poll(async () => (await requests.request('echo', 'again', options)).failed, { timeout: 5_000 })
      .toBeUndefined();
    expect(heard).toEqual(['first', 'again']);
    await close();
    await other.close();
  });
});

describe('lean requests that wait for the end of their turn', () => {
  const failures = (replies: readonly { readonly failed?: RequestFailure | undefined }[]) =>
    replies.map(({ failed }) => failed);

  it('settle as never sent when the connection is lost, and are not sent afterwards', async () => {
    await using server = await startTestServer();
    const silence = await listener(server.url);
    const connection = await connect({
      servers: server.url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
    });
    const ask = (text: string) => requests.request('silence', text, patient);
    // Listens before the requests do, so that they hear of the loss a moment later.
    const lost = (async () => {
      for await (const { type } of connection.status()) {
        if (type === 'disconnect')
          return ['waiting 1', 'waiting 2'].map((text) => ({ at: requests.losses(), reply: ask(text) }));
      }
      return [];
    })();
    const requests = WAYS_OF_REQUESTS.lean(connection);
    const sent = ['1', '2', '3', '4', '5'].map(ask);
    await expect.poll(() => silence.heard.length).toBe(5);
    await server.kill9();
    const waiting = await lost;
    expect(waiting.map(({ at }) => at)).toEqual([0, 0]);
    expect(failures(await Promise.all(sent))).toEqual(sent.map(() => 'connection-lost'));
    expect(failures(await Promise.all(waiting.map(({ reply }) => reply)))).toEqual([
      'not-connected',
      'not-connected',
    ]);
    await server.restart();
    await expect.poll(requests.connected, { timeout: 10_000 }).toBe(true);
    await expect
      .poll(
        () =>
          silence.connection.flush().then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
    const last = ask('after');
    await expect.poll(() => silence.heard.at(-1)).toBe('after');
    expect(silence.heard).toEqual(['1', '2', '3', '4', '5', 'after']);
    requests.close();
    expect((await last).failed).toBe('connection-lost');
    await connection.close();
    await silence.close();
  });

  it('settle as never sent when they are closed, and are not sent', async () => {
    await using server = await startTestServer();
    const silence = await listener(server.url);
    const { connection, requests } = await connected(server.url, 'lean');
    const all = [1, 2, 3, 4, 5].map((i) => requests.request('silence', String(i), patient));
    requests.close();
    const unsent = ['not-connected', 'not-connected'];
    expect(failures(await Promise.all(all))).toEqual([
      'connection-lost',
      'connection-lost',
      'connection-lost',
      ...unsent,
    ]);
    await new Promise((resolve) => setImmediate(resolve));
    await connection.flush();
    await silence.connection.flush();
    expect(silence.heard).toEqual(['1', '2', '3']);
    await connection.close();
    await silence.close();
  });

  it('settle when the connection is closed without them', async () => {
    await using server = await startTestServer();
    const { connection, requests } = await connected(server.url, 'lean');
    connection.subscribe('silence', { callback: () => undefined });
    const all = [1, 2, 3, 4, 5].map((i) => requests.request('silence', String(i), patient));
    await connection.close();
    expect(
      failures(await Promise.all(all)).every(
        (failed) => failed === 'connection-lost' || failed === 'not-connected',
      ),
    ).toBe(true);
    requests.close();
  });
});
