import { type Commit, CommitSchema, type Decision } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { CorruptCommit } from './errors.ts';
import { decoderOf } from './lean-decoder.ts';
import type { RecordedCommit } from './log.ts';
import { type StreamRef, streamOfSubject } from './stream.ts';

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
 * The decisions of a commit, without the commit holding on to them: for a reader that keeps commits at hand longer
 * than it needs what is in them. @throws CorruptCommit
 */
export function decisionsOf(commit: RecordedCommit): readonly Decision[] {
  return commit instanceof LazyCommit ? commit.decode().decisions : commit.decisions;
}

const decodeEnvelope = decoderOf(CommitSchema);

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

  decode(): Commit {
    return this.#commit ?? decodeCommit(this.#stored);
  }

  #decoded(): Commit {
    this.#commit ??= decodeCommit(this.#stored);
    return this.#commit;
  }
}

function decodeCommit({ subject, position, bytes, commitId }: StoredCommit): Commit {
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
