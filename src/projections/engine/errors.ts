import {
  EventStoreError,
  isDamage,
  numberOf,
  type Position,
  reasonOf,
  type StreamRef,
} from '../../eventstore/index.ts';
/** An event that a view cannot apply. The view stops here: skipping would make every later answer wrong. */
export class UnappliedEvent extends EventStoreError {
  readonly view: string;
  readonly position: Position;

  /** @param skipHint how an operator has a position passed over, which alone helps where bytes are damaged */
  constructor(view: string, position: Position, cause: unknown, skipHint?: (position: Position) => string) {
    const hint = isDamage(cause) && skipHint !== undefined ? ` ${skipHint(position)}` : '';
    super(
      'view/poison-event',
      `The read model ${view} cannot apply the commit at position ${numberOf(position)} and stands still there: ${reasonOf(cause)}${hint}`,
      { cause },
    );
    this.view = view;
    this.position = position;
  }
}

/** An aggregate's commit could not be decoded or folded; the view's policy decides what follows. */
export class FoldFailure extends Error {
  readonly stream: StreamRef;
  readonly position: Position;

  constructor(stream: StreamRef, position: Position, cause: unknown) {
    super(
      `${stream.category}/${stream.id} cannot be folded at position ${numberOf(position)}: ${reasonOf(cause)}`,
      { cause },
    );
    this.name = 'FoldFailure';
    this.stream = stream;
    this.position = position;
  }
}

/** What was asked for would leave the view other than the plain fold of the log, or cannot be done. */
export class RebuildRefused extends EventStoreError {
  constructor(view: string, why: string) {
    super('view/rebuild-refused', `The read model ${view} was left as it is: ${why}`);
  }
}

/** @throws EventStoreError `view/cancelled` once the signal has fired */
export function checkCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new EventStoreError('view/cancelled', 'The rebuild was cancelled.');
}

/** A row that several groups might own. */
export function foreignKey(view: string, key: string): EventStoreError {
  return new EventStoreError(
    'view/foreign-key',
    `The read model ${view} made the row key ${key}: with several groups, or with dead letters, it must be the aggregate's id.`,
  );
}

const REBUILD = 'Rebuild it.';

/** The view's bucket belongs to another incarnation of the log (protocol 15); rebuild the view. */
export class ForeignCheckpoint extends EventStoreError {
  constructor(view: string, bucket: string, why: string, hint = REBUILD) {
    super(
      'view/foreign-checkpoint',
      `The read model ${view} (bucket ${bucket}) does not belong to this log: ${why}. ${hint}`,
    );
  }
}

/**
 * The rows of a view are not to be had: its bucket is gone, or was filled from another log (protocols 15 and 23). A new
 * bucket heals it, which readers and runners notice by themselves.
 */
export class ViewLost extends EventStoreError {
  constructor(view: string, why: string, hint = REBUILD) {
    super('view/lost', `The read model ${view} is lost: ${why}. ${hint}`, { retryable: true });
  }
}

/** The live bucket of a view is not there. */
export function bucketGone(view: string, bucket: string): ViewLost {
  const cure = 'A service that keeps it (role projections) fills a new one from the log by itself.';
  return new ViewLost(view, `its bucket ${bucket} is gone`, cure);
}

/** The bucket no longer holds writes that it had acknowledged; the view starts again from its stored checkpoint. */
export class BucketRewound extends EventStoreError {
  constructor(bucket: string, key: string) {
    super('view/bucket-rewound', `The bucket ${bucket} lost acknowledged writes (seen at ${key}).`, {
      retryable: true,
    });
  }
}

/** A bucket whose rows cross aggregates lost writes; such rows cannot be healed one by one. */
export class RowsLost extends EventStoreError {
  constructor(view: string, bucket: string, key: string, hint = REBUILD) {
    super(
      'view/rows-lost',
      `The bucket ${bucket} of the read model ${view} lost acknowledged writes (seen at ${key}). ${hint}`,
    );
  }
}
