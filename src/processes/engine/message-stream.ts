import { createHash } from 'node:crypto';
import { create, fromJson, toJson } from '@bufbuild/protobuf';
import { type BytesValue, BytesValueSchema, type Struct, StructSchema } from '@bufbuild/protobuf/wkt';
import {
  codecOf,
  createGets,
  type EventSource,
  EventStoreError,
  type Gets,
  groupOfSlot,
  isStreamMissing,
  type Lineage,
  type Log,
  type LogBatch,
  LogUnavailable,
  lineageOf,
  managerOf,
  numberOf,
  type Position,
  positionAt,
  type RecordedCommit,
  type Requests,
  type Runtime,
  readOrdered,
  slotOf,
  storedIn,
  traceHeadersOf,
} from '../../eventstore/index.ts';
import { type CausingEvent, type ReactionContext, reactionContext } from './cause.ts';
import type { Delivery, Policy, Reaction } from './reaction.ts';
import { pause } from './signal.ts';
import type { Start } from './start.ts';

/** A message of a stream that is not a log of ours. */
export interface StreamMessage
  extends CausingEvent,
    Pick<Delivery<Struct>, 'attempt' | 'redriven' | 'maybeHandled'> {
  /** The token of its subject that orders it: messages of one key come in order, one at a time. */
  readonly key: string;
  readonly subject: string;
  readonly position: Position;
  readonly data: Uint8Array;
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** As a reaction, of messages that are handed over as they are. */
export interface MessageReaction {
  readonly name: string;
  readonly from: Start;
  handle(message: StreamMessage, context: ReactionContext): Promise<void>;
  readonly policy?: Policy;
}

export interface MessageStreamSettings {
  readonly requests: Requests;
  readonly runtime: Runtime;
  /** The stream's name. Its retention is by limits: a work queue lets nobody read in order. */
  readonly stream: string;
  /** The subjects to read, as NATS filters them, with `{key}` for the token that orders: `orders.{key}.>`. */
  readonly subject: string;
  /** Of each request, in milliseconds. */
  readonly timeoutMs: number;
}

/** A stream that the engine reads as it reads a log. */
export interface MessageStream {
  /** For `startEngine`, with a prefix of its own: these positions are not those of the service's log. */
  readonly log: Log;
  /** Makes a reaction to messages one that the engine runs. */
  reaction(reaction: MessageReaction): Reaction;
}

/** A message is to the engine what a commit is: two events, its bytes and what else there is of it. */
const source: EventSource = { category: 'message', events: [BytesValueSchema, StructSchema] };
const codec = codecOf<BytesValue | Struct>(source);

/** After a look that was not answered, in milliseconds. */
const LOOK_AGAIN_MS = 250;
/** A reader that had to start again has done so by then, or tries still. */
const STARTED_MS = 5_000;

type About = { subject: string; headers: Record<string, string[]> };

type StoredMessage = NonNullable<Awaited<ReturnType<Gets['leader']>>>;

/**
 * Opens a stream whose messages are no commits of ours. Every group of a consumer reads all of its subjects and passes
 * over the keys of the others.
 * @throws RangeError for a subject without exactly one `{key}`; LogUnavailable; EventStoreError where there is no such stream
 */
export async function openMessageStream(settings: MessageStreamSettings): Promise<MessageStream> {
  const { requests, stream, subject, timeoutMs } = settings;
  const tokens = subject.split('.');
  const place = tokens.indexOf('{key}');
  if (place < 0 || place !== tokens.lastIndexOf('{key}'))
    throw new RangeError(`The subject ${subject} must have the token {key} once, as in orders.{key}.>`);
  const filter = tokens.with(place, '*').join('.');
  const gets = createGets(requests, stream, timeoutMs);
  const info = () => infoOf(settings);
  let lineage = ownLineage(stream, await info());
  /** Looks again: it may have come back from a backup meanwhile. */
  const look = async () => {
    const found = await info();
    lineage = ownLineage(stream, found);
    return { end: positionAt(found.state.last_seq), incarnation: lineage.incarnation };
  };
  const keyOf = (of: string): string => of.split('.')[place] ?? '';
  const commitOf = (message: StoredMessage): RecordedCommit =>
    recorded(message, storedIn(lineage, message.seq), keyOf(message.subject));
  const found = (message: StoredMessage | undefined) => message && commitOf(message);
  // Of messages that are gone, too.
  const head = async () => (await look()).end;
  const log: Log = {
    get incarnation() {
      return lineage.incarnation;
    },
    get former() {
      return lineage.former;
    },
    head,
    confirm: head,
    at: async (position) => found(await gets.leader({ seq: numberOf(position) })),
    next: async (position) => found(await gets.leader({ next_by_subj: filter, seq: numberOf(position) })),
    scan: (options) => scan({ ...settings, ...lineage, look }, filter, commitOf, options),
    read: async () => ({ commits: [], confirmedEnd: true, more: false }),
    last: async () => undefined,
    append: async () => refuse(stream),
    appendAll: async () => refuse(stream),
  };
  return { log, reaction: (reaction) => reactionTo(reaction, keyOf) };
}

function refuse(stream: string): never {
  const message = `The stream ${stream} is only read. Give startEngine the \`handler\` of the log that commands go to.`;
  throw new EventStoreError('stream/read-only', message);
}

/** As the log of a consumer's engine knows it. */
function ownLineage(stream: string, info: Parameters<typeof lineageOf>[0]): Lineage {
  const { incarnation, former } = lineageOf(info);
  const named = (of: string): string => `${stream}@${of}`;
  return {
    incarnation: named(incarnation),
    former: former.map((one) => ({ ...one, incarnation: named(one.incarnation) })),
  };
}

interface Watching {
  /** As it is known. */
  readonly incarnation: string;
  /** As it is now. @throws LogUnavailable; EventStoreError while there is none */
  readonly look: () => Promise<Pick<Lineage, 'incarnation'>>;
}

/** Ends where the stream is another one by now: its sequences may mean other messages. */
async function* scan(
  { requests, runtime, stream, ...watching }: MessageStreamSettings & Watching,
  filter: string,
  commitOf: (message: StoredMessage) => RecordedCommit,
  { after, filter: wanted, follow, signal: left }: Parameters<Log['scan']>[0],
): AsyncGenerator<LogBatch> {
  const group = wanted?.group;
  const isWanted = ({ stream: { id } }: RecordedCommit): boolean =>
    group === undefined || groupOfSlot(slotOf(id), group.count) === group.index;
  const watch = watchStream(watching, runtime, left);
  const { signal, restarted: onRestart } = watch;
  const from = { after: numberOf(after), signal, onRestart };
  try {
    for await (const delivered of readOrdered({ requests, runtime, stream, filter, ...from })) {
      if (!(await watch.isSame())) return;
      const last = delivered.at(-1);
      const messages = delivered.map(({ msg: { subject, headers, data }, seq }) => ({
        subject,
        headers,
        data,
        seq,
      }));
      const commits = messages.map(commitOf).filter(isWanted);
      yield { commits, through: last ? positionAt(last.seq) : after, pending: last?.pending ?? 0 };
      if (follow !== true && (last?.pending ?? 0) === 0) return;
    }
  } finally {
    watch.end();
  }
}

/** Looks whenever a reader starts, at first or again: who replaces a stream takes its consumers away. */
function watchStream({ incarnation, look }: Watching, runtime: Runtime, left: AbortSignal | undefined) {
  const ended = new AbortController();
  const signal = left === undefined ? ended.signal : AbortSignal.any([left, ended.signal]);
  let starts = 1;
  let checked = 0;
  const check = async (): Promise<void> => {
    for (let known = false; !known && !signal.aborted; ) {
      const found = await look().catch(() => undefined);
      known = found !== undefined;
      if (found === undefined) await pause(runtime, LOOK_AGAIN_MS, signal);
      else if (found.incarnation !== incarnation) ended.abort();
    }
  };
  /** For a reader that nothing comes to, which would wait at a place that a new stream may never reach. */
  const checkOn = async (): Promise<void> => {
    for (let seen = 0; seen < starts && !signal.aborted; ) {
      seen = starts;
      await check();
      // By then it reads, and not from what was there before.
      await pause(runtime, STARTED_MS, signal);
      await check();
    }
    isChecking = false;
  };
  let isChecking = false;
  const restarted = (): void => {
    starts++;
    if (isChecking) return;
    isChecking = true;
    void checkOn();
  };
  return {
    signal,
    restarted,
    /** Asked for what has come: false once it is another stream. */
    isSame: async (): Promise<boolean> => {
      const at = starts;
      if (checked < at) await check();
      checked = at;
      return !ended.signal.aborted;
    },
    end: () => ended.abort(),
  };
}

async function infoOf({ requests, stream, timeoutMs }: MessageStreamSettings) {
  try {
    return await (await managerOf(requests, timeoutMs)).streams.info(stream);
  } catch (error) {
    if (!isStreamMissing(error)) throw new LogUnavailable(`asking about ${stream}`, error);
    throw new EventStoreError(
      'stream/missing',
      `There is no stream ${stream}; its name is as \`nats stream ls\` shows it.`,
    );
  }
}

/** As a commit with one decision, which is made when somebody looks at it: most groups only look at the key. */
function recorded(message: StoredMessage, incarnation: string, key: string): RecordedCommit {
  const commitId = `${incarnation}/${message.seq}`;
  let decisions: RecordedCommit['decisions'] | undefined;
  return {
    stream: { category: source.category, id: idOf(key) },
    position: positionAt(message.seq),
    previous: undefined,
    commitId,
    get decisions() {
      decisions ??= [decisionOf(message, commitId)];
      return decisions;
    },
  };
}

function decisionOf(message: StoredMessage, commitId: string): RecordedCommit['decisions'][number] {
  const { subject, data, headers, time = 0 } = message;
  const about: About = { subject, headers: headersOf(headers) };
  return {
    $typeName: 'jetledger.eventstore.v1.Decision',
    commandId: commitId,
    correlationId: commitId,
    causationId: '',
    actor: '',
    fingerprint: new Uint8Array(),
    metadata: [],
    ...{ traceparent: '', tracestate: '' },
    ...traceHeadersOf(headers),
    time: BigInt(time),
    events: [create(BytesValueSchema, { value: data }), fromJson(StructSchema, about)].map((event) =>
      codec.encode(event),
    ),
  };
}

function headersOf(headers: StoredMessage['headers']): About['headers'] {
  return Object.fromEntries([...(headers ?? [])]);
}

const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** A key as an aggregate's id: as it is where it may be one, else a digest, which no such id can be. */
function idOf(key: string): string {
  return ID.test(key) ? key : `=${createHash('sha256').update(key).digest('base64url')}`;
}

function reactionTo(
  { name, from, policy, handle }: MessageReaction,
  keyOf: (subject: string) => string,
): Reaction {
  return {
    name,
    from,
    sources: [source],
    ...(policy && { policy }),
    handle: async ({ position, events, attempt, redriven, maybeHandled }, { handler }) => {
      const [bytes, rest] = events;
      if (bytes === undefined || rest === undefined) return;
      const { id, commandId, correlationId, traceparent, tracestate } = bytes;
      const about = toJson(StructSchema, rest.event as Struct) as About;
      const { value: data } = bytes.event as BytesValue;
      const message = {
        ...about,
        key: keyOf(about.subject),
        data,
        position,
        attempt,
        redriven,
        maybeHandled,
      };
      const cause = { id, commandId, correlationId, traceparent, tracestate };
      await handle({ ...cause, ...message }, reactionContext(handler, name));
    },
  };
}
