import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { createWebhookNotifier, WebhookFailed } from '../../src/processes/notification/adapters/notifiers.ts';
import type { Notification } from '../../src/processes/notification/port.ts';
import { answerJson, startHttpServer } from '../contract/payment-server.ts';

const SECRET = 'a secret that both sides know';
const NOW = 1_900_000_000_123;
const runtime = { now: () => NOW };

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
    const notifier = createWebhookNotifier({ url: `${server.url}/hook?x=1`, secret: SECRET, runtime });
    await notifier.deliver(NOTE);
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
      const notifier = createWebhookNotifier({ url: server.url, secret: SECRET, runtime });
      await expect(notifier.deliver(NOTE)).rejects.toMatchObject({ name: 'WebhookFailed', status });
      expect(server.received).toHaveLength(1);
    });
  }

  it('gives up on a receiver that does not answer in time, or is not there', async () => {
    const server = await startHttpServer(() => undefined);
    const notifier = createWebhookNotifier({ url: server.url, secret: SECRET, runtime, timeoutMs: 100 });
    await expect(notifier.deliver(NOTE)).rejects.toThrow(/no answer in 100 ms/);
    await server.stop();
    await expect(notifier.deliver(NOTE)).rejects.toThrow(/no connection/);
  });

  it('does not wait for a body that never ends', async () => {
    await using server = await startHttpServer((_, response) => {
      response.writeHead(200).write('and so on');
    });
    const notifier = createWebhookNotifier({ url: server.url, secret: SECRET, runtime });
    await expect(notifier.deliver(NOTE)).resolves.toBeUndefined();
  });

  it('never shows its URL or secret in an error', async () => {
    const url = 'http://127.0.0.1:1/hook/s3cr3t-path';
    const notifier = createWebhookNotifier({ url, secret: SECRET, runtime });
    const error: unknown = await notifier.deliver(NOTE).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WebhookFailed);
    expect(String(error)).not.toContain('s3cr3t');
    expect(() => createWebhookNotifier({ url, secret: 'short', runtime })).toThrow(RangeError);
    for (const bad of ['', 'ftp://x', 'http://user:pass@host/']) {
      expect(() => createWebhookNotifier({ url: bad, secret: SECRET, runtime })).toThrow(RangeError);
    }
  });
});
