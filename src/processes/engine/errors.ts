import { EventStoreError } from '../../eventstore/index.ts';

/** Another instance owns the group now; whatever this one still wanted to write was refused. */
export class OwnershipLost extends EventStoreError {
  constructor(what: string) {
    super('engine/ownership-lost', `${what} belongs to another instance now; this one stops working on it.`);
  }
}

/** A cursor that does not belong to this log (protocol 15). */
export class ForeignCursor extends EventStoreError {
  constructor(key: string, why: string) {
    super(
      'engine/foreign-cursor',
      `The cursor ${key} does not belong to this log: ${why}. The consumer stops. If the log was restored, restore the bucket of the cursors with it, or remove the consumer's cursors and its start there, so that it begins anew where its code says.`,
    );
  }
}

/** Where a reaction is to begin for the first time is nowhere in the log. */
export class NoSuchStart extends EventStoreError {
  constructor(consumer: string, where: string) {
    super(
      'engine/no-such-start',
      `The consumer ${consumer} cannot begin at ${where}. It stops; correct its \`from\`, which is read at its first start only.`,
    );
  }
}

/** A consumer is already shared in another number of groups. */
export class GroupsDiffer extends EventStoreError {
  constructor(consumer: string, stored: number, wanted: number) {
    super(
      'engine/groups-differ',
      `The consumer ${consumer} is shared in ${stored} groups since its first start, and this instance is configured for ${wanted}. Set processes.groups to ${stored}: two ways of sharing would handle events twice and out of order.`,
    );
  }
}

/** A bucket of dead letters that cannot write atomically. */
export class NoBatches extends EventStoreError {
  constructor(bucket: string) {
    super(
      'engine/no-batches',
      `The bucket ${bucket} has no atomic batches; dead letters need a durable bucket with allow_atomic.`,
    );
  }
}
