import type { Runtime } from '../../../eventstore/index.ts';
import type { Buckets, LiveAlias } from '../aliases.ts';
import type { ProjectionSettings } from '../settings.ts';

/** Whether the bucket that an alias names is there; `missing` = an answer says no, `lost` = it is certain. */
export type BucketState = 'there' | 'missing' | 'lost';

/**
 * Looks for a view's live bucket. A single "not found" may come from a server that has not heard of the bucket yet, and
 * costs a healthy view nothing: lost is what two answers `lostMs` apart call gone, with none between that found it and
 * no switch (protocol 23).
 *
 * The second argument is true where the bucket is known to be there, because it is worked on.
 */
export function createBucketWatch(deps: {
  readonly buckets: Buckets;
  readonly runtime: Runtime;
  readonly settings: Pick<ProjectionSettings, 'lostMs'>;
}): (live: LiveAlias, isAtWork: boolean) => Promise<BucketState> {
  const { buckets, runtime, settings } = deps;
  let missed: { readonly revision: number; readonly since: number } | undefined;
  return async ({ alias, revision }, isAtWork) => {
    if (isAtWork || (await buckets.open(alias.bucket)) !== undefined) {
      missed = undefined;
      return 'there';
    }
    const now = runtime.now();
    if (missed?.revision !== revision) missed = { revision, since: now };
    return now - missed.since < settings.lostMs ? 'missing' : 'lost';
  };
}
