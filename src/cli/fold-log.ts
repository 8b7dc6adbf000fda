import { createHash, type Hash } from 'node:crypto';
import { serialize } from 'node:v8';
import type { Message } from '@bufbuild/protobuf';
import {
  type AnyDecider,
  codecOf,
  type Decider,
  type EventSource,
  emptyFold,
  type Folded,
  foldCommit,
  type Log,
  type RecordedCommit,
  type Rejection,
  reasonOf,
  shownEvent,
  withoutHidden,
} from '../eventstore/index.ts';
import { checkInterrupted } from '../platform/backup/manifest.ts';
import { aggregates, hiddenFields } from '../service/shop.ts';

/** Folds commits of one category, whatever its types are. */
export interface Folder {
  /** The state before the first event. */
  begin(): Folded<unknown>;
  /** @throws UnknownEventType, CorruptCommit */
  fold(folded: Folded<unknown>, commit: RecordedCommit): void;
}

/** A state for people: what its events hide is hidden in it too. */
export const shownState = (state: unknown): unknown => withoutHidden(state, hiddenFields);

/** How the aggregates of each category are folded. */
export const folders: ReadonlyMap<string, Folder> = new Map(
  aggregates.map((decider) => [decider.category, folderOf(decider)]),
);

function folderOf(decider: AnyDecider): Folder {
  // What `begin` made is only ever advanced by this decider.
  const folding = decider as Decider<unknown, never, Message, Rejection>;
  return {
    begin: () => emptyFold(decider.initial),
    fold: (folded, commit) => foldCommit(folding, folded, commit),
  };
}

/** What a category amounts to. */
export interface CategorySummary {
  readonly category: string;
  readonly aggregates: number;
  readonly commits: number;
  readonly events: number;
  /** Of its newest commit. */
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
  readonly last: number;
  readonly categories: readonly CategorySummary[];
  /** Categories that this version does not know: their commits were counted and not folded. */
  readonly unknown: readonly string[];
}

interface Tally {
  readonly folder: Folder | undefined;
  readonly states: Map<string, Folded<unknown>>;
  readonly history: Hash;
  readonly ids: Set<string>;
  commits: number;
  events: number;
  lastPosition: number;
}

export interface FoldOptions {
  /** Stop behind this position; default: the log's end as it is now. */
  readonly through?: number;
  readonly signal?: AbortSignal;
  /** How far it is, and to where it goes. */
  readonly onPosition?: (position: number, through: number) => void;
}

/**
 * Folds every aggregate from the log alone; holds all states in memory, a few kilobytes each.
 * @throws UnknownEventType, CorruptCommit: the log holds what this version cannot fold; LogUnavailable; BackupError
 *   once the signal has fired
 */
export async function summarise(log: Log, options: FoldOptions = {}): Promise<LogSummary> {
  const { signal } = options;
  const through = Math.min(options.through ?? Number.POSITIVE_INFINITY, await log.head());
  const tallies = new Map<string, Tally>();
  let last = 0;
  for await (const batch of log.scan({ after: 0, ...(signal && { signal }) })) {
    for (const commit of batch.commits) {
      if (commit.position > through) break;
      count(tallies, commit);
    }
    last = Math.min(batch.through, through);
    options.onPosition?.(last, through);
    if (last === through) break;
  }
  // A scan that is interrupted ends like one that is through.
  checkInterrupted(signal);
  const names = [...tallies].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    incarnation: log.incarnation,
    last,
    categories: names.map(([name, tally]) => close(name, tally)),
    unknown: names.flatMap(([name, { folder }]) => (folder === undefined ? [name] : [])),
  };
}

function count(tallies: Map<string, Tally>, commit: RecordedCommit): void {
  const { category, id } = commit.stream;
  let tally = tallies.get(category);
  if (tally === undefined) {
    const empty = { commits: 0, events: 0, lastPosition: 0, ids: new Set<string>() };
    const history = createHash('sha256');
    tally = { ...empty, folder: folders.get(category), states: new Map(), history };
    tallies.set(category, tally);
  }
  const { folder, states } = tally;
  tally.ids.add(id);
  if (folder !== undefined) {
    const folded = states.get(id) ?? folder.begin();
    folder.fold(folded, commit);
    states.set(id, folded);
  }
  tally.commits++;
  for (const { events } of commit.decisions) tally.events += events.length;
  tally.lastPosition = commit.position;
  tally.history.update(`${commit.position} ${id} ${commit.commitId}\n`);
}

function close(
  category: string,
  { ids, commits, events, lastPosition, history, states }: Tally,
): CategorySummary {
  const total = Buffer.alloc(32);
  // Added up, so that the order in which aggregates were met makes no difference.
  for (const [id, { state, version }] of states) {
    const one = createHash('sha256')
      .update(serialize([id, version, state]))
      .digest();
    for (const [at, byte] of one.entries()) total[at] = (total[at] ?? 0) ^ byte;
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

/** A commit for an operator. */
export interface CommitDescription {
  readonly position: number;
  readonly category: string;
  readonly id: string;
  /** The aggregate's version before it. */
  readonly previous: number;
  readonly commitId: string;
  readonly decisions: readonly {
    /** ISO 8601. */
    readonly time: string;
    readonly actor: string;
    readonly commandId: string;
    readonly correlationId: string;
    readonly causationId: string;
    /** Empty when there was none. */
    readonly traceId: string;
    readonly events: readonly {
      readonly type: string;
      readonly schemaVersion: number;
      readonly payload: unknown;
    }[];
  }[];
}

/** Everything that a commit says, its events decoded. @throws CorruptCommit when the envelope cannot be read */
export function describeCommit(commit: RecordedCommit): CommitDescription {
  const { position, previous, commitId, stream } = commit;
  const source = aggregates.find(({ category }) => category === stream.category);
  const decisions = commit.decisions.map((decision) => {
    const { actor, commandId, correlationId, causationId, traceparent, time, events } = decision;
    return {
      time: new Date(Number(time)).toISOString(),
      actor,
      commandId,
      correlationId,
      causationId,
      traceId: traceparent.split('-')[1] ?? '',
      events: events.map((stored) => {
        const { type, schemaVersion } = stored;
        return { type, schemaVersion, payload: payloadOf(source, stored) };
      }),
    };
  });
  return { position, category: stream.category, id: stream.id, previous, commitId, decisions };
}

/** What cannot be read says so: the rest of the commit is worth seeing. */
function payloadOf(
  source: EventSource | undefined,
  stored: RecordedCommit['decisions'][number]['events'][number],
): unknown {
  try {
    if (source === undefined) return 'of a category that this version does not know';
    const event = codecOf<Message>(source).decode(stored);
    const schema = source.events.find(({ typeName }) => typeName === event.$typeName);
    return schema === undefined ? 'of an unknown type' : shownEvent(schema, event);
  } catch (error) {
    return `unreadable: ${reasonOf(error)}`;
  }
}
