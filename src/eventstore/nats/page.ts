import { type Confirmations, untilShown, type Witness } from '../confirm/confirmations.ts';
import { LogUnavailable } from '../errors.ts';
import type { ReadOptions, RecordedCommit, StreamPage } from '../log.ts';
import { positionAt, versionAt } from '../position.ts';
import type { Runtime } from '../runtime.ts';
import type { Gets, StoredMessage } from './gets.ts';
import { commitOf } from './wire.ts';

/** Commits in a page of a long history. */
const PAGE = 256;
/**
 * A server looks through everything that lies between two commits of an aggregate, 0.1 us a commit and more where it is
 * not in memory, and finds a commit by its position at once. Below this distance looking through it is cheaper.
 */
const NEAR = 1_000;
/** How far a tail is walked back, commit by commit; a longer one is read in batches. */
const MOST_STEPS_BACK = 16;

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
 * A tail is nearly always empty or one commit long, so the aggregate's last commit is asked for first: of the leader, or
 * of any replica that shows what a majority has confirmed since the read began (protocol 19). What lies between is
 * fetched from any replica: commits that are stored do not change, and the chain of versions shows what is missing.
 * @throws LogUnavailable
 */
export async function readPage(
  deps: PageDeps,
  subject: string,
  { after, confirm }: ReadOptions,
): Promise<StreamPage> {
  const { gets } = deps;
  const witness = confirm === true ? deps.confirmations?.next() : undefined;
  // It may fail while the first batch is still awaited, or be of no use.
  witness?.catch(() => undefined);
  const commits: RecordedCommit[] = [];
  const reached = (): number => {
    const last = commits.at(-1);
    return last === undefined ? after : versionAt(last.position);
  };
  const take = (message: StoredMessage): void => {
    const commit = toCommit(message);
    // A batch of another server comes over a route, which may lose messages out of its middle.
    if (commit.previous !== undefined && commit.previous > reached()) {
      throw new LogUnavailable(`reading ${subject}: the commit ${commit.previous} got lost on the way`);
    }
    commits.push(commit);
  };
  /** Of a message that does not name the one before it the leader says whether it is the next one. */
  const prove = async (message: StoredMessage): Promise<void> => {
    if (toCommit(message).previous !== undefined) return;
    const next = await gets.leader({ next_by_subj: subject, seq: reached() + 1 });
    if (next?.seq !== message.seq) {
      throw new LogUnavailable(`reading ${subject}: something before ${message.seq} got lost on the way`);
    }
  };
  const takeBatch = async (): Promise<number> => {
    const batch = await gets.directBatch({ next_by_subj: subject, seq: reached() + 1, batch: PAGE });
    for (const message of batch) {
      await prove(message);
      take(message);
    }
    return batch.length;
  };
  if (confirm === false || after === 0) {
    const more = (await takeBatch()) === PAGE;
    if (more || confirm === false) return { commits, confirmedEnd: false, more };
  }
  const last = reached();
  const newest =
    witness === undefined
      ? await gets.leader({ last_by_subj: subject })
      : await confirmedLast(deps, await witness, subject);
  const shown = await witness;
  const witnessed = shown && positionAt(shown.sequence);
  const isEnough = witness !== undefined || deps.confirmations === undefined;
  if (newest === undefined || newest.seq <= last)
    return { commits, confirmedEnd: isEnough, witnessed, more: false };
  const tail = await walkBack(gets, newest, last);
  if (tail !== undefined) {
    for (const message of tail) take(message);
  } else if ((await takeBatch()) === 0) {
    // A replica that lags: the leader has the next one.
    const next = await gets.leader({ next_by_subj: subject, seq: last + 1 });
    // Another leader, which has not caught up: whoever asks for page after page would ask for ever.
    if (next === undefined)
      throw new LogUnavailable(`reading ${subject}: the commit ${newest.seq} is not there`);
    take(next);
  }
  const ended = reached() >= newest.seq;
  return { commits, confirmedEnd: ended && isEnough, witnessed, more: !ended };
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
  last: number,
): Promise<readonly StoredMessage[] | undefined> {
  const tail = [newest];
  let { previous } = toCommit(newest);
  if (previous !== undefined && previous > last && newest.seq - last < NEAR) return undefined;
  while (previous !== undefined && previous > last) {
    const message = tail.length < MOST_STEPS_BACK ? await gets.direct({ seq: previous }) : undefined;
    if (message === undefined) return undefined;
    tail.push(message);
    ({ previous } = toCommit(message));
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
