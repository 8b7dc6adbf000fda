import type { Bucket } from '../../eventstore/bucket.ts';
import type { Log } from '../../eventstore/log.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import type { Consumer } from './consumer.ts';
import type { EngineObserver } from './observer.ts';
import type { Park } from './park.ts';
import type { ParkedIndex } from './parked-index.ts';

/** What a group works with once it is owned. */
export interface GroupParts {
  readonly consumer: Consumer;
  readonly log: Log;
  readonly runtime: Runtime;
  /** The bucket of parked commits. */
  readonly bucket: Bucket;
  readonly index: ParkedIndex;
  readonly park: Park;
  readonly observer: EngineObserver | undefined;
  /** How far the group had been read when it was taken over; what is left of it may have been begun before. */
  readonly resumedAt: number;
  /** The stored floor. */
  readonly stored: () => number;
  /** Whether the group may still be worked on. */
  readonly alive: () => boolean;
  /** Fires when the group is to be left. */
  readonly signal: AbortSignal;
  /** Called when the group turns out to be another's. */
  readonly lost: (error: unknown) => void;
}
