import type { Bucket, Row } from '../../eventstore/bucket.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import { keyOf, type StreamRef } from '../../eventstore/stream.ts';
import { follow } from './follow.ts';
import { entryOf, parseEntryKey } from './parked-entry.ts';
import { createBell } from './pause.ts';

/** What is remembered of a parked commit. */
export interface ParkedMark {
  readonly key: string;
  readonly stream: StreamRef;
  readonly position: number;
  readonly revision: number;
  readonly behind: boolean;
  readonly requested: 'redrive' | 'discard' | undefined;
}

/** What this process has seen of the parked commits; for a group that it owns, exactly what there is. */
export interface ParkedIndex {
  /** An aggregate's parked commits by position. */
  of(consumer: string, stream: StreamRef): readonly ParkedMark[];
  /** Every aggregate of a consumer that has some; the first one of each. */
  firsts(consumer: string): Iterable<ParkedMark>;
  count(consumer: string): number;
  /** Takes in a row that was read or written by this process. */
  apply(row: Pick<Row, 'key' | 'value' | 'revision'>): void;
  /** Resolves when everything up to a revision has been seen, or the signal fires. */
  reached(revision: number, signal: AbortSignal): Promise<void>;
}

/** Watches the bucket of parked commits until the signal fires; `changed` is called after each change of an entry. */
export function watchParked(
  { bucket, runtime, signal }: { bucket: Bucket; runtime: Runtime; signal: AbortSignal },
  changed: (consumer: string, stream: StreamRef) => void,
): ParkedIndex {
  const consumers = new Map<string, Map<string, ParkedMark[]>>();
  const counts = new Map<string, number>();
  /** Own removals that the watch has not delivered yet. */
  const removed = new Map<string, number>();
  const waiting = new Set<() => void>();
  let seen = 0;

  const marksOf = (consumer: string, stream: StreamRef): ParkedMark[] =>
    consumers.get(consumer)?.get(keyOf(stream)) ?? [];

  const apply: ParkedIndex['apply'] = (given) => {
    const row: Row = { position: 0, ...given };
    const named = parseEntryKey(row.key);
    if (named === undefined) return;
    const { consumer, stream, position } = named;
    const marks = marksOf(consumer, stream);
    const known = marks.find((mark) => mark.position === position);
    if (row.revision <= Math.max(known?.revision ?? 0, removed.get(row.key) ?? 0)) return;
    const next = marks.filter((mark) => mark !== known);
    const entry = entryOf(row);
    if (entry === undefined) removed.set(row.key, row.revision);
    else {
      removed.delete(row.key);
      const { behind, request } = entry;
      const mark = { key: row.key, stream, position, revision: row.revision, behind };
      next.push({ ...mark, requested: request?.requested });
      next.sort((a, b) => a.position - b.position);
    }
    store(consumer, stream, next);
    counts.set(consumer, (counts.get(consumer) ?? 0) + next.length - marks.length);
    changed(consumer, stream);
  };
  const store = (consumer: string, stream: StreamRef, marks: ParkedMark[]): void => {
    const aggregates = consumers.get(consumer) ?? new Map<string, ParkedMark[]>();
    consumers.set(consumer, aggregates);
    if (marks.length === 0) aggregates.delete(keyOf(stream));
    else aggregates.set(keyOf(stream), marks);
  };
  const deliver = (row: Row): void => {
    apply(row);
    seen = row.revision;
    // Nothing older can come any more.
    if ((removed.get(row.key) ?? Number.POSITIVE_INFINITY) <= seen) removed.delete(row.key);
    for (const ring of waiting) ring();
  };

  void follow({ bucket, runtime, signal }, deliver, () => undefined);
  return {
    of: marksOf,
    firsts: function* (consumer) {
      for (const [first] of consumers.get(consumer)?.values() ?? []) if (first !== undefined) yield first;
    },
    count: (consumer) => counts.get(consumer) ?? 0,
    apply,
    reached: async (revision, until) => {
      const bell = createBell();
      waiting.add(bell.ring);
      while (seen < revision && !until.aborted) await bell.heard(until);
      waiting.delete(bell.ring);
    },
  };
}
