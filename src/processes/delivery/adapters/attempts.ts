import {
  DiscardPolicy,
  PersistMode,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';
import { createGets, messagesOf, type Requests } from '../../../eventstore/index.ts';
import type { Deliverable, Posted } from '../port.ts';

export interface AttemptsSettings {
  /** The log's prefix: the stream is `<prefix>-webhooks`, its subjects `<prefix>w.<receiver>.<taken|failed>.<place>`. */
  readonly prefix: string;
  readonly replicas: number;
  /** In milliseconds. */
  readonly keepMs: number;
}

/** The tries of a receiver that are kept: the last ones that were taken, and the last ones that were not. */
const KEPT = 500;
const NANOS = 1_000_000;

export const attemptsStream = (prefix: string): string => `${prefix}-webhooks`;

/**
 * The stream of tries: the last one on each subject, of which a receiver has so many, and none longer than its age. Nothing
 * waits for the disk, since nothing but a list is lost: several servers keep it in memory, and one alone, which would forget
 * the whole stream with that when it restarts, in a file that it does not sync.
 */
export function attemptsStreamConfig({
  prefix,
  replicas,
  keepMs,
}: AttemptsSettings): Partial<StreamConfig> & {
  name: string;
} {
  return {
    name: attemptsStream(prefix),
    subjects: [`${prefix}w.*.*.*`],
    ...(replicas > 1
      ? { storage: StorageType.Memory }
      : { storage: StorageType.File, persist_mode: PersistMode.Async }),
    compression: StoreCompression.None,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_msgs: -1,
    max_bytes: -1,
    max_msgs_per_subject: 1,
    max_age: keepMs * NANOS,
    num_replicas: replicas,
    allow_direct: true,
  };
}

/** What keeps a stream from being that of the tries, one phrase each; none = fit. */
export function attemptsStreamProblems(
  existing: StreamConfig,
  settings: Omit<AttemptsSettings, 'replicas'>,
): string[] {
  const wanted = attemptsStreamConfig({ ...settings, replicas: existing.num_replicas });
  return (['subjects', 'max_msgs_per_subject', 'max_age'] as const)
    .filter((field) => String(existing[field]) !== String(wanted[field]))
    .map((field) => `its ${field} is ${existing[field]}, not ${wanted[field]}`);
}

/** One try, as it is kept and shown. */
export interface Attempt extends Pick<Deliverable, 'id' | 'type' | 'subject' | 'source' | 'position'> {
  readonly attempt: number;
  /** When it began, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly durationMs: number;
  readonly taken: boolean;
  readonly status?: number;
  /** Why there was no answer. */
  readonly error?: string;
  /** The beginning of what was answered. */
  readonly answer?: string;
}

/** What is kept of a try that began and ended at these times, in milliseconds since the Unix epoch. */
export function attemptOf(
  { id, type, subject, source, position }: Deliverable,
  attempt: number,
  { taken, status, error, answer }: Posted,
  [at, end]: readonly [number, number],
): Attempt {
  return {
    ...{ id, type, subject, source, position, attempt, at, durationMs: end - at, taken },
    ...(status !== undefined && { status }),
    ...(status === undefined && error !== undefined && { error }),
    ...(answer && { answer }),
  };
}

/** A try with its own place among the tries. */
export interface KeptAttempt extends Attempt {
  readonly sequence: number;
}

/** The tries that are kept. @throws LogUnavailable */
export interface Attempts {
  /** Keeps one; not waited for, since only a line of a list is lost with it. */
  keep(receiver: string, attempt: Attempt): void;
  /** All that are kept of a receiver, the newest first. */
  list(receiver: string): Promise<readonly KeptAttempt[]>;
  /** The newest that is kept of a receiver. */
  last(receiver: string): Promise<KeptAttempt | undefined>;
  /** All that are kept of all receivers, the oldest first. */
  all(): AsyncIterable<KeptAttempt>;
}

/** @param timeoutMs of each request */
export function openAttempts(requests: Requests, prefix: string, timeoutMs: number): Attempts {
  const gets = createGets(requests, attemptsStream(prefix), timeoutMs);
  const places = new Map<string, number>();
  const nextPlace = (of: string): number => {
    // Somewhere in the ring: who goes on for another instance need not know where that one was.
    const place = ((places.get(of) ?? Math.floor(Math.random() * KEPT)) + 1) % KEPT;
    places.set(of, place);
    return place;
  };
  return {
    keep: (receiver, attempt) => {
      const subject = `${prefix}w.${receiver}.${attempt.taken ? 'taken' : 'failed'}`;
      requests.publish(`${subject}.${nextPlace(subject)}`, JSON.stringify(attempt));
    },
    list: async (receiver) => {
      const found = await gets.directLast([`${prefix}w.${receiver}.*.*`]);
      return found.map(attemptIn).sort((a, b) => b.sequence - a.sequence);
    },
    last: async (receiver) => {
      const found = await gets.leader({ last_by_subj: `${prefix}w.${receiver}.*.*` });
      return found && attemptIn(found);
    },
    all: async function* () {
      for await (const message of messagesOf(gets, `${prefix}w.>`)) yield attemptIn(message);
    },
  };
}

function attemptIn({ data, seq }: { readonly data: Uint8Array; readonly seq: number }): KeptAttempt {
  const kept = JSON.parse(Buffer.from(data).toString('utf8')) as Omit<KeptAttempt, 'sequence'>;
  return { ...kept, sequence: seq };
}
