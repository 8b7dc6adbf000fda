import type { Bucket } from '../eventstore/bucket.ts';
import type { Log, RecordedCommit } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import type { SlotGroup, StreamRef } from '../eventstore/stream.ts';
import { FoldFailure, PoisonEvent, reasonOf } from './errors.ts';
import type { FactDecoder } from './facts.ts';
import { type Mark, MOST_MARKS, type ParkedRow, readMarks, setMark } from './marks.ts';
import type { Projection } from './projection.ts';
import { refoldRow } from './refold.ts';
import type { SeenRevisions } from './writer.ts';

/** The aggregates of one group whose rows are put aside, so that the others can go on. */
export interface Parking {
  /** Whether a commit belongs to a parked aggregate and is not to be applied. */
  skips(commit: RecordedCommit): boolean;
  /** Puts an aggregate aside from this commit on. False = the view's policy is to stop. */
  park(stream: StreamRef, position: number, cause: unknown): boolean;
  /** Up to where a checkpoint may cover as far as marks under way are concerned; undefined = none is under way. */
  floor(): number | undefined;
  list(): readonly ParkedRow[];
  /** Takes up what an operator has released since. @throws LogUnavailable, OutcomeUnknown */
  look(): Promise<void>;
}

export interface ParkingDeps {
  readonly projection: Projection;
  readonly bucket: Bucket;
  readonly group: SlotGroup;
  readonly log: Log;
  readonly decode: FactDecoder;
  readonly runtime: Runtime;
  readonly seen: SeenRevisions;
}

interface Parked {
  readonly mark: Mark;
  /** The newest commit that was not applied. */
  skipped: number;
  stored: boolean;
}

/** Opens the parking with what is marked in the bucket. @throws LogUnavailable, OutcomeUnknown */
export async function openParking(
  deps: ParkingDeps,
  events: { progressed(): void; failed(error: unknown): void },
): Promise<Parking> {
  const { projection, bucket, group, runtime, seen } = deps;
  const parked = new Map<string, Parked>();

  const note = (revision: number): void => {
    seen.highest = Math.max(seen.highest, revision);
  };

  const store = async (entry: Parked): Promise<void> => {
    const { mark } = entry;
    try {
      // Another runner may have put it aside already, or it was released for a commit before this one.
      const accept = (known: Mark | undefined) => known?.state !== 'parked';
      const result = await setMark(bucket, group, mark, accept);
      note(result.revision);
      if (!result.stored) {
        const why = new Error(`${MOST_MARKS} aggregates are parked already; the last reason: ${mark.reason}`);
        return events.failed(new PoisonEvent(projection.name, mark.position, why));
      }
      entry.stored = true;
      events.progressed();
    } catch (error) {
      events.failed(error);
    }
  };

  const park = (stream: StreamRef, position: number, cause: unknown): boolean => {
    if (projection.onPoison !== 'park-aggregate') return false;
    const at = runtime.now();
    const mark: Mark = { stream, state: 'parked', position, reason: reasonOf(cause), at };
    const skipped = Math.max(position, parked.get(stream.id)?.skipped ?? 0);
    const entry = { mark, skipped, stored: false };
    parked.set(stream.id, entry);
    void store(entry);
    return true;
  };

  /** Folds a released row again; commits that were skipped meanwhile are in it before the next one is applied. */
  const takeUp = async (mark: Mark): Promise<void> => {
    const { stream } = mark;
    try {
      for (;;) {
        const { position, revision } = await refoldRow(deps, stream);
        note(revision);
        const entry = parked.get(stream.id);
        if (entry !== undefined && entry.skipped > position) continue;
        parked.delete(stream.id);
        return;
      }
    } catch (error) {
      if (!(error instanceof FoldFailure)) throw error;
      if (!park(stream, error.position, error.cause)) events.failed(error);
    }
  };

  const look = async (): Promise<void> => {
    const { marks, revision } = await readMarks(bucket, group);
    note(revision);
    for (const [id, mark] of marks) {
      if (mark.state === 'released' && parked.get(id)?.stored === true) await takeUp(mark);
    }
  };

  if (!projection.crossesAggregates) {
    const { marks, revision } = await readMarks(bucket, group);
    note(revision);
    for (const [id, mark] of marks) {
      if (mark.state === 'parked') parked.set(id, { mark, skipped: mark.position, stored: true });
      else await takeUp(mark);
    }
  }

  return {
    skips: ({ stream, position }) => {
      if (parked.size === 0) return false;
      const entry = parked.get(stream.id);
      if (entry === undefined || position < entry.mark.position) return false;
      entry.skipped = Math.max(entry.skipped, position);
      return true;
    },
    park,
    floor: () => {
      let floor: number | undefined;
      for (const { mark, stored } of parked.values()) {
        if (!stored) floor = Math.min(floor ?? mark.position, mark.position - 1);
      }
      return floor;
    },
    list: () => [...parked].map(([key, { mark }]) => ({ key, position: mark.position, reason: mark.reason })),
    look: async () => {
      if (parked.size > 0) await look();
    },
  };
}
