import { EventStoreError } from '../../../eventstore/index.ts';

// Apart from the ports, which the thread of the files needs: it would load the whole event store with them.

/** What is stored of an index cannot be read: it is thrown away and made anew from the rows. */
export class IndexDamaged extends EventStoreError {
  constructor(name: string, cause: unknown) {
    super('view/index-damaged', `The index of ${name} is damaged; it is made anew.`, {
      cause,
      retryable: true,
    });
  }
}

/** No index can be kept where it should be: the folder cannot be written, or the disk is full. */
export class IndexUnusable extends EventStoreError {
  constructor(what: string, cause: unknown) {
    super('view/index-unusable', what, { cause, retryable: true });
  }
}
