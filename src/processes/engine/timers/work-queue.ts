import {
  AckPolicy,
  type Consumer,
  type ConsumerConfig,
  type ConsumerMessages,
  DeliverPolicy,
  JetStreamApiError,
  type JsMsg,
  jetstream,
} from '@nats-io/jetstream';
import type { MsgHdrs } from '@nats-io/transport-node';
import {
  backoffMs,
  EventStoreError,
  isConflict,
  isPassing,
  LogUnavailable,
  managerOf,
  parseAck,
  type Requests,
  type Runtime,
  writeFault,
} from '../../../eventstore/index.ts';

/**
 * Stores one message in the stream that listens on the subject, and waits until it is stored.
 * @param timeoutMs how long the acknowledgement may take
 * @returns its sequence; undefined when what its headers expect of the subject does not hold
 * @throws LogUnavailable and PermissionDenied when it is not stored; OutcomeUnknown; EventStoreError `stream/refused`
 *   for good
 */
export async function publishOnce(
  requests: Requests,
  subject: string,
  payload: string | Uint8Array,
  headers: MsgHdrs,
  timeoutMs: number,
): Promise<number | undefined> {
  const reply = await requests.request(subject, payload, { headers, timeoutMs });
  if (reply.failed !== undefined)
    throw writeFault(`publishing to ${subject}`, subject, timeoutMs, reply.failed);
  const { error, seq } = parseAck(reply.msg);
  if (error === undefined) return seq;
  if (isConflict(error.errCode)) return undefined;
  if (isPassing(error.code, error.errCode)) {
    throw new LogUnavailable(`publishing to ${subject}: ${error.description}`);
  }
  throw new EventStoreError(
    'stream/refused',
    `The server refuses a message on ${subject}: ${error.description} (${error.errCode}).`,
  );
}

/** What becomes of a message once its effect was tried. */
export type WorkResult =
  | { readonly action: 'done' }
  /** To be delivered again, to whoever asks first, not before `afterMs`. */
  | { readonly action: 'retry'; readonly afterMs: number }
  /** Never again. */
  | { readonly action: 'drop'; readonly reason: string };

export interface WorkQueueOptions {
  readonly requests: Pick<Requests, 'connection' | 'apiPrefix'>;
  readonly runtime: Runtime;
  readonly stream: string;
  /** Name of the durable consumer that all instances share. */
  readonly durable: string;
  /** Which subjects of the stream. */
  readonly filter: string;
  /** How many messages this instance works on at once. */
  readonly maxInFlight: number;
  /** After how many milliseconds the server gives a message to another instance when this one died. */
  readonly ackWaitMs: number;
  /** Handles one message. `attempt` counts deliveries, those that a crash cut short included. */
  handle(msg: JsMsg, attempt: number): Promise<WorkResult>;
  /** Told when the server cannot be asked for messages or `handle` throws; it is tried again. Must not throw. */
  readonly onTrouble?: ((error: unknown) => void) | undefined;
}

/** How long one request for messages waits, in milliseconds; after a fail-over it takes this long to notice. */
const PULL_EXPIRES_MS = 2_000;
const TROUBLE_BASE_MS = 100;
const TROUBLE_CAP_MS = 2_000;
/** Messages that wait for their next try count as not acknowledged; a few that fail must not stop the others. */
const MAX_ACK_PENDING = 10_000;
/** The consumer was made with other settings, by an earlier version or another configuration. */
const EXISTS_OTHERWISE = 10148;
const SIGNS_PER_ACK_WAIT = 3;

/**
 * Works through the messages of a durable consumer until `stop`: at most `maxInFlight` at once, acknowledged after
 * their effect. Messages are asked for only when there is room for them, so none waits here while others idle.
 */
export function startWorkQueue(options: WorkQueueOptions): { stop(): Promise<void> } {
  const { runtime, maxInFlight } = options;
  const running = new Set<Promise<void>>();
  let stopping = false;
  let pull: ConsumerMessages | undefined;

  const begin = (msg: JsMsg): void => {
    const done = workOn(options, msg).finally(() => running.delete(done));
    running.add(done);
  };
  const pullOnce = async (consumer: Consumer): Promise<void> => {
    while (running.size >= maxInFlight) await Promise.race(running);
    if (stopping) return;
    pull = await consumer.fetch({ max_messages: maxInFlight - running.size, expires: PULL_EXPIRES_MS });
    if (stopping) pull.stop();
    for await (const msg of pull) begin(msg);
    pull = undefined;
  };
  const loop = async (): Promise<void> => {
    for (let failures = 0; !stopping; failures++) {
      try {
        const consumer = await openConsumer(options);
        while (!stopping) {
          await pullOnce(consumer);
          failures = 0;
        }
      } catch (error) {
        if (stopping || options.requests.connection.isClosed()) return;
        options.onTrouble?.(error);
        await runtime.sleep(backoffMs(runtime, failures, TROUBLE_BASE_MS, TROUBLE_CAP_MS));
      }
    }
  };
  const ended = loop();

  return {
    stop: async () => {
      stopping = true;
      pull?.stop();
      await ended;
      await Promise.all(running);
    },
  };
}

/** The durable consumer as it must be; made or brought up to date, so that it survives a stream that was made anew. */
async function openConsumer(options: WorkQueueOptions): Promise<Consumer> {
  const { requests, stream, durable, filter, ackWaitMs } = options;
  const jsm = await managerOf(requests);
  const config: Partial<ConsumerConfig> = {
    durable_name: durable,
    filter_subject: filter,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: ackWaitMs * 1_000_000,
    max_deliver: -1,
    max_ack_pending: MAX_ACK_PENDING,
  };
  try {
    await jsm.consumers.add(stream, config);
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.code === EXISTS_OTHERWISE)) throw error;
    await jsm.consumers.update(stream, durable, config);
  }
  const { connection, apiPrefix } = requests;
  return await jetstream(connection, { apiPrefix }).consumers.get(stream, durable);
}

async function workOn(options: WorkQueueOptions, msg: JsMsg): Promise<void> {
  // The server would take a long effect for a dead instance.
  const alive = setInterval(() => quietly(() => msg.working()), options.ackWaitMs / SIGNS_PER_ACK_WAIT);
  alive.unref();
  try {
    const result = await options.handle(msg, msg.info.deliveryCount);
    quietly(() => {
      if (result.action === 'done') msg.ack();
      else if (result.action === 'retry') msg.nak(Math.max(1, Math.round(result.afterMs)));
      else msg.term(result.reason);
    });
  } catch (error) {
    // Not acknowledged, it comes again.
    options.onTrouble?.(error);
  } finally {
    clearInterval(alive);
  }
}

/** An acknowledgement that cannot be sent is as good as one that gets lost: the message comes again. */
function quietly(action: () => void): void {
  try {
    action();
  } catch {
    return;
  }
}
