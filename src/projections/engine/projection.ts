import { createHash } from 'node:crypto';
import type { Message } from '@bufbuild/protobuf';
import {
  type EventSource,
  EventStoreError,
  type Marks,
  NO_MARKS,
  type Position,
  type SlotGroup,
  type StreamRef,
} from '../../eventstore/index.ts';
import { passedBy, suffixOf } from './passed/skips.ts';

/** Where an event comes from. Everything in it is a fact of the log, so a replay sees the same. */
export interface EventContext {
  readonly stream: StreamRef;
  /** The commit's position, which is also the aggregate's version. */
  readonly position: Position;
  /** When it was decided, in milliseconds since the Unix epoch. */
  readonly time: number;
  readonly commitId: string;
  readonly actor: string;
  readonly traceparent: string;
}

/** A full row cut in two: `key` and `row` are written once and never again, `rest` goes on growing. */
export interface Sealed<Row> {
  readonly key: string;
  readonly row: Row;
  readonly rest: Row;
}

/**
 * A read model as data and pure functions.
 * `Row` is what `JSON.stringify` keeps exactly: the bytes that the API serves. Amounts that are `bigint` in an event
 * become numbers in `evolve`.
 */
export interface Projection<Row = unknown, Event extends Message = Message> {
  /** Token of bucket names: a to z, digits and _. */
  readonly name: string;
  /** Raised by hand when `evolve` or `keyOf` changes its meaning; the schema's hash is added to it. */
  readonly version: number;
  readonly sources: readonly EventSource[];
  /** JSON schema of a row. */
  readonly schema?: object;
  /**
   * False: the row's key names one aggregate and each of its events has that key. Then a commit's previous version
   * proves that nothing is missing, a lost row is folded again from the log, and the bucket may be a fast one.
   */
  readonly crossesAggregates: boolean;
  /**
   * Into how many groups the slots are shared out, each with a checkpoint of its own, so that several instances can
   * share the work; default: what the settings say. Above 1 a row's key must be the id of its aggregate. Rows that
   * cross aggregates are always one group. Another number is another version of the view.
   */
  readonly groups?: SlotGroup['count'];
  /**
   * What to do about an event that cannot be decoded or applied. `stop` (the default): the view stands still there.
   * `dead-letter`: the row of its aggregate stays as it was before that event, everything else goes on; only for
   * rows of one aggregate whose key is its id.
   */
  readonly onUnapplied?: 'stop' | 'dead-letter';
  /** The row that an event changes, or undefined when it changes none. Letters, digits, `_`, `-` and inner `.`. */
  keyOf(event: Event, context: EventContext): string | undefined;
  /** The row after an event; undefined = there is no such row. Never changes its arguments. */
  evolve(row: Row | undefined, event: Event, context: EventContext): Row | undefined;
  /** Only for rows that cross aggregates. The part that is cut off must follow from the log alone. */
  seal?(key: string, row: Row): Sealed<Row> | undefined;
}

const ROW_KEY = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** The first character of the engine's own keys; no row key can begin with it. */
export const RESERVED = '=';

/** Whether a key of a bucket is a row and not one of the engine's own. */
export function isRowKey(key: string): boolean {
  return !key.startsWith(RESERVED);
}

/** Refuses a key that a bucket could not hold. @throws EventStoreError */
export function checkRowKey(view: string, key: string): string {
  if (!ROW_KEY.test(key)) {
    throw new EventStoreError(
      'view/invalid-key',
      `The read model ${view} made the row key ${JSON.stringify(key.slice(0, 140))}.`,
    );
  }
  return key;
}

/**
 * What decides which bucket holds a projection's rows: its declared version, a hash of its schema, the number of groups,
 * since each has a checkpoint of its own, and the positions that it passes over.
 */
export function versionOf(
  projection: Projection,
  groups: SlotGroup['count'],
  marks: Marks = NO_MARKS,
): string {
  const shape = JSON.stringify([projection.schema ?? null, projection.crossesAggregates]);
  const hash = createHash('sha256').update(shape).digest('hex').slice(0, 12);
  const shared = groups === 1 ? '' : `-g${groups}`;
  return `${projection.version}-${hash}${shared}${suffixOf(passedBy(projection, marks))}`;
}
