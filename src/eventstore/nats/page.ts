import { type Confirmations, untilShown, type Witness } from '../confirm/confirmations.ts';
import { LogUnavailable } from '../errors.ts';
import type { ReadOptions, RecordedCommit, StreamPage } from '../log.ts';
import { positionAt, versionAt } from '../position.ts';
import type { Runtime } from '../runtime.ts';
import type { Gets, StoredMessage } from './gets.ts';
import { commitOf } from './wire.ts';

/**
 * Commits, and bytes, in a page of a long history; one commit may go beyond the bytes. Each page is a new search for its
 * server, which costs it what 100 commits cost; while it reads one, it stores nothing.
 */
const PAGE = 1_024;
const PAGE_BYTES = 1_048_576;
/**
 * A server looks through everything that lies between two commits of an aggregate, 0.1 us a commit and more where it is
 * not in memory, and finds a commit by its position at once. Below this distance looking through it is cheaper.
 */
const NEAR = 1_000;
/** How far a tail is walked back, commit by commit; a longer one is read in batches. */
const MOST_STEPS_BACK = 64;

/** How pages are read. */
export interface PageDeps {
  readonly gets: Gets;
  readonly runtime: Runtime;
  /** How long a replica that lags is asked again, in milliseconds. */
  readonly deadlineMs: number;
  /** Where the word of the leader is not enough. */
  readonly confirmations: Confirmations | undefined;
}

/**
 * A page of an aggregate's commits, oldest first.
 *
 * A tail is nearly always empty or one commit long, and the commits of a short history mostly lie far from each other:
 * so the aggregate's last commit is asked for first. For a confirmed page of the leader, or of any replica that shows
 * what a majority has confirmed since the read began (protocol 19). What lies between is fetched from any replica:
 * commits that are stored do not change, and the chain of versions shows what is missing.
 * @throws LogUnavailable
 */
export async function readPage(
  deps: PageDeps,
  subject: string,
  { after, confirm, limit = PAGE }: ReadOptions,
): Promise<StreamPage> {
  const { gets, confirmations } = deps;
  const witness = confirm === true ? await confirmations?.next() : undefined;
  const newest = await lastOf(deps, subject, confirm, witness);
  const isEnough = confirm !== false && (witness !== undefined || confirmations === undefined);
  const witnessed = witness && positionAt(witness.sequence);
  if (newest === undefined || newest.seq <= after)
    return { commits: [], confirmedEnd: isEnough, witnessed, more: false };
  // Few commits are not worth the way back from the last one.
  const tail = limit < MOST_STEPS_BACK ? undefined : await walkBack(gets, newest, after);
  const commits = tail ?? (await readOn(gets, { subject, after, confirm, limit }, newest.seq));
  const ended = newest.seq <= versionOfLast(commits, after);
  // What an unconfirmed read lacks at its end, it lacks.
  const more = !ended && commits.length > 0;
  return { commits, confirmedEnd: ended && isEnough, witnessed, more };
}

const versionOfLast = (commits: readonly RecordedCommit[], after: number): number => {
  const last = commits.at(-1);
  return last === undefined ? after : versionAt(last.position);
};

/** An aggregate's last commit, from whoever has to be believed. */
function lastOf(
  deps: PageDeps,
  subject: string,
  confirm: ReadOptions['confirm'],
  witness: Witness | undefined,
): Promise<StoredMessage | undefined> {
  if (witness !== undefined) return confirmedLast(deps, witness, subject);
  const query = { last_by_subj: subject };
  return confirm === false ? deps.gets.direct(query) : deps.gets.leader(query);
}

/** The next commits in one batch, from any replica; where one that lags has none, the leader has the first of them. */
async function readOn(
  gets: Gets,
  { subject, after, confirm, limit }: { subject: string; limit: number } & Omit<ReadOptions, 'limit'>,
  newest: number,
): Promise<readonly RecordedCommit[]> {
  const next = { next_by_subj: subject, seq: after + 1 };
  const batch = await gets.directBatch({ ...next, batch: Math.min(PAGE, limit), max_bytes: PAGE_BYTES });
  if (batch.length === 0 && confirm !== false) {
    const first = await gets.leader(next);
    // Another leader, which has not caught up: whoever asks for page after page would ask for ever.
    if (first === undefined)
      throw new LogUnavailable(`reading ${subject}: the commit ${newest} is not there`);
    batch.push(first);
  }
  let reached = after;
  const commits: RecordedCommit[] = [];
  for (const message of batch) {
    const commit = toCommit(message);
    // A batch of another server comes over a route, which may lose messages out of its middle.
    if ((commit.previous ?? (await versionBefore(gets, subject, reached, message))) > reached)
      throw new LogUnavailable(`reading ${subject}: something before ${message.seq} got lost on the way`);
    commits.push(commit);
    reached = message.seq;
  }
  return commits;
}

/** Of a message that does not name the one before it the leader says whether it is the next one: then it is `reached`. */
async function versionBefore(
  gets: Gets,
  subject: string,
  reached: number,
  { seq }: StoredMessage,
): Promise<number> {
  const next = await gets.leader({ next_by_subj: subject, seq: reached + 1 });
  return next?.seq === seq ? reached : seq;
}

/**
 * The last message of a subject, or its last one at a sequence or before it. A replica shows that it has come so far by
 * the message at that sequence itself, which it tells from the same state.
 * @throws LogUnavailable
 */
export async function lastMessage(
  deps: PageDeps,
  subject: string,
  upTo: number | undefined,
): Promise<StoredMessage | undefined> {
  const newest = await lastOf(deps, subject, true, await deps.confirmations?.next());
  if (newest === undefined || upTo === undefined || newest.seq <= upTo) return newest;
  if (upTo < 1) return undefined;
  const there = await messageAt(deps, upTo);
  if (there === undefined) throw new LogUnavailable(`reading ${subject}: the position ${upTo} is not there`);
  if (there.subject === subject) return there;
  const { last } = await untilShown(deps, `reading ${subject} up to ${upTo}`, async () => {
    const found = await deps.gets.directLast([subject, there.subject], upTo);
    if (!found.some(({ seq }) => seq === upTo)) return undefined;
    return { last: found.find((message) => message.subject === subject) };
  });
  return last;
}

/** An aggregate's last commit, from a state of which a majority has confirmed that it is new enough (protocol 19). */
async function confirmedLast(
  deps: PageDeps,
  witness: Witness,
  subject: string,
): Promise<StoredMessage | undefined> {
  const subjects = [...new Set([subject, witness.subject])];
  const { last } = await untilShown(deps, `reading ${subject}`, async () => {
    const found = await deps.gets.directLast(subjects);
    const shown = found.find((message) => message.subject === witness.subject)?.seq ?? 0;
    if (shown < witness.sequence) return undefined;
    return { last: found.find((message) => message.subject === subject) };
  });
  return last;
}

/**
 * The commits between a version and an aggregate's last one, oldest first; nothing where a batch is the better way, or
 * where one does not name the commit before it.
 */
async function walkBack(
  gets: Gets,
  newest: StoredMessage,
  after: number,
): Promise<readonly RecordedCommit[] | undefined> {
  let commit = toCommit(newest);
  let { previous } = commit;
  const tail = [commit];
  // Where a whole history begins is not known; that its last two commits are close says most.
  let left = newest.seq - ((after === 0 ? previous : after) ?? 0);
  for (let bytes = 0; previous !== undefined && previous > after; ) {
    const isFar = tail.length >= MOST_STEPS_BACK || bytes > PAGE_BYTES;
    // However many steps are left, more than what was taken already is never spent in vain.
    const isNear = left < NEAR * tail.length;
    const message = isFar || isNear ? undefined : await gets.direct({ seq: previous });
    if (message === undefined) return undefined;
    commit = toCommit(message);
    tail.push(commit);
    bytes += message.data.length;
    ({ previous } = commit);
    left = message.seq - after;
  }
  return previous === undefined ? undefined : tail.reverse();
}

/** The message at a position. That there is none is said by a majority where the leader's word is not enough. @throws LogUnavailable */
export async function messageAt(deps: PageDeps, seq: number): Promise<StoredMessage | undefined> {
  const { gets, confirmations } = deps;
  const found = await gets.leader({ seq });
  if (found !== undefined || confirmations === undefined) return found;
  const witness = await confirmations.next();
  if (witness.sequence < seq) return undefined;
  // Nothing is ever deleted, so it is there.
  return untilShown(deps, `reading position ${seq}`, () => gets.direct({ seq }));
}

/** A message of the log as a commit. */
export function toCommit(message: StoredMessage): RecordedCommit {
  return commitOf(message.subject, positionAt(message.seq), message.headers, message.data);
}
