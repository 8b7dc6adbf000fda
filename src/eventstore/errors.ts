import { numberOf, type Position } from './position.ts';

/** What every fault of the event store has in common. Business outcomes are values and never thrown. */
export class EventStoreError extends Error {
  /** Stable and machine-readable. */
  readonly code: string;
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean;

  constructor(code: string, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** The log could not be reached in time; nothing was stored by this call. */
export class LogUnavailable extends EventStoreError {
  constructor(what: string, cause?: unknown) {
    super('log/unavailable', `The event log cannot be reached (${what}). Nothing was stored; try again.`, {
      retryable: true,
      cause,
    });
  }
}

/** A commit was sent and nobody can say yet whether it was stored. Repeating with the same key is safe. */
export class OutcomeUnknown extends EventStoreError {
  constructor(subject: string, waitedMs: number, cause?: unknown) {
    super(
      'log/outcome-unknown',
      `No answer about the commit to ${subject} within ${waitedMs} ms: it may or may not be stored. Repeat the request with the same key.`,
      { retryable: true, cause },
    );
  }
}

/**
 * NATS forbids this process something. Where a command meets it, nothing was stored; and nothing changes until somebody
 * grants the permission, so no caller is asked to repeat.
 */
export class PermissionDenied extends EventStoreError {
  readonly operation: 'publish' | 'subscribe';
  readonly subject: string;
  /** As whom this process is logged in, as far as it is known. */
  readonly user: string | undefined;

  constructor(operation: 'publish' | 'subscribe', subject: string, user?: string | undefined) {
    super(
      'log/permission-denied',
      `NATS does not allow ${user ?? 'the user of this process'} to ${operation} to ${subject}. Nothing was stored. ` +
        `Add the subject to what the NATS server's configuration allows this user to ${operation} to, and reload it.`,
    );
    this.operation = operation;
    this.subject = subject;
    this.user = user;
  }
}

/**
 * Whether a loop that has nobody to answer should wait and go on: after a fault that passes, and after a permission
 * that NATS denied, which an operator may grant meanwhile.
 */
export function mayHeal(error: unknown): boolean {
  return error instanceof EventStoreError && (error.retryable || error instanceof PermissionDenied);
}

/** A caller's time ran out before its command was sent. */
export class DeadlineExceeded extends EventStoreError {
  constructor(what: string, waitedMs: number) {
    super(
      'command/deadline',
      `${what} waited ${waitedMs} ms and was given up before it was sent; try again.`,
      {
        retryable: true,
      },
    );
  }
}

/** Too many commands wait for the same aggregate. */
export class QueueFull extends EventStoreError {
  constructor(what: string, limit: number) {
    super('command/queue-full', `${limit} commands already wait for ${what}; try again later.`, {
      retryable: true,
    });
  }
}

/** A commit larger than the server takes; refused before it is sent. */
export class CommitTooLarge extends EventStoreError {
  readonly size: number;
  readonly limit: number;

  constructor(subject: string, size: number, limit: number) {
    super(
      'commit/too-large',
      `The commit to ${subject} has ${size} bytes and the server takes ${limit}. Send fewer or smaller events, or raise max_payload.`,
    );
    this.size = size;
    this.limit = limit;
  }
}

/** Bytes in the log that are not a commit. */
export class CorruptCommit extends EventStoreError {
  constructor(subject: string, position: Position, cause: unknown) {
    super(
      'log/corrupt-commit',
      `The message at position ${numberOf(position)} on ${subject} is not a commit.`,
      { cause },
    );
  }
}

/** Whether bytes of the log are damaged: a commit, or an event in it. */
export function isDamage(error: unknown): boolean {
  return (
    error instanceof CorruptCommit || (error instanceof EventStoreError && error.code === 'event/corrupt')
  );
}

/** An event whose type this version of the service cannot read; nothing may be folded past it. */
export class UnknownEventType extends EventStoreError {
  constructor(category: string, type: string, schemaVersion: number) {
    super(
      'event/unknown-type',
      `This version cannot read the event ${category}/${type} of schema version ${schemaVersion}. Deploy the version that introduced it.`,
    );
  }
}

/** An id that must not become part of a subject. */
export class InvalidId extends EventStoreError {
  constructor(what: string, given: string, allowed: string) {
    super(
      'stream/invalid-id',
      `The ${what} ${JSON.stringify(given.slice(0, 140))} is not allowed: use ${allowed}.`,
    );
  }
}

/** The log is missing, not configured as the product needs it, or could lose history. */
export class UnsafeLog extends EventStoreError {
  readonly problems: readonly string[];

  constructor(stream: string, problems: readonly string[]) {
    super('log/unsafe', `The stream ${stream} cannot be used as the event log: ${problems.join('; ')}.`);
    this.problems = problems;
  }
}

/** The message of anything that was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
