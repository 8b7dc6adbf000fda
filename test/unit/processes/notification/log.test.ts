import { describe, expect, it } from 'vitest';
import { createLogNotifier } from '../../../../src/processes/notification/adapters/notifiers.ts';
import {
  notificationJson,
  parseNotification,
} from '../../../../src/processes/notification/adapters/outbox.ts';
import type { Notification } from '../../../../src/processes/notification/port.ts';

const NOTE: Notification = {
  id: 'welcome-1',
  kind: 'welcome',
  userId: 'user-1',
  text: 'Welcome, Ada.',
  time: 1_900_000_000_000,
  traceparent: '',
};

describe('the log as a way to deliver', () => {
  it('writes ids and never the text, which may speak of a person', async () => {
    const lines: unknown[] = [];
    const notifier = createLogNotifier({ info: (...line) => lines.push(line) });
    await notifier.deliver(NOTE);
    await notifier.deliver({ ...NOTE, id: 'shipped-1', kind: 'order-shipped', orderId: 'order-1' });
    expect(lines).toEqual([
      [{ notificationId: 'welcome-1', kind: 'welcome', userId: 'user-1' }, 'notification'],
      [
        { notificationId: 'shipped-1', kind: 'order-shipped', userId: 'user-1', orderId: 'order-1' },
        'notification',
      ],
    ]);
  });
});

describe('a notification as JSON', () => {
  it('reads back as it was, with and without an order', () => {
    for (const note of [NOTE, { ...NOTE, orderId: 'order-1' }]) {
      expect(parseNotification(notificationJson(note))).toEqual(note);
    }
  });

  it('is refused when a field is missing or of another type', () => {
    const good = { ...NOTE, orderId: 'order-1' };
    for (const field of ['id', 'kind', 'userId', 'text', 'time', 'traceparent'] as const) {
      const { [field]: _, ...without } = good;
      expect(() => parseNotification(JSON.stringify(without))).toThrow(TypeError);
    }
    for (const wrong of [{ kind: 'spam' }, { time: '1' }, { orderId: 7 }]) {
      expect(() => parseNotification(JSON.stringify({ ...good, ...wrong }))).toThrow(TypeError);
    }
    for (const text of ['', 'null', '[', '7']) expect(() => parseNotification(text)).toThrow(TypeError);
  });
});
