import { createHmac } from 'node:crypto';
import type { Runtime } from '../../../eventstore/index.ts';

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
    },
  };
}

export interface WebhookOptions {
  /** Who is told. May hold a secret, so it is never part of an error. */
  readonly url: string;
  /** Shared with the receiver; at least 16 characters. */
  readonly secret: string;
  readonly runtime: Pick<Runtime, 'now'>;
  /** How long the receiver may take to answer, in milliseconds. */
  readonly timeoutMs?: number;
  readonly observer?: ExchangeObserver | undefined;
}

/** The receiver did not take it. */
export class WebhookFailed extends Error {
  /** Of the answer; undefined when there was none. */
  readonly status: number | undefined;

  constructor(what: string, status?: number, cause?: unknown) {
    super(`The webhook did not take the notification: ${what}.`, cause === undefined ? undefined : { cause });
    this.name = 'WebhookFailed';
    this.status = status;
  }
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
  const { url, secret, runtime, timeoutMs = 5_000, observer } = options;
  // The path may hold a secret, so the trace does not show it.
  const request = { method: 'POST', template: undefined, url } as const;
  checkUrl(url);
  if (secret.length < SHORTEST_SECRET) {
    throw new RangeError(`The secret of the webhook needs ${SHORTEST_SECRET} characters or more.`);
  }
  return {
    deliver: async (notification) => {
      const body = notificationJson(notification);
      const seconds = Math.floor(runtime.now() / 1_000);
      const headers: Record<string, string> = {
        'content-type': 'application/json',
        'jetledger-id': notification.id,
        'jetledger-signature': `t=${seconds},v1=${webhookSignature(secret, seconds, body)}`,
        ...(notification.traceparent === '' ? {} : { traceparent: notification.traceparent }),
      };
      const { status } = await exchange(observer, request, headers, () =>
        post(url, headers, body, timeoutMs),
      );
      if (status < 200 || status > 299) throw new WebhookFailed(`status ${status}`, status);
    },
  };
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  timeoutMs: number,
): Promise<{ readonly status: number }> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' });
    // The status says it all; a body that never ends is not waited for.
    await response.body?.cancel().catch(() => undefined);
    return { status: response.status };
  } catch (cause) {
    throw new WebhookFailed(
      signal.aborted ? `no answer in ${timeoutMs} ms` : 'no connection',
      undefined,
      cause,
    );
  }
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
