import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { createDialler } from '../../src/processes/delivery/adapters/dial.ts';
import { createWebhookNotifier } from '../../src/processes/notification/adapters/notifiers.ts';
import type { Notification } from '../../src/processes/notification/port.ts';
import { answerJson, startHttpServer } from '../contract/payment-server.ts';

const SECRET = 'a secret that both sides know';
const NOW = 1_900_000_000_123;
const runtime = { now: () => NOW };
const dialler = createDialler({ targets: 'any', timeoutMs: 400 });
afterAll(dialler.close);

const notifierTo = (url: string, secret = SECRET) => createWebhookNotifier({ url, secret, runtime, dialler });

const NOTE: Notification = {
  id: 'order-confirmed-1',
  kind: 'order-confirmed',
  userId: 'user-1',
  orderId: 'order-1',
  text: 'Your order is confirmed — grüße.',
  time: 1_900_000_000_000,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
};

type Recipe = (secret: string, header: string | undefined, body: string, nowMs?: number) => boolean;

/** The recipe of docs/notifications.md, as a reader would copy it. */
async function recipe(): Promise<Recipe> {
  const text = await readFile(new URL('../../docs/notifications.md', import.meta.url), 'utf8');
  const code = /```js\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  const module: { isGenuine: Recipe } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return module.isGenuine;
}

describe('the webhook', () => {
  it('posts what the receiver can verify with the documented recipe, and nothing else passes it', async () => {
    await using server = await startHttpServer((_, response) => answerJson(response, 204, {}));
    const notifier = notifierTo(`${server.url}/hook?x=1`);
    expect(await notifier.deliver(NOTE)).toMatchObject({ taken: true });
    const [request] = server.received;
    expect(request).toMatchObject({ method: 'POST', path: '/hook?x=1' });
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json',
      'jetledger-id': NOTE.id,
      traceparent: NOTE.traceparent,
    });
    const body = request?.body ?? '';
    expect(JSON.parse(body)).toEqual(NOTE);
    const header = String(request?.headers['jetledger-signature']);
    const isGenuine = await recipe();
    expect(isGenuine(SECRET, header, body, NOW)).toBe(true);
    expect(isGenuine('another secret', header, body, NOW)).toBe(false);
    expect(isGenuine(SECRET, header, body.replace('confirmed', 'rejected'), NOW)).toBe(false);
    expect(isGenuine(SECRET, header.replace(/t=\d+/, 't=1900000001'), body, NOW)).toBe(false);
    expect(isGenuine(SECRET, header, body, NOW + 301_000)).toBe(false);
    expect(isGenuine(SECRET, undefined, body, NOW)).toBe(false);
  });

  for (const status of [301, 400, 404, 410, 429, 500, 503]) {
    it(`is to be tried again when it is answered with ${status}`, async () => {
      await using server = await startHttpServer((_, response) => {
        response.writeHead(status, { location: '/elsewhere' }).end('no');
      });
      const notifier = notifierTo(server.url);
      expect(await notifier.deliver(NOTE)).toMatchObject({ taken: false, error: `status ${status}` });
      expect(server.received).toHaveLength(1);
    });
  }

  it('is left alone for as long as a receiver asks that is busy', async () => {
    await using server = await startHttpServer((_, response) => {
      response.writeHead(429, { 'retry-after': '7' }).end();
    });
    expect(await notifierTo(server.url).deliver(NOTE)).toMatchObject({ taken: false, retryAfterMs: 7_000 });
  });

  it('is to be tried again when the receiver does not answer in time, or is not there', async () => {
    const server = await startHttpServer(() => undefined);
    const notifier = notifierTo(server.url);
    expect(await notifier.deliver(NOTE)).toEqual({ taken: false, error: 'no answer within 400 ms' });
    await server.stop();
    expect(await notifier.deliver(NOTE)).toMatchObject({
      taken: false,
      error: expect.stringMatching(/^no connection/),
    });
  });

  it('has taken it when its answer says so, also when the body never ends', async () => {
    await using server = await startHttpServer((_, response) => {
      response.writeHead(200).write('and so on');
    });
    expect(await notifierTo(server.url).deliver(NOTE)).toMatchObject({ taken: true, status: 200 });
  });

  it('never shows its URL or secret in an error', async () => {
    const tried = await notifierTo('http://127.0.0.1:1/hook/s3cr3t-path').deliver(NOTE);
    expect(tried).toMatchObject({ taken: false, error: 'no connection: ECONNREFUSED' });
    expect(() => notifierTo('http://127.0.0.1:1/', 'short')).toThrow(RangeError);
    for (const bad of ['', 'ftp://x', 'http://user:pass@host/'])
      expect(() => notifierTo(bad)).toThrow(RangeError);
  });
});
