import {
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';

export interface NotificationStreamSettings {
  /** The log's prefix: the stream is `<prefix>-notifications`, its subjects `<prefix>n.<kind>.<user id>`. */
  readonly prefix: string;
  readonly replicas: number;
  /** After how many milliseconds a notification is dropped, delivered or not. */
  readonly maxAgeMs: number;
}

/** Ids are remembered for this long, in the server's memory; a longer time costs about 100 bytes a notification. */
const LONGEST_WINDOW_MS = 3_600_000;
const NANOS = 1_000_000;

export const notificationStream = (prefix: string): string => `${prefix}-notifications`;

/** The stream of notifications: kept for a while for whoever wants to look, dropped by age alone. */
export function notificationStreamConfig({
  prefix,
  replicas,
  maxAgeMs,
}: NotificationStreamSettings): Partial<StreamConfig> & { name: string } {
  return {
    name: notificationStream(prefix),
    subjects: [`${prefix}n.>`],
    storage: StorageType.File,
    compression: StoreCompression.None,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_msgs: -1,
    max_bytes: -1,
    max_msgs_per_subject: -1,
    max_age: maxAgeMs * NANOS,
    duplicate_window: Math.min(maxAgeMs, LONGEST_WINDOW_MS) * NANOS,
    num_replicas: replicas,
    allow_direct: true,
  };
}

/** What keeps a stream from being that of the notifications, one phrase each; none = fit. */
export function notificationStreamProblems(
  config: StreamConfig,
  { prefix, maxAgeMs }: Omit<NotificationStreamSettings, 'replicas'>,
): string[] {
  const problems: string[] = [];
  const must = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  must(
    config.subjects.length === 1 && config.subjects[0] === `${prefix}n.>`,
    `its subjects are not ${prefix}n.>`,
  );
  must(config.retention === RetentionPolicy.Limits, 'its retention is not by limits');
  must(
    config.max_age === maxAgeMs * NANOS,
    `it keeps messages for ${config.max_age / NANOS} ms, not ${maxAgeMs}`,
  );
  must(
    config.num_replicas === 1 || config.compression !== StoreCompression.S2,
    'it is replicated and compressed (set compression to none)',
  );
  must(config.sealed !== true, 'it is sealed');
  return problems;
}
