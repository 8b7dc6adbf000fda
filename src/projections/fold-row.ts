import { LogUnavailable } from '../eventstore/errors.ts';
import type { Log } from '../eventstore/log.ts';
import type { StreamRef } from '../eventstore/stream.ts';
import { FoldFailure } from './errors.ts';
import { type FactDecoder, foldFacts, visitRows } from './facts.ts';
import type { Projection } from './projection.ts';

/** A row as the log alone says it is. */
export interface FoldedRow {
  readonly row: unknown;
  /** Position of the last commit that touched it; 0 = none did. */
  readonly position: number;
}

const NOTHING: FoldedRow = { row: undefined, position: 0 };

/**
 * Folds the row of one aggregate from its history, as the leader knows it, up to and including position `through`.
 * @param from a row to go on with, at the position of a commit of this aggregate
 * @throws LogUnavailable, also when the log does not show `through` yet although a commit at it was seen;
 *   FoldFailure when decoding or `evolve` throws
 */
export async function foldRow(
  deps: { log: Log; projection: Projection; decode: FactDecoder },
  stream: StreamRef,
  key: string,
  through = Number.POSITIVE_INFINITY,
  from: FoldedRow = NOTHING,
): Promise<FoldedRow> {
  const { log, projection, decode } = deps;
  let folded = from;
  let after = from.position;
  for (;;) {
    const page = await log.read(stream, { after, confirm: true });
    for (const commit of page.commits) {
      if (commit.position > through) break;
      try {
        visitRows(projection, decode(commit), (k, own) => {
          if (k !== key) return;
          folded = { row: foldFacts(projection, folded.row, own.facts), position: commit.position };
        });
      } catch (error) {
        throw new FoldFailure(stream, commit.position, error);
      }
    }
    after = page.commits.at(-1)?.position ?? after;
    if (after >= through) return folded;
    if (!page.more || page.commits.length === 0) break;
  }
  if (through !== Number.POSITIVE_INFINITY) {
    throw new LogUnavailable(`${stream.category}/${stream.id} does not show position ${through}`);
  }
  return folded;
}
