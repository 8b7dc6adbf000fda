import { createHmac } from 'node:crypto';
import type { Runtime } from '../../../eventstore/index.ts';
import type { Dialler } from '../../delivery/adapters/dial.ts';
import { tryPost } from '../../delivery/adapters/try-post.ts';
import { type ExchangeObserver, exchange } from '../../exchange.ts';
import type { Notifier } from '../port.ts';
import { notificationJson } from './outbox.ts';

/** What is needed of a logger; pino fits. */
export interface NotificationLogger {
  info(fields: object, message: string): void;
}

/** "Delivers" by writing a line to the log: ids only, since the text may speak of a person. */
export function createLogNotifier(logger: NotificationLogger): Notifier {
  return {
    deliver: async ({ id, kind, userId, orderId }) => {
      logger.info(
        { notificationId: id, kind, userId, ...(orderId === undefined ? {} : { orderId }) },
        'notification',
      );
      return { taken: true };
    },
  };
}

export interface WebhookOptions {
  /** Who is told. May hold a secret, so it is never part of an error. */
  readonly url: string;
  /** Shared with the receiver; at least 16 characters. */
  readonly secret: string;
  readonly runtime: Pick<Runtime, 'now'>;
  /** To `any` target, since the operator has named the URL. */
  readonly dialler: Pick<Dialler, 'post'>;
  readonly observer?: ExchangeObserver | undefined;
}

const SHORTEST_SECRET = 16;

/** What a receiver recomputes: HMAC-SHA256 over `<seconds>.<body>`, in hexadecimal. */
export function webhookSignature(secret: string, seconds: number, body: string): string {
  return createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
}

/**
 * Delivers by POST with a signature that the receiver checks as docs/notifications.md shows. Any answer of 200 to 299
 * means "taken"; redirects are not followed.
 * @throws RangeError when the URL or the secret cannot be used
 */
export function createWebhookNotifier(options: WebhookOptions): Notifier {
  const { url, secret, runtime, dialler, observer } = options;
  checkUrl(url);
  if (secret.length < SHORTEST_SECRET) {
    throw new RangeError(`The secret of the webhook needs ${SHORTEST_SECRET} characters or more.`);
  }
  const post: Dialler['post'] = (to, given, body) => {
    const headers = { ...given };
    // The path may hold a secret, so the trace does not show it.
    const request = { method: 'POST', template: undefined, url } as const;
    return exchange(observer, request, headers, () => dialler.post(to, headers, body));
  };
  return {
    deliver: (notification) => {
      const body = notificationJson(notification);
      const seconds = Math.floor(runtime.now() / 1_000);
      const headers = {
        'content-type': 'application/json',
        'jetledger-id': notification.id,
        'jetledger-signature': `t=${seconds},v1=${webhookSignature(secret, seconds, body)}`,
        ...(notification.traceparent === '' ? {} : { traceparent: notification.traceparent }),
      };
      return tryPost({ post }, url, headers, body);
    },
  };
}

function checkUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (
    parsed === undefined ||
    !/^https?:$/.test(parsed.protocol) ||
    parsed.username + parsed.password !== ''
  ) {
    throw new RangeError(
      'The URL of the webhook must be http(s)://host[:port]/path, without user and password.',
    );
  }
}
