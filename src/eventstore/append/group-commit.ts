import { createBoundedCache } from '../cache/bounded-cache.ts';
import { keyOf } from '../stream.ts';
import type { GroupPolicy } from './group-commit-policy.ts';
import type { AppendTransport, OutgoingCommit, PublishOutcome } from './resolve-append.ts';

/** Aggregates that met a conflict a short while ago; a bounded memory. */
export interface Contended {
  add(key: string): void;
  has(key: string): boolean;
}

/** Of more the oldest are forgotten. */
const LIMIT = 10_000;

/** @param now the clock that `keepMs` is measured with, in milliseconds */
export function createContended(now: () => number, keepMs: number): Contended {
  const until = createBoundedCache<number>(LIMIT);
  return {
    add: (key) => until.set(key, now() + keepMs),
    has: (key) => {
      const end = until.get(key);
      if (end === undefined) return false;
      if (end > now()) return true;
      until.delete(key);
      return false;
    },
  };
}

/** A commit that waits for company, and its caller. */
export interface Waiting {
  readonly key: string;
  readonly commit: OutgoingCommit;
  readonly timeoutMs: number;
  readonly since: number;
  readonly answer: (outcome: PublishOutcome) => void;
  readonly fail: (error: unknown) => void;
}

/** The next commits for one batch, no aggregate twice: expectations are checked against the log before the batch. */
export function takeBatch(queue: Waiting[], most: number): Waiting[] {
  const taken = new Map<string, Waiting>();
  const left: Waiting[] = [];
  for (const waiting of queue) {
    if (taken.size < most && !taken.has(waiting.key)) taken.set(waiting.key, waiting);
    else left.push(waiting);
  }
  queue.splice(0, queue.length, ...left);
  return [...taken.values()];
}

export interface GroupCommitOptions {
  readonly policy: GroupPolicy;
  /** Batches under way at once. */
  readonly slots: number;
  /** Milliseconds, with fractions; only differences count. */
  readonly now: () => number;
  /** Calls back when everything that is on its way into the queue now is there. */
  readonly soon: (callback: () => void) => void;
}

/** More commits in one batch only make its first one wait longer. */
const MAX_PACKED = 500;
/** Larger commits go alone: what they cost is their bytes. */
const MAX_PACKED_BYTES = 16_384;
/** How long an aggregate that met a conflict goes alone, in milliseconds. */
const CONTENDED_MS = 5_000;

/**
 * Packs single publishes of different aggregates that are under way at the same time into atomic batches (protocol 16).
 * It works below protocol 2: a batch is one *attempt* of each of its commits, and each gets an outcome of its own.
 */
export function createGroupCommit(transport: AppendTransport, options: GroupCommitOptions): AppendTransport {
  const { policy, now } = options;
  const contended = createContended(now, CONTENDED_MS);
  const queue: Waiting[] = [];
  /** Commits without an answer, those that wait included. */
  let underWay = 0;
  let singles = 0;
  let batches = 0;
  let scheduled = false;

  async function single(commit: OutgoingCommit, timeoutMs: number): Promise<PublishOutcome> {
    singles++;
    try {
      const outcome = await transport.publish([commit], timeoutMs);
      if ('conflict' in outcome) contended.add(keyOf(commit.stream));
      return outcome;
    } finally {
      singles--;
      if (queue.length > 0) schedule();
    }
  }

  function alone({ commit, timeoutMs, since, answer, fail }: Waiting): void {
    // Waiting in the queue was part of the attempt, but what is sent late must not be called lost at once.
    const leftMs = Math.max(timeoutMs / 2, timeoutMs - (now() - since));
    single(commit, leftMs).then(answer, fail);
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    options.soon(() => {
      scheduled = false;
      pump();
    });
  }

  function pump(): void {
    while (queue.length > 0 && batches < options.slots) {
      const least = policy.minBatch();
      const isAlone = least === Number.POSITIVE_INFINITY || (singles === 0 && batches === 0);
      // With half of its share of all that is under way a batch goes: the rest may hang.
      const enough = Math.max(least, Math.ceil(underWay / (2 * options.slots)));
      // Free places share what waits, as long as each batch pays.
      const share = Math.max(enough, Math.ceil(queue.length / (options.slots - batches)));
      if (queue.length >= enough) void together(takeBatch(queue, Math.min(share, MAX_PACKED)));
      else if (isAlone) for (const waiting of queue.splice(0)) alone(waiting);
      // Whatever is under way brings company when it is answered.
      else return;
    }
  }

  async function together(packed: readonly Waiting[]): Promise<void> {
    batches++;
    try {
      const innocent = await attempt(packed);
      // What was refused only because of the others is tried once more without them.
      const left = innocent.length >= policy.minBatch() ? await attempt(innocent) : innocent;
      for (const waiting of left) alone(waiting);
    } finally {
      batches--;
      if (queue.length > 0) schedule();
    }
  }

  /** One batch. Gives an outcome to whom it can; returns those that were refused only because of others. */
  async function attempt(packed: readonly Waiting[]): Promise<readonly Waiting[]> {
    const timeoutMs = Math.min(...packed.map((waiting) => waiting.timeoutMs));
    const outcome = await publishTogether(packed, timeoutMs);
    if ('ok' in outcome) {
      for (const [index, { answer }] of packed.entries()) answer({ ok: true, seq: outcome.seq + index });
      return [];
    }
    if ('conflict' in outcome) return withoutLosers(packed, timeoutMs);
    if ('refused' in outcome) {
      for (const waiting of packed) alone(waiting);
      return [];
    }
    for (const { key, answer } of packed) {
      // It may be stored, now or later, all of it or nothing: protocol 2 goes on for each alone.
      contended.add(key);
      answer(outcome);
    }
    return [];
  }

  /** A commit that cannot be sent at all breaks its batch before anything is stored; alone it is its own caller's error. */
  async function publishTogether(packed: readonly Waiting[], timeoutMs: number): Promise<PublishOutcome> {
    try {
      const commits = packed.map(({ commit }) => commit);
      return await transport.publish(commits, timeoutMs);
    } catch (cause) {
      return { refused: 'one of the commits cannot be sent', retryable: false, cause };
    }
  }

  /** A refused batch stored nothing. Whose aggregate has moved on can never be stored; the others are innocent. */
  async function withoutLosers(packed: readonly Waiting[], timeoutMs: number): Promise<readonly Waiting[]> {
    const versions = await lastVersions(packed, timeoutMs);
    const innocent: Waiting[] = [];
    for (const waiting of packed) {
      const { key, commit, answer } = waiting;
      if ((versions.get(key) ?? 0) <= commit.expected) {
        innocent.push(waiting);
        continue;
      }
      contended.add(key);
      answer({ conflict: true });
    }
    // Nobody found: a write that is still in flight, or a replica that lags. Each is asked for itself.
    if (innocent.length === packed.length) for (const waiting of innocent.splice(0)) alone(waiting);
    return innocent;
  }

  async function lastVersions(
    packed: readonly Waiting[],
    timeoutMs: number,
  ): Promise<ReadonlyMap<string, number>> {
    try {
      const streams = packed.map(({ commit }) => commit.stream);
      return await transport.lastVersions(streams, timeoutMs);
    } catch {
      // Only a hint: without it each is asked for itself.
      return new Map();
    }
  }

  function publishOne(commit: OutgoingCommit, timeoutMs: number): Promise<PublishOutcome> {
    const isAlone = policy.minBatch() === Number.POSITIVE_INFINITY || commit.bytes.length > MAX_PACKED_BYTES;
    if (isAlone) return single(commit, timeoutMs);
    const key = keyOf(commit.stream);
    if (contended.has(key)) return single(commit, timeoutMs);
    return new Promise((answer, fail) => {
      queue.push({ key, commit, timeoutMs, since: now(), answer, fail });
      schedule();
    });
  }

  return {
    ...transport,
    publish: async (outgoing, timeoutMs, guards = []) => {
      const [commit] = outgoing;
      if (commit === undefined || outgoing.length + guards.length > 1)
        return transport.publish(outgoing, timeoutMs, guards);
      policy.sent(++underWay);
      try {
        return await publishOne(commit, timeoutMs);
      } finally {
        policy.answered(underWay--);
      }
    },
  };
}
