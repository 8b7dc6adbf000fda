import { parseArgs } from 'node:util';
import {
  checkStream,
  history,
  isDamage,
  type Log,
  numberOf,
  type PersonalData,
  type Position,
  positionOf,
  type RecordedCommit,
  readMarks,
  reasonOf,
  type StreamRef,
} from '../eventstore/index.ts';

import { openPersonalData } from '../service/open.ts';
import {
  type CommitDescription,
  describeCommit,
  folders,
  plainJson,
  shownState,
} from '../service/operators/describe.ts';
import { quietLog, withNats } from '../service/with-nats.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';

const OPTIONS = {
  at: { type: 'string' },
  events: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

const CATEGORIES = [...folders.keys()].join(', ');

export const inspectCommand: Command = {
  name: 'inspect',
  usage: '<category> <id> [--at VERSION] [--events] [--json] | position <n> [--json]',
  summary: 'Show an aggregate as its events make it, or one commit of the log.',
  help: `Categories: ${CATEGORIES}.

The state is folded from the log alone, as of now or of a version; no view and no snapshot is asked. What is shown holds
personal data (names, e-mail addresses): it is meant for operators; do not paste it into tickets. What is encrypted is
opened with the master key; without one it is shown as it is stored.

  --at VERSION   as of that version: the position of one of its commits, or any position after it
  --events       list its commits: time, actor, trace, events with their fields
  --json         print it as JSON

Exit code 1 when there is no such aggregate or commit.

Examples:
  jetledger inspect order 4abe501a --events
  jetledger inspect product TEA-EARL-GREY --at 120 --json
  jetledger inspect position 1005`,
  run: async (args, context) => {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    const [what, name, ...rest] = positionals;
    if (what === undefined || name === undefined || rest.length > 0)
      throw new UsageError(
        `Write it like this: jetledger inspect order 4abe501a. Categories: ${CATEGORIES}.`,
      );
    if (what === 'position') {
      const position = wholeNumber('A position', name);
      return withLog(context, (log, personal) =>
        showPosition({ log, personal }, positionOf(position), values.json, context.print),
      );
    }
    if (!folders.has(what)) throw new UsageError(`There is no category ${what}. Categories: ${CATEGORIES}.`);
    const at = values.at === undefined ? undefined : wholeNumber('--at', values.at);
    const stream = checkStream({ category: what, id: name });
    return withLog(context, async (log, personal) => {
      const found = await personal.open(await inspect(log, stream, at, values.events));
      return showAggregate(found, stream, values, context.print);
    });
  },
};

/** What is sealed is shown so where there is no master key. */
type Opening = Pick<PersonalData, 'open'>;

function withLog(
  { config }: CommandContext,
  work: (log: Log, personal: Opening) => Promise<number>,
): Promise<number> {
  return withNats(config(), async (nats) => {
    const personal = await openPersonalData(config(), nats, false);
    const shown: Opening = nats.masterKeys.length > 0 ? personal : { open: async (value) => value };
    return work(await quietLog(config(), nats), shown);
  });
}

interface Found {
  readonly version: number;
  readonly state: unknown;
  readonly count: number;
  /** Only when they were asked for: a history can be long. */
  readonly commits: readonly CommitDescription[];
}

/** @throws UnknownEventType, CorruptCommit, LogUnavailable */
async function inspect(log: Log, stream: StreamRef, at: number | undefined, keep: boolean): Promise<Found> {
  const folder = folders.get(stream.category);
  const folded = folder?.begin();
  const commits: CommitDescription[] = [];
  let count = 0;
  for await (const commit of history(log, stream, at === undefined ? {} : { version: at })) {
    if (folded !== undefined) folder?.fold(folded, commit);
    if (keep) commits.push(describeCommit(commit));
    count++;
  }
  return { version: folded?.version ?? 0, state: shownState(folded?.state), count, commits };
}

function showAggregate(
  { version, state, count, commits }: Found,
  { category, id }: StreamRef,
  { json, events }: { json: boolean; events: boolean },
  print: CommandContext['print'],
): number {
  if (count === 0) {
    print(json ? 'null' : `There is no ${category} ${id} in the log.`);
    return 1;
  }
  if (json) print(plainJson({ category, id, version, count, state, ...(events && { commits }) }, 2));
  else {
    print(`${category} ${id}, version ${version}, ${count} commit(s)`);
    print(plainJson(state, 2));
    for (const commit of commits) print(plainJson(commit, 2));
  }
  return 0;
}

async function showPosition(
  { log, personal }: { readonly log: Log; readonly personal: Opening },
  position: Position,
  json: boolean,
  print: CommandContext['print'],
): Promise<number> {
  const commit = await log.at(position);
  const mark = (await readMarks(log)).skipped.get(position);
  if (commit !== undefined)
    print(plainJson({ ...(await personal.open(readable(commit))), ...(mark && { skipped: mark }) }, 2));
  else
    print(
      json
        ? 'null'
        : `There is no commit at position ${numberOf(position)}; the log ends at ${numberOf(await log.head())}.`,
    );
  return commit === undefined ? 1 : 0;
}

/** A commit whose bytes are damaged says so: its mark and its headers are worth seeing. */
function readable(commit: RecordedCommit): object {
  try {
    return describeCommit(commit);
  } catch (error) {
    if (!isDamage(error)) throw error;
    const { position, previous, stream } = commit;
    return { position, ...stream, previous, damaged: reasonOf(error) };
  }
}

function wholeNumber(what: string, text: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value >= 1) return value;
  throw new UsageError(`${what} is a whole number from 1, not ${text}.`);
}
