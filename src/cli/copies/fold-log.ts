import { createHash, type Hash } from 'node:crypto';
import {
  BEGINNING,
  CorruptCommit,
  earliest,
  type Folded,
  isAfter,
  type Log,
  numberOf,
  type PersonalData,
  type Position,
  type RecordedCommit,
  reasonOf,
} from '../../eventstore/index.ts';
import { checkInterrupted } from '../../platform/backup/manifest.ts';
import { type Folder, folders } from '../../service/operators/describe.ts';
import { addShare, type PersonalShare } from '../../service/personal/share.ts';

/** What a category amounts to. */
export interface CategorySummary {
  readonly category: string;
  readonly aggregates: number;
  readonly commits: number;
  readonly events: number;
  /** The position of its newest commit. */
  readonly lastPosition: number;
  /** Of all commits in their order: position, aggregate, commit id. Hexadecimal. */
  readonly history: string;
  /** Of the state of every aggregate. Hexadecimal; comparable only within one version of JetLedger and Node.js. */
  readonly states: string;
}

/** What a log amounts to, up to a position. */
export interface LogSummary {
  readonly incarnation: string;
  /** The last position that was folded. */
  readonly last: Position;
  readonly categories: readonly CategorySummary[];
  /** Categories that this version does not know: their commits were counted and not folded. */
  readonly unknown: readonly string[];
  /** Messages of somebody else, each a version without events. */
  readonly foreign: Told;
  /** Commits whose bytes are damaged; their aggregates are folded up to there. */
  readonly damaged: Told;
  /** How much of what it holds of persons is encrypted. */
  readonly personal: PersonalShare;
}

/** How many there are, and where the first of them lie. */
interface Told {
  count: number;
  readonly first: { readonly position: number; readonly detail: string }[];
}

const MOST_TOLD = 100;

function tell(told: Told, position: number, detail: string): void {
  told.count++;
  if (told.first.length < MOST_TOLD) told.first.push({ position, detail });
}

interface Tally {
  readonly folder: Folder | undefined;
  readonly states: Map<string, Folded<unknown>>;
  readonly history: Hash;
  readonly ids: Set<string>;
  /** Aggregates with a damaged commit: nothing after it can be folded. */
  readonly broken: Set<string>;
  commits: number;
  events: number;
  lastPosition: number;
}

export interface FoldOptions {
  /** Stop behind this position; default: the log's end as it is now. */
  readonly through?: Position;
  readonly signal?: AbortSignal;
  /** Opens what is sealed in states before they are digested, so that two ways of sealing the same compare. */
  readonly personal?: PersonalData | undefined;
  /** How far it is, and to where it goes. */
  readonly onPosition?: (position: number, through: number) => void;
}

/**
 * Folds every aggregate from the log alone; holds all states in memory, a few kilobytes each.
 * @throws UnknownEventType: the log holds what this version cannot fold; LogUnavailable; KeysUnavailable; BackupError
 *   once the signal has fired
 */
export async function summarise(log: Log, options: FoldOptions = {}): Promise<LogSummary> {
  const { signal } = options;
  const head = await log.head();
  const through = earliest(options.through ?? head, head);
  const tallies = new Map<string, Tally>();
  const foreign: Told = { count: 0, first: [] };
  const damaged: Told = { count: 0, first: [] };
  const personal: PersonalShare = { sealed: 0, plain: 0, unkeyed: 0 };
  let last = BEGINNING;
  for await (const batch of log.scan({ after: BEGINNING, ...(signal && { signal }) })) {
    for (const commit of batch.commits) {
      if (isAfter(commit.position, through)) break;
      const position = numberOf(commit.position);
      if (commit.foreign !== undefined) tell(foreign, position, `on ${commit.foreign.subject}`);
      const damage = count(tallies, commit);
      if (damage === undefined) addShare(personal, commit);
      else tell(damaged, position, damage);
    }
    last = earliest(batch.through, through);
    options.onPosition?.(numberOf(last), numberOf(through));
    if (last === through) break;
  }
  // A scan that is interrupted ends like one that is through.
  checkInterrupted(signal);
  const names = [...tallies].sort(([a], [b]) => (a < b ? -1 : 1));
  const categories: CategorySummary[] = [];
  for (const [name, tally] of names) categories.push(await close(name, tally, options.personal));
  return {
    incarnation: log.incarnation,
    last,
    categories,
    unknown: names.flatMap(([name, { folder }]) => (folder === undefined ? [name] : [])),
    foreign,
    damaged,
    personal,
  };
}

/** @returns why it cannot be read, if it cannot */
function count(tallies: Map<string, Tally>, commit: RecordedCommit): string | undefined {
  const { category, id } = commit.stream;
  let tally = tallies.get(category);
  if (tally === undefined) {
    // Whoever wrote it may have made up the category, too.
    if (commit.foreign !== undefined && !folders.has(category)) return undefined;
    const empty = {
      commits: 0,
      events: 0,
      lastPosition: 0,
      ids: new Set<string>(),
      broken: new Set<string>(),
    };
    const history = createHash('sha256');
    tally = { ...empty, folder: folders.get(category), states: new Map(), history };
    tallies.set(category, tally);
  }
  if (commit.foreign === undefined) tally.ids.add(id);
  tally.commits++;
  tally.lastPosition = numberOf(commit.position);
  const line = `${tally.lastPosition} ${id}`;
  try {
    fold(tally, commit);
    for (const { events } of commit.decisions) tally.events += events.length;
    tally.history.update(`${line} ${commit.commitId}\n`);
    return undefined;
  } catch (error) {
    if (!(error instanceof CorruptCommit)) throw error;
    tally.broken.add(id);
    tally.history.update(`${line} damaged\n`);
    return reasonOf(error);
  }
}

function fold({ folder, states, broken }: Tally, commit: RecordedCommit): void {
  const { id } = commit.stream;
  if (folder === undefined || broken.has(id)) return;
  const folded = states.get(id) ?? folder.begin();
  folder.fold(folded, commit);
  states.set(id, folded);
}

/** States that are opened with one round of gets of keys. */
const OPENED_AT_ONCE = 500;

/**
 * The same for equal states. `v8.serialize` is not: how it writes a number or a text depends on how the engine holds it just
 * then, and so on what the process did before.
 */
export function textOf(state: unknown): string {
  return JSON.stringify(state, (_key, value: unknown) => {
    if (typeof value === 'bigint') return { bigint: String(value) };
    if (value instanceof Map) return { map: [...value] };
    if (value instanceof Set) return { set: [...value] };
    return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : value;
  });
}

async function close(
  category: string,
  { ids, commits, events, lastPosition, history, states }: Tally,
  personal: PersonalData | undefined,
): Promise<CategorySummary> {
  const total = Buffer.alloc(32);
  const folded = [...states].map(([id, { state, version }]) => [id, version, state]);
  for (let from = 0; from < folded.length; from += OPENED_AT_ONCE) {
    const some = folded.slice(from, from + OPENED_AT_ONCE);
    // Added up, so that the order in which aggregates were met makes no difference.
    for (const each of personal === undefined ? some : await personal.open(some)) {
      const one = createHash('sha256').update(textOf(each)).digest();
      for (const [at, byte] of one.entries()) total[at] = (total[at] ?? 0) ^ byte;
    }
  }
  return {
    category,
    aggregates: ids.size,
    commits,
    events,
    lastPosition,
    history: history.digest('hex'),
    states: total.toString('hex'),
  };
}

/** A figure that differs between two logs. */
export interface Mismatch {
  readonly category: string;
  readonly figure: keyof Omit<CategorySummary, 'category'>;
  readonly here: string | number;
  readonly there: string | number;
}

const FIGURES = ['aggregates', 'commits', 'events', 'lastPosition', 'history', 'states'] as const;

/** Everything in which two summaries of the same positions differ; none = the same history and the same states. */
export function compareSummaries(here: LogSummary, there: LogSummary): readonly Mismatch[] {
  const names = new Set([...here.categories, ...there.categories].map(({ category }) => category));
  const of = (summary: LogSummary, name: string) =>
    summary.categories.find(({ category }) => category === name);
  return [...names].sort().flatMap((category) => {
    const [a, b] = [of(here, category), of(there, category)];
    return FIGURES.filter((figure) => a?.[figure] !== b?.[figure]).map((figure) => ({
      category,
      figure,
      here: a?.[figure] ?? 'none',
      there: b?.[figure] ?? 'none',
    }));
  });
}
