import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig } from '@nats-io/jetstream';

export interface TimersSettings {
  /** The log's prefix: the stream is `<prefix>-timers`, its subjects `<prefix>t.>`. */
  readonly prefix: string;
  readonly replicas: number;
}

export const timersStream = (prefix: string): string => `${prefix}-timers`;

/**
 * The stream of timers. A schedule stays until its time has come, a fired timer until it is acknowledged, and of each
 * there is one per kind and id. It must be a stream of its own: schedules allow roll-ups, and those can remove messages.
 */
export function timersStreamConfig({
  prefix,
  replicas,
}: TimersSettings): Partial<StreamConfig> & { name: string } {
  return {
    name: timersStream(prefix),
    subjects: [`${prefix}t.>`],
    storage: StorageType.File,
    retention: RetentionPolicy.Workqueue,
    // The server takes no schedules with discard new; without limits nothing is ever discarded.
    discard: DiscardPolicy.Old,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: 1,
    num_replicas: replicas,
    allow_direct: true,
    allow_msg_schedules: true,
    deny_delete: true,
    deny_purge: false,
  };
}

/** What keeps a stream from being the timers', one phrase each; none = fit. */
export function timersStreamProblems(
  config: StreamConfig,
  { prefix }: Pick<TimersSettings, 'prefix'>,
): string[] {
  const problems: string[] = [];
  const must = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  must(
    config.subjects.length === 1 && config.subjects[0] === `${prefix}t.>`,
    `its subjects are not ${prefix}t.>`,
  );
  must(
    config.allow_msg_schedules === true,
    'schedules are off (allow_msg_schedules), or the server is too old for them',
  );
  must(config.storage === StorageType.File, 'it is not on file storage');
  must(
    config.retention === RetentionPolicy.Workqueue,
    'it does not keep messages until they are acknowledged',
  );
  must(
    config.max_msgs <= 0 && config.max_bytes <= 0 && config.max_age === 0,
    'it has a limit on messages, bytes or age, which drops timers',
  );
  must(config.max_msgs_per_subject === 1, 'it does not keep exactly one message per subject');
  must(config.deny_purge === false, 'it denies purging, so no timer can be disarmed');
  must(config.sealed !== true, 'it is sealed');
  return problems;
}
