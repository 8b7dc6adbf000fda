import {
  DiscardPolicy,
  type JsMsg,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import {
  backoffMs,
  LogUnavailable,
  type Requests,
  type Runtime,
  setTraceHeaders,
  traceHeadersOf,
  writeFault,
} from '../../../eventstore/index.ts';

import type { EngineObserver } from '../observer.ts';
import { type Fired, type Timers, timerName } from './timers.ts';
import { publishOnce, startWorkQueue, type WorkResult } from './work-queue.ts';

export interface TimersSettings {
  /** The log's prefix: the stream is `<prefix>-timers`, its subjects `<prefix>t.>`. */
  readonly prefix: string;
  readonly replicas: number;
}

/** The name of the stream that holds armed and fired timers. @param prefix of the log */
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

export interface NatsTimersOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  /** The log's prefix; the stream must be there (`timersStreamConfig`). */
  readonly prefix: string;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How many fired timers this instance handles at once. */
  readonly maxInFlight?: number;
  /** After how many milliseconds another instance gets what a dead one was handling. */
  readonly ackWaitMs?: number;
  /** Bounds of the pause before a handler that threw is called again, in milliseconds. */
  readonly retryBaseMs?: number;
  readonly retryCapMs?: number;
  /** Told what goes wrong and is tried again: a handler that threw, a server that does not answer. */
  readonly onTrouble?: (what: string, error: unknown) => void;
  readonly observer?: EngineObserver | undefined;
}

const DURABLE = 'fired';
const LATEST_MS = Date.UTC(9999, 11, 31);

/** Timers as NATS message schedules (protocol 13): the server publishes what a schedule holds when its time has come. */
export function createNatsTimers(options: NatsTimersOptions): Timers {
  const { requests, prefix, timeoutMs, maxInFlight = 32, ackWaitMs = 30_000 } = options;
  const stream = timersStream(prefix);
  const scheduleOf = (kind: string, id: string): string => `${prefix}t.schedule.${timerName(kind, id)}`;

  return {
    arm: async ({ kind, id, at }) => {
      const subject = scheduleOf(kind, id);
      const message = headers();
      message.set('Nats-Schedule', `@at ${instant(at)}`);
      message.set('Nats-Schedule-Target', `${prefix}t.fire.${timerName(kind, id)}`);
      // The server keeps them for the message that it publishes when the time has come.
      setTraceHeaders(message);
      await publishOnce(requests, subject, JSON.stringify({ at }), message, timeoutMs);
    },
    disarm: async (kind, id) => {
      const filter = scheduleOf(kind, id);
      await purge(requests, stream, filter, timeoutMs);
    },
    deliver: (handle) =>
      startWorkQueue({
        requests,
        runtime: options.runtime,
        stream,
        durable: DURABLE,
        filter: `${prefix}t.fire.>`,
        maxInFlight,
        ackWaitMs,
        handle: (msg, attempt) => handleFired(options, msg, attempt, handle),
        onTrouble: (error) => options.onTrouble?.('asking for fired timers', error),
      }),
  };
}

async function handleFired(
  options: NatsTimersOptions,
  msg: JsMsg,
  attempt: number,
  handle: (fired: Fired) => Promise<void>,
): Promise<WorkResult> {
  const { runtime, retryBaseMs = 500, retryCapMs = 60_000, onTrouble, observer } = options;
  const [kind = '', id = ''] = msg.subject.split('.').slice(-2);
  const at = timeOf(msg);
  if (at === undefined) {
    onTrouble?.(`the timer ${kind}/${id} has no time`, new TypeError(`unusable message ${msg.seq}`));
    return { action: 'drop', reason: 'not a timer' };
  }
  // The server's clock may be ahead of this one, and the handler asks this one whether the time has come.
  const early = at - runtime.now();
  if (early > 0) return { action: 'retry', afterMs: early };
  try {
    const fired = { kind, id, at, attempt, ...traceHeadersOf(msg.headers) };
    await (observer?.aroundTimer === undefined ? handle(fired) : observer.aroundTimer(fired, handle));
    // A kind that nobody knows is refused by the handler and does not come here.
    observer?.fired?.(fired);
    return { action: 'done' };
  } catch (error) {
    onTrouble?.(`handling the timer ${kind}/${id}, attempt ${attempt}`, error);
    return { action: 'retry', afterMs: backoffMs(runtime, attempt - 1, retryBaseMs, retryCapMs) };
  }
}

function timeOf(msg: JsMsg): number | undefined {
  try {
    const { at } = msg.json<{ at?: unknown }>();
    return typeof at === 'number' ? at : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 3339; years before 1970 and after 9999 are moved inside, so that every number is a time. */
function instant(at: number): string {
  return new Date(Math.min(Math.max(0, Math.round(at)), LATEST_MS)).toISOString();
}

/** Removes a schedule. The server forgets it with its message, in 2.12 too; cancelling by header needs 2.14. */
async function purge(requests: Requests, stream: string, filter: string, timeoutMs: number): Promise<void> {
  const payload = JSON.stringify({ filter });
  const reply = await requests.request(`${requests.apiPrefix}.STREAM.PURGE.${stream}`, payload, {
    timeoutMs,
  });
  if (reply.failed !== undefined) throw writeFault(`disarming ${filter}`, filter, timeoutMs, reply.failed);
  const answer = JSON.parse(reply.msg.string()) as { error?: { description?: string } };
  if (answer.error !== undefined) {
    throw new LogUnavailable(`disarming ${filter}: ${answer.error.description ?? 'refused'}`);
  }
}
