import { isDeepStrictEqual } from 'node:util';
import {
  type Bucket,
  mayHeal,
  type Position,
  type Row,
  type Runtime,
  type StreamRef,
} from '../../../eventstore/index.ts';
import type { EngineObserver } from '../observer.ts';
import { type Buckets, bucketNames, toBytes, writeRow } from '../rows.ts';
import { follow, persist } from '../signal.ts';
import {
  auditKey,
  type DeadLetter,
  type DeadLetterRequest,
  describeError,
  entryKey,
  entryOf,
} from './entry.ts';

/** A message of a work queue that was given up. Times in milliseconds since the Unix epoch. */
export interface GivenUpMessage {
  /** The aggregate that it speaks of, and the position of the commit that it came of. */
  readonly stream: StreamRef;
  readonly position: Position;
  readonly type: string;
  /** As JSON: whatever is needed to send it again. */
  readonly payload: unknown;
  readonly error: unknown;
  readonly attempts: number;
  readonly firstAt: number;
  /** Empty when there is none. */
  readonly traceId: string;
}

/** The dead letters of a work queue. They are no commits: the entry alone holds what is sent again. */
export interface MessageDeadLetters {
  /**
   * Returns once it is stored; one that is kept already is kept once, and is not sent again if that was asked for before.
   * @throws LogUnavailable, OutcomeUnknown
   */
  keep(message: GivenUpMessage): Promise<void>;
  stop(): Promise<void>;
}

interface Deps {
  readonly buckets: Buckets;
  readonly prefix: string;
  readonly runtime: Runtime;
  /** Under which name operators see them; no reaction has it. */
  readonly name: string;
  /** Sends what an entry holds again. Repeated after a crash, by any instance: the request tells one from another. */
  readonly again: (entry: DeadLetter, request: DeadLetterRequest) => Promise<void>;
  readonly onTrouble: (what: string, error: unknown) => void;
  readonly observer?: EngineObserver | undefined;
}

/** Keeps dead letters of a work queue and does what operators ask for with them, until `stop` (protocol 9). */
export function openMessageDeadLetters(deps: Deps): MessageDeadLetters {
  const { buckets, prefix, runtime, name, onTrouble } = deps;
  const stopping = new AbortController();
  const how = { runtime, signal: stopping.signal };
  let opened: Promise<Bucket> | undefined;
  const open = (): Promise<Bucket> => {
    opened ??= persist(how, () => buckets.create(bucketNames(prefix).parked, { durable: true }));
    opened.catch(() => {
      opened = undefined;
    });
    return opened;
  };

  let acting: Promise<void> = Promise.resolve();
  const look = (bucket: Bucket, { key, ...row }: Row): void => {
    if (!key.startsWith(`${name}.`) || entryOf({ key, ...row })?.request === undefined) return;
    acting = acting
      .then(() => act(deps, how, bucket, key))
      .catch((error: unknown) => {
        if (!stopping.signal.aborted)
          onTrouble(`doing what was asked for with the dead letter ${key}`, error);
      });
  };
  const watch = async (): Promise<void> => {
    const bucket = await open();
    await follow(
      { bucket, ...how },
      (row) => look(bucket, row),
      () => undefined,
    );
  };
  const watching = watch().catch((error: unknown) => {
    if (!stopping.signal.aborted) onTrouble(`watching the dead letters of ${name}`, error);
  });

  return {
    keep: async (message) => keep(deps, how, await open(), message),
    stop: async () => {
      stopping.abort();
      await watching;
      await acting;
    },
  };
}

type How = Parameters<typeof writeRow>[0];

async function keep(
  { name, runtime }: Deps,
  how: How,
  bucket: Bucket,
  message: GivenUpMessage,
): Promise<void> {
  const { stream, position, type, payload, error, attempts, firstAt, traceId } = message;
  const key = entryKey(name, stream, position);
  const event = { type, schemaVersion: 1, payload };
  for (;;) {
    const row = await persist(how, () => bucket.get(key, { leader: true }));
    const { events = [], request } = entryOf(row) ?? {};
    const isKept = events.some((known) => known.type === type && isDeepStrictEqual(known.payload, payload));
    // One that is to be sent again may have been sent in vain: then it stays, and who is about to remove it is refused.
    if (isKept && request?.requested !== 'redrive') return;
    const entry: DeadLetter = {
      ...{ consumer: name, ...stream, position, commitId: '', behind: false },
      events: isKept ? events : [...events, event],
      ...{
        error: describeError(error),
        attempts,
        firstAt,
        lastAt: runtime.now(),
        traceId,
        write: runtime.id(),
      },
    };
    if (await replace(how, bucket, row ?? { key, revision: 0 }, entry)) return;
  }
}

/** Does what is asked for with an entry, as it is by now; another instance may do the same. */
async function act(deps: Deps, how: How, bucket: Bucket, key: string): Promise<void> {
  const { name, again, observer, runtime } = deps;
  const row = await persist(how, () => bucket.get(key, { leader: true }));
  const entry = entryOf(row);
  if (row === undefined || entry?.request === undefined) return;
  const { request, ...rest } = entry;
  if (request.requested === 'discard') {
    const audit = auditKey(name, entry, entry.position);
    const before = await persist(how, () => bucket.get(audit, { leader: true }));
    await replace(how, bucket, before ?? { key: audit, revision: 0 }, entry);
    if (await replace(how, bucket, row, undefined)) observer?.discarded?.(entry);
    return;
  }
  try {
    await persist(how, () => again(entry, request));
  } catch (error) {
    if (mayHeal(error)) throw error;
    const failed = { ...rest, error: describeError(error), lastAt: runtime.now(), write: runtime.id() };
    await replace(how, bucket, row, failed);
    return;
  }
  await replace(how, bucket, row, undefined);
}

/** False when the row was changed by somebody else. */
async function replace(
  how: How,
  bucket: Bucket,
  { key, revision }: Pick<Row, 'key' | 'revision'>,
  entry: DeadLetter | undefined,
): Promise<boolean> {
  const value = entry && toBytes(entry);
  return (await writeRow(how, bucket, { key, value, expectedRevision: revision })).written;
}
