import { backoffMs, type Runtime } from '../../eventstore/index.ts';
import type { Deliverable, DeliverySettings, Tried } from './port.ts';

/** An event that was read and is not through. Times in milliseconds since the Unix epoch. */
export interface OpenEvent {
  readonly source: string;
  readonly position: number;
  readonly subject: string;
  /** Failed tries. */
  attempts: number;
  /** When it was tried first; 0 = not yet. */
  firstAt: number;
  /** Not before then. */
  due: number;
  running: boolean;
  /** The event itself, from when it was read until it is tried; a later try reads it again. */
  fresh?: Deliverable | undefined;
}

/** An aggregate whose later events are not open while an earlier one fails: they are counted, and read again. */
export interface HeldAggregate {
  readonly source: string;
  readonly subject: string;
  /** From where on they are read again. */
  readonly after: number;
  readonly count: number;
}

/** What of a flow is stored. */
export interface StoredFlow {
  readonly takenAt: number;
  readonly failures: number;
  readonly pausedUntil: number;
  readonly sources: Readonly<Record<string, StoredPlace>>;
}

interface StoredPlace {
  readonly incarnation: string;
  /** Everything up to here is through but the open ones. */
  readonly high: number;
  /**
   * While aggregates are held: how far was read, and of each its id, from where on it is read again, and how many that are.
   * Who does not know this goes on from `high` and repeats what lies between.
   */
  readonly ahead?: {
    readonly high: number;
    readonly held: readonly (readonly [string, number, number])[];
  };
  /** Position, subject, attempts, firstAt, due. */
  readonly open: readonly (readonly [number, string, number, number, number])[];
}

export type FlowSettings = Pick<
  DeliverySettings,
  'maxInFlight' | 'maxOpen' | 'retryBaseMs' | 'retryCapMs' | 'pauseCapMs' | 'giveUpMs'
>;

/** What follows from a failed try. */
export type Verdict = 'retry' | 'give-up' | 'failing' | 'gone';

/** Which events of one receiver are not through, and what is to be tried when: pure bookkeeping, asked with the time. */
export interface Flow {
  /** Whether a page more may be taken in. */
  hasRoom(now: number): boolean;
  /** The last position of a source that was taken in; undefined for one without a place. */
  high(source: string): number | undefined;
  /** Gives a source its place, which forgets what was open of it behind `kept`: all, unless that is given. */
  place(source: string, incarnation: string, high: number, kept?: number): void;
  incarnation(source: string): string | undefined;
  /** Takes in the next event of a source; in order, behind one that fails, its aggregate is held instead. */
  take(source: string, event: Pick<Deliverable, 'position' | 'subject'>, fresh?: Deliverable): void;
  /** One that is held and whose open events are through, so that it is to be read again now. */
  freed(now: number): HeldAggregate | undefined;
  /** Takes in what was read of it again: those that are wanted, where nothing is missing up to `through`. */
  takeAgain(held: HeldAggregate, wanted: readonly Deliverable[], through: number): void;
  /** Nothing for this receiver up to here. */
  pass(source: string, through: number): void;
  /** What is to be tried now, marked as running. */
  next(now: number): OpenEvent | undefined;
  taken(event: OpenEvent, now: number): void;
  failed(event: OpenEvent, tried: Tried, startedAt: number, now: number): Verdict;
  /** What waits of a source up to a position. */
  waiting(source: string, through: number): readonly OpenEvent[];
  /** It is not tried any more. */
  drop(event: OpenEvent): void;
  /** A try came to nothing, and does not count. */
  putBack(event: OpenEvent, due: number): void;
  /** What failed is tried again at once, as if for the first time. */
  renew(now: number): void;
  /** When something is to be tried; undefined when nothing waits for a time, or all that may run at once does. */
  wakeAt(): number | undefined;
  /** How many events were read and are not through, those of held aggregates too. */
  readonly size: number;
  readonly running: number;
  readonly retrying: number;
  stored(): StoredFlow;
}

/** After so many failures in a row the receiver is tried with one event at a time again, with growing pauses. */
const DOWN_AFTER = 8;
/** While so many wait to be tried, nothing more is read. */
const ENOUGH_WAITING = 16;
const PAUSE_BASE_MS = 1_000;

/** Goes on from what is stored. */
export function createFlow(
  runtime: Pick<Runtime, 'random'> & Runtime,
  settings: FlowSettings,
  isOrdered: () => boolean,
  stored: StoredFlow = { takenAt: 0, failures: 0, pausedUntil: 0, sources: {} },
): Flow {
  const { maxInFlight, maxOpen, retryBaseMs, retryCapMs, pauseCapMs, giveUpMs } = settings;
  const places = new Map<string, { incarnation: string; high: number }>();
  // In the order of each source, which a map keeps.
  const open = new Map<string, OpenEvent>();
  const held = new Map<string, HeldAggregate>();
  let { takenAt, failures, pausedUntil } = stored;
  let running = 0;
  for (const [source, { incarnation, high, ahead, open: events }] of Object.entries(stored.sources)) {
    places.set(source, { incarnation, high: ahead?.high ?? high });
    for (const [subject, after, count] of ahead?.held ?? [])
      held.set(laneOf({ source, subject }), { source, subject, after, count });
    for (const [position, subject, attempts, firstAt, due] of events)
      open.set(`${source}/${position}`, {
        ...{ source, position, subject, attempts, firstAt, due },
        running: false,
      });
  }
  const isDown = (): boolean => failures >= DOWN_AFTER;
  // One more for each that is taken: many from the first moment on overrun whoever has just come back.
  let atOnce = 1;
  let downSince = -1;
  let lastFailed: OpenEvent | undefined;
  const isBusy = (): boolean => running >= atOnce;

  /** Those that nothing but time keeps from being tried. */
  function* free(): Generator<OpenEvent> {
    const ordered = isOrdered();
    const before = new Set<string>();
    for (const event of open.values()) {
      if (ordered) {
        const lane = laneOf(event);
        if (before.has(lane)) continue;
        before.add(lane);
      }
      if (!event.running) yield event;
    }
  }
  const leave = (event: OpenEvent): void => {
    if (event.running) running--;
    event.running = false;
  };
  const drop = (event: OpenEvent): void => {
    leave(event);
    // In a stream that was made anew the position is another event's.
    const key = `${event.source}/${event.position}`;
    if (open.get(key) === event) open.delete(key);
  };
  const admit = (
    source: string,
    { position, subject }: Pick<Deliverable, 'position' | 'subject'>,
    fresh: Deliverable | undefined,
  ): void => {
    open.set(`${source}/${position}`, {
      ...{ source, position, subject, attempts: 0, firstAt: 0, due: 0 },
      ...{ running: false, fresh },
    });
  };
  const hold = ({ source, subject }: Lane, after: number, more: number): void => {
    const lane = laneOf({ source, subject });
    const known = held.get(lane);
    const from = Math.min(known?.after ?? after, after);
    held.set(lane, { source, subject, after: from, count: (known?.count ?? 0) + more });
  };
  /** Where the open events of an aggregate end, if later ones have to wait because one of them fails. */
  const endOfFailing = ({ source, subject }: Lane): number | undefined => {
    if (!isOrdered()) return undefined;
    let [end, fails] = [0, false];
    for (const event of open.values()) {
      if (event.source !== source || event.subject !== subject) continue;
      end = Math.max(end, event.position);
      fails ||= event.attempts > 0;
    }
    return fails ? end : undefined;
  };
  /** What waits behind one that fails need not be kept: it would fill the place of others. */
  const holdBehind = (event: OpenEvent): void => {
    const { source, subject, position } = event;
    const later = [...open.values()].filter(
      (other) => other.source === source && other.subject === subject && other.position > position,
    );
    // Of a time without order: they end as they have begun.
    if (later.length === 0 || later.some((other) => other.running || other.attempts > 0)) return;
    for (const other of later) drop(other);
    hold(event, position, later.length);
  };
  const mayRead = (now: number): boolean => {
    if (pausedUntil > now || (isDown() && running > 0)) return false;
    const enough = isDown() ? 1 : ENOUGH_WAITING;
    let waiting = 0;
    for (const { due } of free()) if (due <= now && ++waiting >= enough) return false;
    return true;
  };

  return {
    hasRoom: (now) => open.size + held.size < maxOpen && mayRead(now),
    high: (source) => places.get(source)?.high,
    incarnation: (source) => places.get(source)?.incarnation,
    place: (source, incarnation, high, kept = 0) => {
      for (const event of [...open.values()])
        if (event.source === source && event.position > kept) drop(event);
      for (const [lane, one] of [...held]) if (one.source === source && one.after >= kept) held.delete(lane);
      places.set(source, { incarnation, high });
    },
    take: (source, event, fresh) => {
      const { position, subject } = event;
      const place = places.get(source);
      if (place === undefined || position <= place.high) return;
      place.high = position;
      const lane = { source, subject };
      const after = held.get(laneOf(lane))?.after ?? endOfFailing(lane);
      if (after === undefined) admit(source, event, fresh);
      else hold(lane, after, 1);
    },
    freed: (now) => {
      if (held.size === 0 || !mayRead(now)) return undefined;
      const waiting = new Set(isOrdered() ? [...open.values()].map(laneOf) : []);
      for (const [lane, one] of held) if (!waiting.has(lane)) return one;
      return undefined;
    },
    takeAgain: (one, wanted, through) => {
      const { source, after, count } = one;
      const high = places.get(source)?.high ?? 0;
      const missing = wanted.filter(({ position }) => position > after && position <= high);
      // One at the least, so that a full place does not keep it for ever.
      const some = missing.slice(0, Math.max(1, maxOpen - open.size - held.size));
      for (const event of some) admit(source, event, event);
      const end = some.length < missing.length ? (some.at(-1)?.position ?? after) : through;
      if (end >= high) held.delete(laneOf(one));
      else held.set(laneOf(one), { ...one, after: end, count: Math.max(0, count - some.length) });
    },
    pass: (source, through) => {
      const place = places.get(source);
      if (place !== undefined && through > place.high) place.high = through;
    },
    next: (now) => {
      if (pausedUntil > now || isBusy()) return undefined;
      for (const event of free()) {
        if (event.due > now) continue;
        event.running = true;
        running++;
        return event;
      }
      return undefined;
    },
    taken: (event, now) => {
      drop(event);
      takenAt = now;
      // It is back: what waits for its turn need not wait for hours.
      if (isDown()) for (const other of open.values()) other.due = Math.min(other.due, now);
      failures = 0;
      pausedUntil = 0;
      atOnce = Math.min(atOnce + 1, maxInFlight);
    },
    failed: (event, { retryAfterMs = 0, gone }, startedAt, now) => {
      leave(event);
      event.attempts++;
      // What was under way when it went down says nothing new, nor does one event that fails again and again.
      if (startedAt > downSince && event !== lastFailed) failures++;
      lastFailed = event;
      if (isDown() && startedAt > downSince) [downSince, atOnce] = [now, 1];
      if (event.firstAt === 0) event.firstAt = startedAt;
      const backoff = backoffMs(runtime, event.attempts - 1, retryBaseMs, retryCapMs);
      event.due = now + Math.max(backoff, retryAfterMs);
      const pause = isDown() ? backoffMs(runtime, failures - DOWN_AFTER, PAUSE_BASE_MS, pauseCapMs) : 0;
      pausedUntil = Math.max(pausedUntil, now + Math.max(pause, retryAfterMs));
      if (isOrdered()) holdBehind(event);
      if (gone === true) return 'gone';
      if (now - event.firstAt < giveUpMs) return 'retry';
      return takenAt < event.firstAt ? 'failing' : 'give-up';
    },
    waiting: (source, through) =>
      [...open.values()].filter(
        (event) => event.source === source && event.position <= through && !event.running,
      ),
    drop,
    putBack: (event, due) => {
      leave(event);
      event.due = due;
    },
    renew: (now) => {
      failures = 0;
      pausedUntil = 0;
      for (const event of open.values()) Object.assign(event, { attempts: 0, firstAt: 0, due: now });
    },
    wakeAt: () => {
      if (isBusy()) return undefined;
      let earliest: number | undefined;
      for (const { due } of free()) earliest = Math.min(earliest ?? due, due);
      return earliest === undefined ? undefined : Math.max(earliest, pausedUntil);
    },
    get size() {
      let size = open.size;
      for (const { count } of held.values()) size += count;
      return size;
    },
    get running() {
      return running;
    },
    get retrying() {
      let count = 0;
      for (const { attempts } of open.values()) if (attempts > 0) count++;
      return count;
    },
    stored: () => ({
      ...{ takenAt, failures, pausedUntil },
      sources: Object.fromEntries(
        [...places].map(([source, place]) => [
          source,
          storedPlace(source, place, open.values(), held.values()),
        ]),
      ),
    }),
  };
}

/** How far a receiver is behind, as far as its stored place tells. */
export interface Backlog {
  /** Events that were read and are not through; of them, those that have failed so far, and the most tries of one. */
  readonly open: number;
  readonly retrying: number;
  readonly attempts: number;
  /** Messages behind its place, while it does not read on: it may want some of them, or none. */
  readonly unread: number;
  /** Where the first of all these lies, in each source that has some; the first that is unread is behind `after`. */
  readonly first: readonly {
    readonly source: string;
    readonly position?: number;
    readonly after?: number;
  }[];
}

/** @param heads last positions by source @param isEnabled whether anything is sent to it */
export function backlogOf(
  { sources, failures }: StoredFlow,
  heads: ReadonlyMap<string, number>,
  isEnabled: boolean,
  { now, maxOpen }: { readonly now: number; readonly maxOpen: number },
): Backlog {
  const places = Object.entries(sources);
  const open = places.flatMap(([, place]) => place.open);
  const held = places.flatMap(([, { ahead }]) => ahead?.held ?? []);
  const due = open.filter(([, , , , dueAt]) => dueAt <= now).length;
  const isFull = open.length + held.length >= maxOpen;
  // One that reads on stores its place only when something was for it.
  const readsOn = isEnabled && failures < DOWN_AFTER && due < ENOUGH_WAITING && !isFull;
  const unreadOf = (source: string, high: number): number =>
    readsOn ? 0 : Math.max(0, (heads.get(source) ?? high) - high);
  const first = places.flatMap(([source, { high, open: own }]): Backlog['first'] => {
    if (own.length > 0) return [{ source, position: Math.min(...own.map(([position]) => position)) }];
    return unreadOf(source, high) > 0 ? [{ source, after: high }] : [];
  });
  const tries = open.map(([, , attempts]) => attempts);
  return {
    open: held.reduce((sum, [, , count]) => sum + count, open.length),
    retrying: tries.filter((attempts) => attempts > 0).length,
    attempts: Math.max(0, ...tries),
    unread: places.reduce((sum, [source, { high, ahead }]) => sum + unreadOf(source, ahead?.high ?? high), 0),
    first,
  };
}

/** Events of one aggregate in one source. */
type Lane = Pick<OpenEvent, 'source' | 'subject'>;

const laneOf = ({ source, subject }: Lane): string => `${source}/${subject}`;

function storedPlace(
  source: string,
  { incarnation, high }: Pick<StoredPlace, 'incarnation' | 'high'>,
  open: Iterable<OpenEvent>,
  held: Iterable<HeldAggregate>,
): StoredPlace {
  const own = [...held].filter((one) => one.source === source);
  const ahead = { high, held: own.map(({ subject, after, count }) => [subject, after, count] as const) };
  return {
    ...{ incarnation, high: Math.min(high, ...own.map(({ after }) => after)) },
    ...(own.length > 0 && { ahead }),
    open: [...open]
      .filter((event) => event.source === source)
      .map(({ position, subject, attempts, firstAt, due }) => [position, subject, attempts, firstAt, due]),
  };
}
