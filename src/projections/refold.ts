import type { Bucket } from '../eventstore/bucket.ts';
import type { Log } from '../eventstore/log.ts';
import type { StreamRef } from '../eventstore/stream.ts';
import { ForeignCheckpoint } from './errors.ts';
import type { FactDecoder } from './facts.ts';
import { foldRow } from './fold-row.ts';
import type { Projection } from './projection.ts';

/**
 * Folds the row of one aggregate again from its whole history and puts it in the place of what is stored. Runners
 * that hold the old row lose their fence and read the new one.
 * @returns the row's position
 * @throws FoldFailure when it still cannot be folded; LogUnavailable, OutcomeUnknown
 */
export async function refoldRow(
  deps: { projection: Projection; bucket: Bucket; log: Log; decode: FactDecoder },
  stream: StreamRef,
): Promise<{ position: number; revision: number }> {
  const { projection, bucket } = deps;
  const key = stream.id;
  for (;;) {
    const stored = await bucket.get(key, { leader: true });
    const { row, position } = await foldRow(deps, stream, key);
    if (stored !== undefined && stored.position > position) {
      const why = `its row ${key} is at ${stored.position}, and the log knows that aggregate up to ${position}`;
      throw new ForeignCheckpoint(projection.name, bucket.name, why);
    }
    if (position === 0) return { position, revision: stored?.revision ?? 0 };
    const value = row === undefined ? undefined : Buffer.from(JSON.stringify(row));
    const result = await bucket.write({ key, value, expectedRevision: stored?.revision ?? 0, position });
    if (result.written) return { position, revision: result.revision };
  }
}
