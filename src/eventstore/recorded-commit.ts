import { type Commit, CommitSchema, type Decision } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { type Decided, readDecided } from './decided.ts';
import { CorruptCommit } from './errors.ts';
import { decoderOf } from './lean-decoder.ts';
import type { RecordedCommit } from './log.ts';
import { type StreamRef, streamOfSubject } from './stream.ts';
import { wholeBuffer } from './whole-buffer.ts';

/** A message of the log as it was stored. */
export interface StoredCommit {
  readonly subject: string;
  /** Sequence in the log. */
  readonly position: number;
  /** The aggregate's version before it: the expectation that it was stored with. */
  readonly previous: number;
  readonly bytes: Uint8Array;
  /** From the message's header; without it the id is decoded from the bytes. */
  readonly commitId?: string | undefined;
}

/**
 * A commit that decodes its bytes when they are first looked at, so that a reader pays only for what it folds.
 * `decisions` (and `commitId` without a header) throw CorruptCommit, naming subject and position.
 */
export function recordedCommit(stored: StoredCommit): RecordedCommit {
  return new LazyCommit(stored);
}

/**
 * What was decided, when and in which trace, without the ids, which are half of what decoding a commit costs. The
 * commit does not hold on to it: a reader may keep commits at hand longer than it needs what is in them.
 * @throws CorruptCommit
 */
export function decidedIn(commit: RecordedCommit): readonly Decided[] {
  return commit instanceof LazyCommit ? commit.decided() : commit.decisions.map(decidedOf);
}

const decodeEnvelope = decoderOf(CommitSchema);

function decidedOf({ time, traceparent, events }: Decision): Decided {
  return { time: Number(time), traceparent, events };
}

/** A class, because its accessors are shared: a replay makes 250,000 of these a second. */
class LazyCommit implements RecordedCommit {
  readonly position: number;
  readonly previous: number;
  readonly #stored: StoredCommit;
  #stream: StreamRef | undefined;
  #commit: Commit | undefined;

  constructor(stored: StoredCommit) {
    this.position = stored.position;
    this.previous = stored.previous;
    this.#stored = stored;
  }

  get stream(): StreamRef {
    this.#stream ??= streamOfSubject(this.#stored.subject);
    return this.#stream;
  }

  get commitId(): string {
    return this.#stored.commitId || this.#decoded().commitId;
  }

  get decisions(): readonly Decision[] {
    return this.#decoded().decisions;
  }

  decided(): readonly Decided[] {
    const { bytes, commitId } = this.#stored;
    const from = bytes.byteOffset;
    const read = commitId && readDecided(wholeBuffer(bytes), from, from + bytes.length, commitId);
    return read || this.#decoded().decisions.map(decidedOf);
  }

  #decoded(): Commit {
    this.#commit ??= checked(this.#stored);
    return this.#commit;
  }
}

function checked(stored: StoredCommit): Commit {
  const { subject, position, bytes, commitId } = stored;
  let commit: Commit;
  try {
    commit = decodeEnvelope(bytes);
  } catch (cause) {
    throw new CorruptCommit(subject, position, cause);
  }
  if (commit.commitId === '' || commit.decisions.length === 0) {
    throw new CorruptCommit(subject, position, new Error('no commit id or no decision'));
  }
  if (commitId && commitId !== commit.commitId) {
    throw new CorruptCommit(subject, position, new Error(`its header names the commit ${commitId}`));
  }
  return commit;
}
