import { EventStoreError } from '../eventstore/errors.ts';

/** An event that a view cannot apply. The view stops here: skipping would make every later answer wrong. */
export class PoisonEvent extends EventStoreError {
  readonly view: string;
  readonly position: number;

  constructor(view: string, position: number, cause: unknown) {
    super(
      'view/poison-event',
      `The read model ${view} cannot apply the commit at position ${position} and stands still there: ${reasonOf(cause)}`,
      { cause },
    );
    this.view = view;
    this.position = position;
  }
}

/** The view's bucket belongs to another life of the log (protocol 15); rebuild the view. */
export class ForeignCheckpoint extends EventStoreError {
  constructor(view: string, bucket: string, why: string) {
    super(
      'view/foreign-checkpoint',
      `The read model ${view} (bucket ${bucket}) does not belong to this log: ${why}. Rebuild it: jetledger rebuild ${view}`,
    );
  }
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
  constructor(view: string, bucket: string, key: string) {
    super(
      'view/rows-lost',
      `The bucket ${bucket} of the read model ${view} lost acknowledged writes (seen at ${key}). Rebuild it: jetledger rebuild ${view}`,
    );
  }
}

/** Whether waiting and starting again can help. */
export function isRetryable(error: unknown): boolean {
  return error instanceof EventStoreError && error.retryable;
}

/** The message of anything that was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
