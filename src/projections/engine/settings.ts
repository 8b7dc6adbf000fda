import type { Position, SlotGroup } from '../../eventstore/index.ts';
/** How the views run. Times in milliseconds. */
export interface ProjectionSettings {
  /** First part of every bucket name. */
  readonly prefix: string;
  /** A sentence that says how this service has a view rebuilt, for the errors that nothing else heals. */
  readonly rebuildHint?: ((view: string) => string) | undefined;
  /** The same for a position that is to be passed over, where the bytes of a commit are damaged. */
  readonly skipHint?: ((position: Position) => string) | undefined;
  /** Groups of a view that does not say how many it has. Changing it rebuilds such views. */
  readonly groups: SlotGroup['count'];
  /** Single writes under way at once, per view. */
  readonly maxInFlight: number;
  /**
   * How long a row may rest that was written already, so that it is written once for what comes meanwhile. Nobody rests
   * while a query waits for the view.
   */
  readonly restMs: number;
  /** Rows in one batch while catching up, where the bucket has batches; at most 1,000. */
  readonly batchRows: number;
  /** Rows kept in memory per view. */
  readonly cacheRows: number;
  /** The same as bytes of memory that they take. */
  readonly cacheBytes: number;
  /** Rows not yet acknowledged at which a view asks its reader to wait; more than `batchRows`. */
  readonly maxBacklog: number;
  /** The least time between two checkpoints of a view of one group, when nobody waits for them. */
  readonly checkpointMs: number;
  /** A view joins a reader that is at most this many commits behind it; further away it reads alone until it has caught up. */
  readonly joinDistance: number;
  /** How often runners and readers look which bucket is the live one. */
  readonly resolveMs: number;
  /** Two answers so far apart that a view's bucket is gone make it lost; it is then filled anew (protocol 23). */
  readonly lostMs: number;
  /** Repeated failures of one row before its view starts again from its checkpoint. */
  readonly rowAttempts: number;
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** How long stopping waits for rows under way. */
  readonly stopMs: number;
  /** An instance that was not seen alive for this long has its groups taken over. */
  readonly memberMs: number;
  /** Commits per second whose rows are looked at again, so that a lost one comes back; 0 = none. */
  readonly sweepPerSecond: number;
  /** How long the previous bucket is still fed after a switch; longer than `resolveMs`. */
  readonly graceMs: number;
}

/** What a service of ordinary size starts with. */
export const defaultProjectionSettings: ProjectionSettings = {
  prefix: 'jl',
  groups: 1,
  maxInFlight: 256,
  restMs: 100,
  batchRows: 900,
  cacheRows: 50_000,
  cacheBytes: 8 * 2 ** 20,
  maxBacklog: 8_000,
  checkpointMs: 100,
  joinDistance: 10_000,
  resolveMs: 1_000,
  lostMs: 5_000,
  rowAttempts: 4,
  backoffBaseMs: 50,
  backoffCapMs: 5_000,
  stopMs: 5_000,
  memberMs: 5_000,
  sweepPerSecond: 200,
  graceMs: 5_000,
};
