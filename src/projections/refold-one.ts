import type { Log } from '../eventstore/log.ts';
import { groupOfSlot, type StreamRef, slotOf } from '../eventstore/stream.ts';
import { FoldFailure, PoisonEvent, RebuildRefused } from './errors.ts';
import { groupCountOf } from './groups.ts';
import { setMark } from './marks.ts';
import { versionOf } from './projection.ts';
import { type RebuildDeps, withEngine } from './rebuild.ts';
import { refoldRow } from './refold.ts';

/**
 * Folds the row of one aggregate again from the log and puts it in the place of what the live bucket has, beside
 * running services. A parked aggregate is released by it: the runner of its group goes on with it within `resolveMs`.
 * @returns the position up to which the row has seen the log
 * @throws RebuildRefused; PoisonEvent when the row still cannot be folded, and then nothing is changed; LogUnavailable
 */
export async function refoldOne(deps: RebuildDeps & { readonly id: string }): Promise<{ position: number }> {
  const { projection, runtime, id } = deps;
  const refuse = (why: string) => new RebuildRefused(projection.name, why);
  if (projection.crossesAggregates) throw refuse('its rows cross aggregates; rebuild all of it');
  return withEngine(deps, async (engine) => {
    const count = groupCountOf(projection, engine.settings);
    const alias = (await engine.aliases.read(projection.name))?.alias;
    const bucket = alias === undefined ? undefined : await engine.buckets.open(alias.bucket);
    if (bucket === undefined || alias?.version !== versionOf(projection, count)) {
      throw refuse('its live bucket is of another version; rebuild all of it');
    }
    const stream = await find(engine.log, projection.sources, id);
    if (stream === undefined) throw refuse(`the log has no aggregate ${id} that it reads`);
    try {
      const { position } = await refoldRow({ ...engine, projection, bucket }, stream);
      const group = { count, index: groupOfSlot(slotOf(id), count) };
      const at = runtime.now();
      const mark = { stream, state: 'released', position: 0, reason: 'folded again', at } as const;
      await setMark(bucket, group, mark, () => true);
      return { position };
    } catch (error) {
      if (error instanceof FoldFailure) throw new PoisonEvent(projection.name, error.position, error.cause);
      throw error;
    }
  });
}

async function find(
  log: Log,
  sources: readonly { readonly category: string }[],
  id: string,
): Promise<StreamRef | undefined> {
  for (const { category } of sources) {
    const stream = { category, id };
    const { commits } = await log.read(stream, { after: 0, confirm: true });
    if (commits.length > 0) return stream;
  }
  return undefined;
}
