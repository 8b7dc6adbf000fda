import {
  BEGINNING,
  type Bucket,
  backoffMs,
  comparePositions,
  type ForeignMessage,
  isAfter,
  type Log,
  type Position,
  type RecordedCommit,
  type Runtime,
} from '../../../eventstore/index.ts';
import type { Buckets } from '../aliases.ts';
import { RESERVED } from '../projection.ts';

/** A message of somebody else that a reader of the log has met (protocol 20). */
export interface MetForeign extends ForeignMessage {
  readonly position: Position;
}

/** What readers have met of them, in any process; for people only. @internal */
export interface ForeignRecord {
  /** How many, about: none is counted twice, but old ones may be missed once many are known. */
  readonly count: number;
  /** The newest of them, in the order of their positions. */
  readonly newest: readonly MetForeign[];
}

interface StoredRecord extends ForeignRecord {
  readonly incarnation: string;
}

/** More are counted, and not listed. */
const MOST_LISTED = 100;
/** Beside the aliases: no view can be called so. */
const KEY = `${RESERVED}foreign`;
const NONE: ForeignRecord = { count: 0, newest: [] };

const bucketOf = (prefix: string): string => `${prefix}_views`;

/** What is known of foreign messages in this incarnation of the log. @throws LogUnavailable @internal */
export async function readForeign(
  buckets: Pick<Buckets, 'open'>,
  prefix: string,
  incarnation: string,
): Promise<ForeignRecord> {
  const bucket = await buckets.open(bucketOf(prefix));
  return bucket === undefined ? NONE : (await readRecord(bucket, incarnation)).record;
}

async function readRecord(
  bucket: Bucket,
  incarnation: string,
): Promise<{ readonly record: ForeignRecord; readonly revision: number }> {
  const row = await bucket.get(KEY, { leader: true });
  if (row === undefined || row.value.length === 0) return { record: NONE, revision: row?.revision ?? 0 };
  const stored = JSON.parse(Buffer.from(row.value).toString('utf8')) as StoredRecord;
  return { record: stored.incarnation === incarnation ? stored : NONE, revision: row.revision };
}

/** Remembers the foreign messages that a process meets, in one row for all processes. */
export interface ForeignNotes {
  /** Returns at once; what cannot be stored now is stored later. */
  met(commit: RecordedCommit): void;
  stop(): void;
}

/** @param told of each that nobody had met before */
export function createForeignNotes(deps: {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly prefix: string;
  readonly runtime: Runtime;
  readonly told: (met: MetForeign) => void;
}): ForeignNotes {
  const { log, buckets, prefix, runtime, told } = deps;
  const waiting = new Map<Position, MetForeign>();
  let storing = false;
  let stopped = false;

  const store = async (): Promise<void> => {
    const bucket = await buckets.create(bucketOf(prefix), { durable: true });
    while (waiting.size > 0 && !stopped) {
      const { record, revision } = await readRecord(bucket, log.incarnation);
      const taken = [...waiting.values()];
      const fresh = freshOf(record, taken);
      if (fresh.length > 0) {
        const newest = [...record.newest, ...fresh].sort((a, b) => comparePositions(a.position, b.position));
        const next: StoredRecord = {
          incarnation: log.incarnation,
          count: record.count + fresh.length,
          newest: newest.slice(-MOST_LISTED),
        };
        const value = Buffer.from(JSON.stringify(next));
        const position = newest.at(-1)?.position;
        if (!(await bucket.write({ key: KEY, value, expectedRevision: revision, position })).written)
          continue;
      }
      for (const { position } of taken) waiting.delete(position);
      for (const met of fresh) told(met);
    }
  };
  const run = async (): Promise<void> => {
    if (storing) return;
    storing = true;
    for (let attempt = 0; waiting.size > 0 && !stopped; attempt++) {
      try {
        await store();
      } catch {
        await runtime.sleep(backoffMs(runtime, attempt, 100, 10_000));
      }
    }
    storing = false;
  };

  return {
    met: ({ position, foreign }) => {
      if (foreign === undefined || waiting.size >= MOST_LISTED) return;
      waiting.set(position, { position, ...foreign });
      void run();
    },
    stop: () => {
      stopped = true;
    },
  };
}

/** Those that are not known; nothing can be said of what lies below a full list. */
function freshOf({ newest }: ForeignRecord, met: readonly MetForeign[]): readonly MetForeign[] {
  const known = new Set(newest.map(({ position }) => position));
  const lowest = newest.length < MOST_LISTED ? BEGINNING : (newest[0]?.position ?? BEGINNING);
  return met.filter(({ position }) => isAfter(position, lowest) && !known.has(position));
}
