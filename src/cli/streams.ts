import type { Config } from '../platform/config/schema.ts';
import type { PlannedStream } from '../platform/topology.ts';
import { timersStreamConfig, timersStreamProblems } from '../processes/engine/adapters/timers-stream.ts';
import {
  notificationStreamConfig,
  notificationStreamProblems,
} from '../processes/notification/adapters/notification-stream.ts';

/** The streams beside the log: timers, and notifications with their short retention. */
export function streamsOf({ log, notifications }: Config): readonly PlannedStream[] {
  const { prefix, replicas } = log;
  const maxAgeMs = notifications.keepMs;
  return [
    {
      config: timersStreamConfig({ prefix, replicas }),
      problems: (existing) => timersStreamProblems(existing, { prefix }),
    },
    {
      config: notificationStreamConfig({ prefix, replicas, maxAgeMs }),
      problems: (existing) => notificationStreamProblems(existing, { prefix, maxAgeMs }),
    },
  ];
}
