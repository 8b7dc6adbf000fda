import type { Notification } from '../port.ts';

const KINDS: ReadonlySet<string> = new Set<Notification['kind']>([
  'welcome',
  'order-confirmed',
  'order-rejected',
  'order-shipped',
]);

/** As JSON, the same on the stream and in a webhook. */
export function notificationJson(notification: Notification): string {
  const { id, kind, userId, orderId, text, time, traceparent } = notification;
  return JSON.stringify({
    id,
    kind,
    userId,
    ...(orderId === undefined ? {} : { orderId }),
    text,
    time,
    traceparent,
  });
}

/** The notification that JSON holds. @throws TypeError when it is none */
export function parseNotification(json: string): Notification {
  const found = parsed(json);
  const text = (field: keyof Notification): string => {
    const value = found[field];
    if (typeof value !== 'string') throw new TypeError(`The notification has no usable ${field}.`);
    return value;
  };
  const { kind, time, orderId } = found;
  if (!isKind(kind)) throw new TypeError('The notification has no usable kind.');
  if (typeof time !== 'number') throw new TypeError('The notification has no usable time.');
  return {
    id: text('id'),
    kind,
    userId: text('userId'),
    ...(orderId === undefined ? {} : { orderId: text('orderId') }),
    text: text('text'),
    time,
    traceparent: text('traceparent'),
  };
}

function parsed(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch (cause) {
    throw new TypeError('The notification is not JSON.', { cause });
  }
  throw new TypeError('The notification is not a JSON object.');
}

const isKind = (kind: unknown): kind is Notification['kind'] => typeof kind === 'string' && KINDS.has(kind);
