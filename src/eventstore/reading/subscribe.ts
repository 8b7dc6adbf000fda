import type { Message } from '@bufbuild/protobuf';
import { codecOf, type EventCodec } from '../codec/event-codec.ts';
import { decidedIn } from '../codec/stored-commit.ts';
import type { EventSource } from '../decider.ts';
import { EventStoreError, mayHeal } from '../errors.ts';
import type { Log, RecordedCommit } from '../log.ts';
import { BEGINNING, before, isAfter, latest, type Position } from '../position.ts';
import { backoffMs, type Runtime, systemRuntime } from '../runtime.ts';
import { checkStream, type LogFilter, type StreamRef } from '../stream.ts';
import { positionBefore } from './list-streams.ts';
import { type StoredProgress, storeProgress } from './progress.ts';
import { type RecordedEvent, recordedEvents } from './recorded-event.ts';

/** An event's place in the log. */
export interface Place {
  readonly position: Position;
  /** Among the events of its commit; behind all of them when absent. */
  readonly index?: number | undefined;
}

/** Where a subscription begins: behind a place, with the first event that was decided at a time (ms since the epoch), or so. */
export type SubscribeFrom = 'beginning' | 'now' | Place | { readonly time: number };

/** Which events a subscription gives, from where on, and where its place is kept. */
export interface SubscribeOptions {
  /** Whose events are wanted: one decider for its category, all of them for the whole log. What is of others is passed. */
  readonly sources: readonly EventSource[];
  /** Only this aggregate's, of the one source. */
  readonly id?: string | undefined;
  /** Only events of these short names, for example `UserCreated`; others are not decoded. */
  readonly types?: readonly string[] | undefined;
  readonly from: SubscribeFrom;
  /** Ends it; the iteration then just ends. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, when everything that was stored before it began has been handed out. */
  readonly caughtUp?: (() => void) | undefined;
  /** Where its place is kept; `from` then counts at the first start only. Without it nothing is kept. */
  readonly progress?: StoredProgress | undefined;
  /** Default: the real clock and timers. */
  readonly runtime?: Runtime | undefined;
}

/** An event with the aggregate that it is of. */
export interface SubscribedEvent<Event extends Message = Message> extends RecordedEvent<Event> {
  readonly stream: StreamRef;
}

/**
 * Events in the log's order, first those that are stored and then each as it comes, without gap or repetition; a lost
 * connection is waited for. It reads only as far ahead as a window: who iterates slowly slows it down. Break out of the
 * iteration, or fire the signal, to end it; then nothing of it is left on the server.
 *
 * With `progress` each event counts as handled when the next one is asked for. That is stored behind, so after a crash
 * those of the last moments come again: at least once, and exactly once where nothing crashed.
 * @throws UnknownEventType, CorruptCommit; EventStoreError `subscription/invalid`, `subscription/taken` when another
 *   process goes on with its progress, `subscription/other-log`
 */
export async function* subscribe<Event extends Message = Message>(
  log: Log,
  options: SubscribeOptions,
): AsyncGenerator<SubscribedEvent<Event>> {
  const { signal, progress: stored, runtime = systemRuntime } = options;
  const filter = filterOf(options);
  const start = () => startOf(log, options.from);
  const progress = stored && (await storeProgress({ ...stored, log, runtime }, start));
  const wanted = wantedBy<Event>(options);
  let caughtUp = options.caughtUp;
  const from = progress?.place ?? (await start());
  try {
    for await (const { commits, isEnd } of follow(log, { filter, from, signal, runtime })) {
      for (const event of eventsIn(commits, wanted)) {
        if (!isBehind(event, from)) continue;
        if (signal?.aborted) return;
        yield event;
        progress?.handled(event);
      }
      const last = commits.at(-1);
      if (last !== undefined) progress?.handled({ position: last.position });
      if (!isEnd) continue;
      caughtUp?.();
      caughtUp = undefined;
    }
  } finally {
    await progress?.close();
  }
}

function* eventsIn<Event extends Message>(
  commits: readonly RecordedCommit[],
  wanted: (commit: RecordedCommit) => RecordedEvent<Event>[],
): Generator<SubscribedEvent<Event>> {
  for (const commit of commits) for (const event of wanted(commit)) yield { ...event, stream: commit.stream };
}

/** Whether an event lies behind a place. */
function isBehind({ position, index }: RecordedEvent, from: Place): boolean {
  if (position !== from.position) return isAfter(position, from.position);
  return from.index !== undefined && index > from.index;
}

interface Followed {
  readonly commits: readonly RecordedCommit[];
  /** True where nothing more was stored when these were read. */
  readonly isEnd: boolean;
}

/** The log from a place on, its commit included where only a part of it is done; each commit once, whatever is repeated. */
async function* follow(
  log: Log,
  options: {
    readonly filter: LogFilter;
    readonly from: Place;
    readonly signal: AbortSignal | undefined;
    readonly runtime: Runtime;
  },
): AsyncGenerator<Followed> {
  const { filter, from, signal, runtime } = options;
  let seen = from.index === undefined ? from.position : before(from.position);
  const scanning = { filter, follow: true, ...(signal && { signal }) };
  for (let attempt = 0; !signal?.aborted; attempt++) {
    try {
      for await (const batch of log.scan({ after: seen, ...scanning })) {
        attempt = 0;
        const commits = batch.commits.filter(({ position }) => isAfter(position, seen));
        seen = latest(seen, batch.through);
        yield { commits, isEnd: batch.pending === 0 };
      }
    } catch (error) {
      if (!mayHeal(error)) throw error;
    }
    if (!signal?.aborted) await runtime.sleep(backoffMs(runtime, attempt, BACKOFF_MS, BACKOFF_CAP_MS));
  }
}

const BACKOFF_MS = 20;
const BACKOFF_CAP_MS = 1_000;

async function startOf(log: Log, from: SubscribeFrom): Promise<Place> {
  if (from === 'beginning') return { position: BEGINNING };
  if (from === 'now') return { position: await log.confirm() };
  return 'time' in from ? { position: await positionOfTime(log, from.time) } : from;
}

/** The position before the first commit that was decided at a time or later; the log's end when there is none. */
async function positionOfTime(log: Log, time: number): Promise<Position> {
  const end = await log.confirm();
  for await (const { commits } of log.scan({ after: await positionBefore(log, time) })) {
    const first = commits.find((c) => decidedIn(c).some((decision) => decision.time >= time));
    if (first !== undefined) return before(first.position);
  }
  return end;
}

/** The events of a commit that are wanted. Those of other types cost a look at their names. */
function wantedBy<Event extends Message>({
  sources,
  types,
}: SubscribeOptions): (commit: RecordedCommit) => RecordedEvent<Event>[] {
  const codecs = new Map<string, EventCodec<Event>>(sources.map((s) => [s.category, codecOf(s)]));
  const only = types && new Set(types);
  return (commit) => {
    const codec = codecs.get(commit.stream.category);
    if (codec === undefined) return [];
    if (only === undefined) return recordedEvents(commit, codec);
    const names = decidedIn(commit).flatMap(({ events }) => events.map(({ type }) => type));
    if (!names.some((name) => only.has(name))) return [];
    return recordedEvents(commit, codec).filter(({ index }) => only.has(names[index] ?? ''));
  };
}

function filterOf({ sources, id }: SubscribeOptions): LogFilter {
  const [only, ...others] = sources;
  if (only === undefined) throw refused('sources names no category');
  if (id === undefined) return others.length === 0 ? { category: only.category } : {};
  if (others.length > 0)
    throw refused(`id asks for one aggregate, but sources names ${sources.length} categories`);
  return checkStream({ category: only.category, id });
}

function refused(problem: string): EventStoreError {
  return new EventStoreError('subscription/invalid', `The option ${problem}.`);
}
