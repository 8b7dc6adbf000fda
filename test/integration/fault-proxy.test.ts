import { createConnection } from 'node:net';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { frameReader, isPublishTo, withoutServerAddresses } from '../support/nats-frames.ts';

let server: TestServer;
let proxy: FaultProxy;

beforeAll(async () => {
  server = await startTestServer();
  proxy = await startFaultProxy(server.url);
});

afterAll(async () => {
  await proxy.stop();
  await server.stop();
});

beforeEach(() => proxy.heal());

/** A client behind the proxy, and one that hears what reaches the server. */
async function clients(): Promise<{ near: NatsConnection; far: NatsConnection } & AsyncDisposable> {
  const near = await connect({ servers: proxy.url, maxReconnectAttempts: -1, reconnectTimeWait: 20 });
  const far = await connect({ servers: server.url });
  const close = async (): Promise<void> => {
    await Promise.all([near.close(), far.close()]);
  };
  return { near, far, [Symbol.asyncDispose]: close };
}

/** Resolves with the next message of a subject. */
function next(connection: NatsConnection, subject: string): Promise<string> {
  return new Promise((resolve) => {
    connection.subscribe(subject, { max: 1, callback: (_, msg) => resolve(msg.string()) });
  });
}

function statusOf(connection: NatsConnection, type: string): Promise<void> {
  return new Promise((resolve) => {
    void (async () => {
      for await (const status of connection.status()) if (status.type === type) return resolve();
    })();
  });
}

describe('the fault proxy', () => {
  it('passes everything, large payloads too, while there is no fault', async () => {
    await using both = await clients();
    const payload = 'x'.repeat(500_000);
    both.far.subscribe('echo', { callback: (_, msg) => void msg.respond(msg.data) });
    await both.far.flush();
    const reply = await both.near.request('echo', payload, { timeout: 5_000 });
    expect(reply.string()).toBe(payload);
  });

  it('swallows exactly the frames that it is told to', async () => {
    await using both = await clients();
    const kept = next(both.far, 'kept');
    await both.far.flush();
    proxy.drop(isPublishTo('lost'));
    both.near.publish('lost.one', 'gone');
    both.near.publish('kept', 'there');
    expect(await kept).toBe('there');
    await proxy.dropped(1);
  });

  it('delivers late what it held back, also when the client is gone by then', async () => {
    await using both = await clients();
    const arrived = next(both.far, 'late');
    await both.far.flush();
    proxy.hold('to-server');
    const client = await connectRaw(proxy);
    client.publish('late', 'but there');
    await client.end();
    let early = true;
    void arrived.then(() => expect(early).toBe(false));
    await both.far.flush();
    early = false;
    proxy.heal();
    expect(await arrived).toBe('but there');
  });

  it('loses what was sent into a black hole, and cuts the connection when it heals', async () => {
    await using both = await clients();
    const heard: string[] = [];
    both.far.subscribe('hole', { callback: (_, msg) => void heard.push(msg.string()) });
    await both.far.flush();
    proxy.blackHole();
    both.near.publish('hole', 'lost');
    await expect(both.near.request('nobody', '', { timeout: 200 })).rejects.toThrow();
    const back = statusOf(both.near, 'reconnect');
    proxy.heal();
    await back;
    both.near.publish('hole', 'found');
    await both.near.flush();
    await both.far.flush();
    expect(heard).toEqual(['found']);
  });

  it('cuts connections, and clients come back through it', async () => {
    await using both = await clients();
    const back = statusOf(both.near, 'reconnect');
    proxy.cut();
    await back;
    expect(both.near.getServer()).toBe(new URL(proxy.url).host);
    expect(proxy.connections()).toBe(1);
  });

  it('refuses connections until it heals', async () => {
    await using both = await clients();
    const lost = statusOf(both.near, 'disconnect');
    const back = statusOf(both.near, 'reconnect');
    proxy.refuse();
    await lost;
    await expect(connect({ servers: proxy.url, reconnect: false, timeout: 1_000 })).rejects.toThrow();
    proxy.heal();
    await back;
  });
});

describe('a frame reader', () => {
  it('finds the same frames however the bytes are cut', () => {
    const wire = Buffer.from(
      'INFO {"a":1}\r\nMSG s.1 1 5\r\na\r\nbc\r\nHMSG s 1 r 4 6\r\nhhhhpp\r\nPING\r\n',
    );
    for (let cut = 1; cut < wire.length; cut++) {
      const read = frameReader();
      const frames = [...read(wire.subarray(0, cut)), ...read(wire.subarray(cut))];
      expect(frames.map((frame) => frame.verb)).toEqual(['INFO', 'MSG', 'HMSG', 'PING']);
      expect(frames.map((frame) => frame.body.toString())).toEqual(['', 'a\r\nbc', 'hhhhpp', '']);
      expect(Buffer.concat(frames.map((frame) => frame.bytes)).equals(wire)).toBe(true);
    }
  });

  it('takes the addresses of other servers out of INFO, so that a client stays on its proxy', () => {
    const [frame] = frameReader()(Buffer.from('INFO {"port":1,"connect_urls":["10.0.0.1:4222"]}\r\n'));
    expect(frame && withoutServerAddresses(frame).toString()).toBe('INFO {"port":1}\r\n');
  });
});

/** A client that leaves without waiting for an answer, as a killed process does. */
async function connectRaw(
  through: FaultProxy,
): Promise<{ publish(s: string, p: string): void; end(): Promise<void> }> {
  const { hostname, port } = new URL(through.url);
  const socket = createConnection({ host: hostname, port: Number(port) });
  await new Promise((resolve) => socket.once('data', resolve));
  socket.write('CONNECT {"verbose":false}\r\n');
  return {
    publish: (subject, payload) => {
      socket.write(`PUB ${subject} ${payload.length}\r\n${payload}\r\n`);
    },
    end: () =>
      new Promise((resolve) => {
        socket.once('close', () => resolve());
        socket.end();
      }),
  };
}
