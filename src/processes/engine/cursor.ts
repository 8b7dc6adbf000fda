import {
  BEGINNING,
  type Bucket,
  before,
  isAfter,
  type Log,
  latest,
  numberOf,
  type Position,
  placeNow,
  positionOf,
  type Row,
  type RowWrite,
  type Runtime,
} from '../../eventstore/index.ts';
import { ForeignCursor, OwnershipLost } from './errors.ts';
import { checkAlive, type Session } from './ownership.ts';
import { parseRow, toBytes, writeRow } from './rows.ts';
import type { EngineSettings } from './settings.ts';
import { pause, persist } from './signal.ts';
import type { HeldTimer } from './timers/timers.ts';

/** Which commits of a group are done: all up to `high` but the open ones. As a cursor stores it. */
export interface CursorState {
  readonly high: Position;
  /** The commits up to `high` that are not done, in order. */
  readonly open: readonly Position[];
  /** What commits up to `high` wanted armed and is not armed yet; absent = none. */
  readonly timers?: readonly HeldTimer[];
}

/** The floor of a cursor: everything up to here is done. */
export function floorOf({ high, open }: CursorState): Position {
  const [first] = open;
  return first === undefined ? high : before(first);
}

/** What a group has read and what of it is not done; pure bookkeeping. */
export interface Progress {
  /** Everything of the group up to here is done. */
  readonly low: Position;
  /** The highest position that was read. */
  readonly seen: Position;
  /** The first commit that is not done. */
  readonly first: Position | undefined;
  /** What a cursor has to say now. */
  state(): CursorState;
  /** Takes in the next position; positions come in order. True when the commit is to be handled. */
  begin(position: Position): boolean;
  finish(position: Position): void;
  /** A position that does not concern the consumer. */
  pass(position: Position): void;
}

/** Goes on from a stored cursor, at its floor. */
export function createProgress(stored: CursorState): Progress {
  const openBefore = new Set(stored.open);
  // Positions are added in order, and a set keeps the order in which they came.
  const open = new Set<Position>();
  let seen = floorOf(stored);

  const first = (): Position | undefined => open.values().next().value;
  return {
    get low() {
      const open = first();
      return open === undefined ? seen : before(open);
    },
    get seen() {
      return seen;
    },
    get first() {
      return first();
    },
    state: () => {
      const notRead = stored.open.filter((position) => isAfter(position, seen));
      return { high: latest(seen, stored.high), open: [...open, ...notRead] };
    },
    begin: (position) => {
      seen = position;
      if (!isAfter(position, stored.high) && !openBefore.has(position)) return false;
      open.add(position);
      return true;
    },
    finish: (position) => {
      open.delete(position);
    },
    pass: (position) => {
      seen = position;
    },
  };
}

/**
 * What a cursor says: every commit of the group up to `high` is handled or a dead letter, but the open ones.
 * @internal
 */
export interface CursorValue extends CursorState {
  /** The incarnation of the log whose positions these are. */
  readonly incarnation: string;
  /** Whose it is: session, takeover and number of the write. */
  readonly owner: string;
}

/** A group's cursor, owned by one instance. */
export interface Cursor {
  /** Of the log, as it was then. */
  readonly incarnation: string;
  /** What was stored when it was claimed. */
  readonly start: CursorState;
  /** The log's end then; where nobody had the group before, the log's beginning. */
  readonly end: Position;
  /** The newest floor that is stored. */
  readonly stored: Position;
  /** Says that there may be something to write; how soon depends on how much has changed. */
  changed(): void;
  /** Writes now, when there is something to write. @throws OwnershipLost, LogUnavailable, OutcomeUnknown */
  flush(): Promise<void>;
}

interface CursorDeps {
  readonly bucket: Bucket;
  readonly log: Log;
  readonly runtime: Runtime;
  readonly key: string;
  /** The session that holds the group. */
  readonly session: Session;
  /** After which position the group begins that has no cursor yet; asked only then. */
  readonly begin: () => Promise<Position>;
  readonly settings: Pick<EngineSettings, 'cursorMs' | 'cursorLongestMs' | 'cursorChanges'>;
  /** What is done now; asked at each write. */
  readonly current: () => CursorState;
  /** Called after each write with the stored floor. */
  readonly written: (low: Position) => void;
  /** Called when the group turns out to be another's. */
  readonly lost: (error: unknown) => void;
  /** Fires when nothing is to be written any more. */
  readonly signal: AbortSignal;
}

/**
 * Reads a group's cursor through the leader and makes it the session's own by writing it again, so that every later
 * write of an earlier owner is refused.
 * @throws ForeignCursor, OwnershipLost; LogUnavailable, OutcomeUnknown once the signal has fired
 */
export async function claimCursor(deps: CursorDeps): Promise<Cursor> {
  const { bucket, log, runtime, key, session, begin, signal } = deps;
  // Unique per takeover and write, so that an unanswered one can be recognised.
  const tenure = `${session.id}/${runtime.id()}`;
  let writes = 0;
  const rowIn =
    (incarnation: string) =>
    (state: CursorState, expectedRevision: number): RowWrite => {
      const value: CursorValue = { ...state, incarnation, owner: `${tenure}/${++writes}` };
      return { key, value: toBytes(value), expectedRevision, position: floorOf(state) };
    };

  for (;;) {
    const row = await persist({ runtime, signal }, () => bucket.get(key, { leader: true }));
    // Before anything else: a stream that is not ours may be another one by now, which asking shows.
    const end = row === undefined ? BEGINNING : await persist({ runtime, signal }, log.confirm);
    const { incarnation } = log;
    const rowOf = rowIn(incarnation);
    const found = cursorIn(row, log);
    if (found !== undefined && isAfter(found.high, end))
      throw new ForeignCursor(key, `it is at ${numberOf(found.high)} and the log ends at ${numberOf(end)}`);
    const { open = [], timers } = found ?? {};
    const start: CursorState = { high: found?.high ?? (await begin()), open, ...(timers && { timers }) };
    checkAlive(session, key);
    const result = await writeRow({ runtime, signal }, bucket, rowOf(start, row?.revision ?? 0));
    if (result.written) return keepCursor(deps, { incarnation, start, end }, result.revision, rowOf);
  }
}

/**
 * What a cursor says of this log. One of an incarnation that the log came back from counts up to the end of that copy.
 * @throws ForeignCursor for one of another log
 */
export function cursorIn(
  row: Row | undefined,
  { incarnation, former = [] }: Pick<Log, 'incarnation' | 'former'>,
): CursorValue | undefined {
  const found = parseRow<CursorValue>(row);
  if (row === undefined || found === undefined || found.incarnation === incarnation) return found;
  const kept = placeNow({ incarnation, former }, found.incarnation, numberOf(found.high));
  if (kept === undefined)
    throw new ForeignCursor(
      row.key,
      `it was written for incarnation ${found.incarnation}, this is ${incarnation}`,
    );
  const high = positionOf(kept);
  return { ...found, incarnation, high, open: found.open.filter((position) => !isAfter(position, high)) };
}

function keepCursor(
  deps: CursorDeps,
  { incarnation, start, end }: Pick<Cursor, 'incarnation' | 'start' | 'end'>,
  claimed: number,
  rowOf: (state: CursorState, expectedRevision: number) => RowWrite,
): Cursor {
  const { bucket, runtime, key, signal } = deps;
  let revision = claimed;
  let stored = floorOf(start);
  let last = JSON.stringify(start);
  let due = false;
  let changes = 0;
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const state = deps.current();
    changes = 0;
    const what = JSON.stringify(state);
    if (what === last || signal.aborted) return;
    const result = await writeRow({ runtime, signal }, bucket, rowOf(state, revision));
    if (!result.written) throw new OwnershipLost(`The cursor ${key}`);
    ({ revision } = result);
    stored = floorOf(state);
    last = what;
    deps.written(stored);
  };
  const flush = (): Promise<void> => {
    writing = writing.catch(() => undefined).then(write);
    return writing;
  };
  const later = async (): Promise<void> => {
    const { cursorMs, cursorLongestMs, cursorChanges } = deps.settings;
    const latest = runtime.now() + cursorLongestMs;
    do await pause(runtime, cursorMs, signal);
    while (changes < cursorChanges && runtime.now() < latest && !signal.aborted);
    due = false;
    if (signal.aborted) return;
    await flush().catch((error: unknown) => {
      if (!signal.aborted) deps.lost(error);
    });
  };

  return {
    incarnation,
    start,
    end,
    get stored() {
      return stored;
    },
    changed: () => {
      changes++;
      if (due || signal.aborted) return;
      due = true;
      void later();
    },
    flush,
  };
}
