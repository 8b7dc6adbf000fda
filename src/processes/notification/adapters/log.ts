import type { Notifier } from '../port.ts';

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
