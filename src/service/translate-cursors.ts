import { BEGINNING, type Bucket, isAfter, numberOf, type Position } from '../eventstore/index.ts';
import { BackupError } from '../platform/backup/manifest.ts';
import {
  type Buckets,
  bucketNames,
  type CursorValue,
  LEASE,
  parseRow,
  SESSION,
  toBytes,
} from '../processes/engine/index.ts';
import { REQUEST } from './operators/requests.ts';

/** The log that the cursors belonged to, and the one that they shall belong to: the same commits up to `last`. */
export interface Incarnations {
  readonly from: string;
  readonly to: string;
  readonly last: Position;
}

/**
 * Brings the engine's restored buckets into the log's new incarnation, before the log exists and anybody can run: a
 * cursor of the copied one at or below the end of the copied log means the same commits in both, so it gets the new
 * incarnation. Sessions and leases are those of processes that are gone, and what operators asked for must not be carried out
 * again.
 * @throws BackupError for a cursor of another incarnation or beyond the log's end: it would skip commits
 */
export async function translateEngine(
  buckets: Pick<Buckets, 'open'>,
  prefix: string,
  incarnations: Incarnations,
): Promise<void> {
  const names = bucketNames(prefix);
  const cursors = await buckets.open(names.cursors);
  if (cursors !== undefined) await translateCursors(cursors, incarnations);
  const shared = await buckets.open(names.shared);
  if (shared === undefined) return;
  for await (const { key, revision } of shared.rows()) {
    if (key.startsWith(SESSION) || key.startsWith(LEASE) || key.startsWith(REQUEST))
      await replace(shared, key, undefined, revision, BEGINNING);
  }
}

async function translateCursors(cursors: Bucket, { from, to, last }: Incarnations): Promise<void> {
  for await (const row of cursors.rows()) {
    const value = parseRow<CursorValue>(row);
    if (value === undefined) continue;
    const { key, revision, position } = row;
    // What is written here may come again.
    if (value.incarnation === to) continue;
    if (value.incarnation !== from) {
      throw new BackupError(
        `The cursor ${key} belongs to the log's incarnation ${value.incarnation}, not ${from}.`,
      );
    }
    if (isAfter(value.high, last)) {
      throw new BackupError(
        `The cursor ${key} is at ${numberOf(value.high)} and the copied log ends at ${numberOf(last)}.`,
      );
    }
    const translated: CursorValue = { ...value, incarnation: to, owner: `restore/${to}/${key}` };
    await replace(cursors, key, toBytes(translated), revision, position);
  }
}

async function replace(
  bucket: Bucket,
  key: string,
  value: Uint8Array | undefined,
  expectedRevision: number,
  position: Position,
): Promise<void> {
  const { written } = await bucket.write({ key, value, expectedRevision, position });
  if (!written)
    throw new BackupError(`Somebody else writes to the bucket ${bucket.name}. Stop every service.`);
}
