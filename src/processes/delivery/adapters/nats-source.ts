import {
  createGets,
  EventStoreError,
  type Gets,
  isStreamMissing,
  LogUnavailable,
  lineageOf,
  managerOf,
  type Requests,
  type Runtime,
  readOrdered,
} from '../../../eventstore/index.ts';
import type { Deliverable, DeliverySource, Events } from '../port.ts';

type Message = NonNullable<Awaited<ReturnType<Gets['leader']>>>;

/** A message as the source's maker reads it. */
export type StreamedMessage = Pick<Message, 'subject' | 'seq' | 'headers' | 'data'>;

export interface NatsSourceOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  readonly stream: string;
  /** Of all its messages. */
  readonly subject: string;
  /** Of the messages that speak of one subject, where those have an own one. */
  readonly subjectOf?: (subject: string) => string;
  /** Of each request, in milliseconds. */
  readonly timeoutMs: number;
  /** What a message says; undefined for one that is passed over. */
  readonly read: (message: StreamedMessage) => Deliverable | undefined;
}

/** What one request reads at the most. */
const PAGE = 100;
const PAGE_BYTES = 1_048_576;

/** A stream of NATS whose messages are delivered; its retention is by limits. */
export function createNatsSource(options: NatsSourceOptions): DeliverySource {
  const { requests, runtime, stream, subject, timeoutMs, read } = options;
  const { subjectOf = () => subject } = options;
  const gets = createGets(requests, stream, timeoutMs);
  const info = async () => {
    try {
      return await (await managerOf(requests, timeoutMs)).streams.info(stream);
    } catch (error) {
      if (!isStreamMissing(error)) throw new LogUnavailable(`asking about ${stream}`, error);
      throw new EventStoreError('stream/missing', `There is no stream ${stream}: jetledger topology apply`);
    }
  };
  const head = async (): Promise<number> => (await info()).state.last_seq;
  const eventsOf = (messages: readonly StreamedMessage[], through: number, only?: string): Events => ({
    events: messages
      .flatMap((message) => read(message) ?? [])
      .filter((event) => only === undefined || event.subject === only),
    through,
  });
  return {
    name: stream,
    lineage: async () => lineageOf(await info()),
    head,
    page: async (after, only) => {
      const next_by_subj = only === undefined ? subject : subjectOf(only);
      // Asked first: what is stored meanwhile is not passed over.
      const found = await gets.directBatch({
        ...{ next_by_subj, seq: after + 1, batch: PAGE, max_bytes: PAGE_BYTES },
      });
      if (found.length > 0) return eventsOf(found, found.at(-1)?.seq ?? after, only);
      // Nothing is there up to the head of before; a replica may lag, and the leader says so.
      const end = await head();
      const next = end > after ? await gets.leader({ next_by_subj, seq: after + 1 }) : undefined;
      return next === undefined
        ? { events: [], through: Math.max(end, after) }
        : eventsOf([next], next.seq, only);
    },
    at: async (position) => {
      const found = await gets.leader({ seq: position });
      return found && read(found);
    },
    before: async (time) => {
      const { first_seq, last_seq } = (await info()).state;
      let [low, high] = [first_seq - 1, last_seq];
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        const found = await gets.leader({ next_by_subj: subject, seq: middle });
        // All from `middle` to what was found are gone.
        if (found === undefined || (found.time ?? 0) >= time) high = middle - 1;
        else low = Math.max(middle, found.seq);
      }
      return Math.max(low, 0);
    },
    follow: async function* (after, signal) {
      const reader = readOrdered({ requests, runtime, stream, filter: subject, after, signal });
      for await (const delivered of reader) {
        const messages = delivered.map(({ msg: { subject, headers, data }, seq }) => ({
          ...{ subject, headers, data, seq },
        }));
        yield eventsOf(messages, delivered.at(-1)?.seq ?? after);
      }
    },
  };
}
