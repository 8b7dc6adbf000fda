import type { Bucket } from '../eventstore/bucket.ts';
import type { SlotGroup, StreamRef } from '../eventstore/stream.ts';
import { keyOfGroup } from './groups.ts';

/**
 * What is remembered of an aggregate whose row does not simply follow the log.
 * parked: from `position` on nothing was applied. released: the row was folded again from the log, and is so each
 * time its view is opened, since the bucket may have forgotten that; only a rebuild ends it.
 */
export interface Mark {
  readonly stream: StreamRef;
  readonly state: 'parked' | 'released';
  /** Of the commit that could not be applied; 0 for a row that was never parked. */
  readonly position: number;
  readonly reason: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** An aggregate's row that is put aside, as `status` tells it. */
export type ParkedRow = Pick<Mark, 'position' | 'reason'> & { readonly key: string };

/** More than these are no exceptions but a fault of the view or of what writes the events. */
export const MOST_MARKS = 100;

/** The marks of a group, by aggregate id, in one row of the view's bucket beside the checkpoint. */
export interface StoredMarks {
  readonly marks: ReadonlyMap<string, Mark>;
  readonly revision: number;
}

/** The key of a group's marks. */
export function marksKey(group: SlotGroup): string {
  return keyOfGroup('parked', group);
}

/** Through the leader. @throws LogUnavailable */
export async function readMarks(bucket: Bucket, group: SlotGroup): Promise<StoredMarks> {
  const row = await bucket.get(marksKey(group), { leader: true });
  if (row === undefined || row.value.length === 0) return { marks: new Map(), revision: row?.revision ?? 0 };
  const list = JSON.parse(Buffer.from(row.value).toString('utf8')) as Mark[];
  return { marks: new Map(list.map((mark) => [mark.stream.id, mark])), revision: row.revision };
}

/**
 * Sets one mark, unless `accept` refuses what is there. Released marks make room, the oldest first; parked ones do not.
 * @returns the marks as they are now stored, and false when there was no room
 * @throws LogUnavailable, OutcomeUnknown; repeating is safe
 */
export async function setMark(
  bucket: Bucket,
  group: SlotGroup,
  mark: Mark,
  accept: (known: Mark | undefined) => boolean,
): Promise<StoredMarks & { readonly stored: boolean }> {
  for (;;) {
    const known = await readMarks(bucket, group);
    if (!accept(known.marks.get(mark.stream.id))) return { ...known, stored: true };
    const marks = new Map(known.marks);
    marks.delete(mark.stream.id);
    marks.set(mark.stream.id, mark);
    for (const [id, { state }] of marks) {
      if (marks.size > MOST_MARKS && state === 'released' && id !== mark.stream.id) marks.delete(id);
    }
    if (marks.size > MOST_MARKS) return { ...known, stored: false };
    const value = Buffer.from(JSON.stringify([...marks.values()]));
    const write = { key: marksKey(group), value, expectedRevision: known.revision, position: mark.position };
    const result = await bucket.write(write);
    if (result.written) return { marks, revision: result.revision, stored: true };
  }
}
