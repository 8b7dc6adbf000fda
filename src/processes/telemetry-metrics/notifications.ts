import type { Meter } from '@opentelemetry/api';
import type { DeliveryOutcome } from '../notification/adapters/delivery.ts';
import type { Notification } from '../notification/port.ts';

/** What a message that is no notification is counted as. */
const NO_KIND = 'unreadable';
const OUTCOMES: readonly DeliveryOutcome[] = ['sent', 'retried', 'given_up'];
const KINDS: readonly Notification['kind'][] = [
  'welcome',
  'order-confirmed',
  'order-rejected',
  'order-shipped',
];

/** Counts deliveries by kind and outcome. */
export function meterNotifications(
  meter: Meter,
): (notification: Notification | undefined, outcome: DeliveryOutcome) => void {
  const notifications = meter.createCounter('jetledger.notifications', {
    description: 'Notifications by what came of each try to deliver them',
  });
  for (const kind of KINDS) for (const outcome of OUTCOMES) notifications.add(0, { kind, outcome });
  return (notification, outcome) => notifications.add(1, { kind: notification?.kind ?? NO_KIND, outcome });
}
