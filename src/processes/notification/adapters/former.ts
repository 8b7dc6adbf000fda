import type { ConsumerInfo, JsMsg } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import {
  isStreamMissing,
  LogUnavailable,
  managerOf,
  mayHeal,
  type Requests,
  type Runtime,
} from '../../../eventstore/index.ts';
import { pause, publishOnce, startWorkQueue } from '../../engine/index.ts';
import { MESSAGE_ID, notificationStream } from './outbox.ts';

// Versions before the delivery engine shared the notifications by a durable consumer. What it holds is carried over once;
// the consumer stays, or an instance of such a version would make it anew and begin with everything.

/** The durable consumer of these versions. */
const DURABLE = 'delivery';
/** Two requests of one of their instances are no further apart, unless all that it delivers hangs. */
const LOOK_MS = 2_000;
const ACK_WAIT_MS = 30_000;

interface FormerOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  /** The log's prefix. */
  readonly prefix: string;
  /** Of each request, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Up to which sequence of the stream an earlier version has begun to deliver; 0 where none has.
 * @throws LogUnavailable while an instance of it still does
 */
export async function formerPlace(options: FormerOptions): Promise<number> {
  const before = await look(options);
  if (before === undefined) return 0;
  await options.runtime.sleep(LOOK_MS);
  const now = await look(options);
  if (now === undefined) return 0;
  if (now.num_waiting > 0 || now.delivered.consumer_seq !== before.delivered.consumer_seq)
    throw new LogUnavailable('beginning with notifications: an instance of an earlier version delivers them');
  return now.delivered.stream_seq;
}

interface CarryOverOptions extends FormerOptions {
  /** Whether the place that `formerPlace` has told is stored. */
  readonly isPlaced: () => Promise<boolean>;
  readonly onTrouble: (what: string, error: unknown) => void;
}

/**
 * Once there is a place: puts what an earlier version was delivering on the stream once more, with the same ids, until
 * nothing is left or the signal fires.
 */
export async function carryOver(options: CarryOverOptions, signal: AbortSignal): Promise<void> {
  const { requests, runtime, prefix, isPlaced, onTrouble } = options;
  const isLeft = async (): Promise<boolean> => ((await look(options))?.num_ack_pending ?? 0) > 0;
  const stream = notificationStream(prefix);
  const trouble = (error: unknown): void => onTrouble('carrying notifications over', error);
  let queue: ReturnType<typeof startWorkQueue> | undefined;
  for (let placed = false; !signal.aborted; ) {
    try {
      placed ||= await isPlaced();
      if (placed && !(await isLeft())) break;
      if (placed)
        queue ??= startWorkQueue({
          ...{ requests, runtime, stream, durable: DURABLE, filter: `${prefix}n.>`, ackWaitMs: ACK_WAIT_MS },
          maxInFlight: 16,
          handle: async (msg, attempt) => {
            // What comes for the first time lies behind the new place.
            if (attempt > 1) await publishAgain(options, msg);
            return { action: 'done' };
          },
          onTrouble: trouble,
        });
    } catch (error) {
      if (!mayHeal(error)) trouble(error);
    }
    await pause(runtime, LOOK_MS, signal);
  }
  await queue?.stop();
}

async function publishAgain({ requests, timeoutMs }: FormerOptions, msg: JsMsg): Promise<void> {
  const again = headers();
  for (const [name, values] of msg.headers ?? []) for (const value of values) again.append(name, value);
  again.set(MESSAGE_ID, `${msg.headers?.get(MESSAGE_ID) || msg.seq}/carried-over`);
  await publishOnce(requests, msg.subject, msg.data, again, timeoutMs);
}

async function look({ requests, prefix, timeoutMs }: FormerOptions): Promise<ConsumerInfo | undefined> {
  try {
    return await (await managerOf(requests, timeoutMs)).consumers.info(notificationStream(prefix), DURABLE);
  } catch (error) {
    // A consumer that is missing is answered as a stream is.
    if (isStreamMissing(error)) return undefined;
    throw new LogUnavailable('asking how far notifications are', error);
  }
}
