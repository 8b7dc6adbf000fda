import {
  BEGINNING,
  type Bucket,
  comparePositions,
  isAfter,
  keyOf,
  type Position,
  type Runtime,
  type StoredTrace,
  type StreamRef,
  withoutHidden,
} from '../../../eventstore/index.ts';
import type { EngineObserver } from '../observer.ts';
import { type Buckets, bucketNames, toBytes, writeRow } from '../rows.ts';
import { causeOf } from './causes.ts';
import {
  auditOf,
  type DeadLetter,
  type DeadLetterRequest,
  entryKey,
  entryOf,
  parseEntryKey,
} from './entry.ts';

/** Which dead letters are meant; nothing means all. */
export interface DeadLetterFilter {
  readonly consumer?: string;
  readonly category?: string;
  readonly id?: string;
  /** Exactly this one. */
  readonly position?: Position;
  /** This one and older ones. */
  readonly upTo?: Position;
  /** Those that came of the same thing, as `causeOf` says. */
  readonly cause?: string;
}

/** What an operator's request came to. */
export interface DeadLetterAnswer {
  /**
   * The commits that were marked, or with `dryRun` would be, in the order of their positions. More than were asked for
   * when an earlier commit of the same aggregate has to go first.
   */
  readonly marked: readonly DeadLetter[];
  /** Commits that changed while they were being marked; ask again. */
  readonly changed: readonly DeadLetter[];
}

export interface DeadLetterAction {
  /** Who asks; kept in the entry and in the audit row. */
  readonly by: string;
  /** Names the request, so that what became of what it marked can be told. */
  readonly id?: string;
  /** Why they are given up; kept like `by`. */
  readonly reason?: string;
  /** Says what would be marked and marks nothing. */
  readonly dryRun?: boolean;
  /** Of the request; kept with the mark, so that the try can link to it. */
  readonly trace?: StoredTrace;
  /** Told while they are marked: how many by now, of how many. */
  readonly onMarked?: (done: number, total: number) => void;
}

/**
 * What operators may ask of the dead letters. Asking is all they do: the owner of the group acts on it, in the order
 * of the aggregate, and the entry is gone when that has succeeded. Repeating a request is safe.
 */
export interface DeadLetterPort {
  /** Dead letters in the order of their positions. @throws LogUnavailable */
  list(filter?: DeadLetterFilter): Promise<readonly DeadLetter[]>;
  /** Every dead letter, and every one that was given up, whose audit row is kept; one after the other. @throws LogUnavailable */
  all(): AsyncIterable<DeadLetter>;
  /** One of them. @throws LogUnavailable */
  show(consumer: string, stream: StreamRef, position: Position): Promise<DeadLetter | undefined>;
  /**
   * Asks that they be handled again: one, an aggregate's, a consumer's, up to a position. Those that wait behind follow
   * by themselves. @throws LogUnavailable, OutcomeUnknown
   */
  redrive(filter: DeadLetterFilter, order: DeadLetterAction): Promise<DeadLetterAnswer>;
  /**
   * Asks that they be given up for ever; an audit row is kept. Those that wait behind are then handled.
   * @throws LogUnavailable, OutcomeUnknown
   */
  discard(filter: DeadLetterFilter, order: DeadLetterAction): Promise<DeadLetterAnswer>;
}

/** The dead letters of the engine whose buckets have this prefix; the bucket is made when there is none. */
export function createDeadLetterPort(deps: {
  buckets: Buckets;
  prefix: string;
  runtime: Runtime;
  observer?: EngineObserver | undefined;
  /** Fields of events that are shown to nobody; what earlier versions kept holds them. */
  hidden?: ReadonlySet<string>;
}): DeadLetterPort {
  const { buckets, prefix, runtime, observer, hidden = new Set() } = deps;
  let opened: Bucket | undefined;
  const open = async (): Promise<Bucket> => {
    opened ??= await buckets.create(bucketNames(prefix).parked, { durable: true });
    return opened;
  };

  const list = async (filter: DeadLetterFilter = {}): Promise<readonly DeadLetter[]> => {
    const found: DeadLetter[] = [];
    const bucket = await open();
    const from = filter.consumer === undefined ? {} : { prefix: `${filter.consumer}.` };
    for await (const row of bucket.rows(from)) {
      const entry = keyMatches(row.key, filter) ? entryOf(row) : undefined;
      if (entry === undefined || (filter.cause ?? causeOf(entry)) !== causeOf(entry)) continue;
      found.push(shownEntry(entry, hidden));
    }
    return found.sort(
      (a, b) => comparePositions(a.position, b.position) || a.consumer.localeCompare(b.consumer),
    );
  };

  const mark = async (entry: DeadLetter, request: DeadLetterRequest): Promise<'marked' | 'changed'> => {
    const bucket = await open();
    const key = entryKey(entry.consumer, entry, entry.position);
    const row = await bucket.get(key, { leader: true });
    const now = entryOf(row);
    if (row === undefined || now === undefined) return 'changed';
    // Asked for already: the request stands as it is.
    if (now.request?.requested === request.requested) return 'marked';
    const value = toBytes({ ...now, request, write: runtime.id() } satisfies DeadLetter);
    const how = { runtime, signal: AbortSignal.abort() };
    const write = { key, value, expectedRevision: row.revision };
    return (await writeRow(how, bucket, write)).written ? 'marked' : 'changed';
  };

  const ask = async (
    requested: DeadLetterRequest['requested'],
    filter: DeadLetterFilter,
    { by, id, reason, dryRun = false, trace, onMarked }: DeadLetterAction,
  ): Promise<DeadLetterAnswer> => {
    const { position, upTo, cause, ...where } = filter;
    const chosen = choose(await list(where), filter, requested);
    if (dryRun) return { marked: chosen, changed: [] };
    const marked: DeadLetter[] = [];
    const changed: DeadLetter[] = [];
    for (const entry of chosen) {
      const result = await mark(entry, {
        requested,
        by,
        at: runtime.now(),
        id,
        reason,
        ...(trace && { trace }),
      });
      (result === 'marked' ? marked : changed).push(entry);
      onMarked?.(marked.length + changed.length, chosen.length);
    }
    return { marked, changed };
  };

  async function* all(): AsyncGenerator<DeadLetter> {
    for await (const row of (await open()).rows()) {
      const entry = entryOf(row) ?? auditOf(row);
      if (entry !== undefined) yield shownEntry(entry, hidden);
    }
  }

  return {
    list,
    all,
    show: async (consumer, stream, position) => {
      const row = await (await open()).get(entryKey(consumer, stream, position), { leader: true });
      const entry = entryOf(row);
      return entry && shownEntry(entry, hidden);
    },
    redrive: (filter, order) => {
      // Marks nothing: there is nothing to trace.
      if (observer?.aroundRedrive === undefined || order.dryRun) return ask('redrive', filter, order);
      return observer.aroundRedrive(order.trace ?? {}, (trace) =>
        ask('redrive', filter, { ...order, trace }),
      );
    },
    discard: (filter, order) => ask('discard', filter, order),
  };
}

function shownEntry(entry: DeadLetter, hidden: ReadonlySet<string>): DeadLetter {
  const events = entry.events.map((event) => ({ ...event, payload: withoutHidden(event.payload, hidden) }));
  return { ...entry, events };
}

function keyMatches(key: string, { consumer, category, id, position, upTo }: DeadLetterFilter): boolean {
  const named = parseEntryKey(key);
  if (named === undefined) return false;
  return (
    (consumer === undefined || consumer === named.consumer) &&
    (category === undefined || category === named.stream.category) &&
    (id === undefined || id === named.stream.id) &&
    (position === undefined || position === named.position) &&
    (upTo === undefined || !isAfter(named.position, upTo))
  );
}

/**
 * The entries to mark. What waits behind follows by itself, so it is marked only when it is named; and whatever is
 * redriven takes the failed ones before it along, since an aggregate's order holds.
 */
function choose(
  entries: readonly DeadLetter[],
  { position, upTo, cause }: DeadLetterFilter,
  requested: DeadLetterRequest['requested'],
): DeadLetter[] {
  const isNamed = (entry: DeadLetter): boolean =>
    (cause === undefined || causeOf(entry) === cause) &&
    (position === undefined
      ? !entry.behind && (upTo === undefined || !isAfter(entry.position, upTo))
      : entry.position === position);
  if (requested === 'discard') return entries.filter(isNamed);
  const last = new Map<string, Position>();
  const aggregateOf = (entry: DeadLetter): string => `${entry.consumer} ${keyOf(entry)}`;
  for (const entry of entries) if (isNamed(entry)) last.set(aggregateOf(entry), entry.position);
  return entries.filter(
    (entry) =>
      !isAfter(entry.position, last.get(aggregateOf(entry)) ?? BEGINNING) &&
      !(entry.behind && !isNamed(entry)),
  );
}
