import { parseArgs } from 'node:util';
import { keyOf, numberOf, type Position, positionOf, systemRuntime } from '../../eventstore/index.ts';
import { createSkips, type ShownMark, type Skips } from '../../service/skips.ts';
import { bucketsOf, quietLog, withNats } from '../../service/with-nats.ts';
import { type Command, UsageError } from '../command.ts';
import { ACTOR_HELP, ACTOR_OPTION, actorOf } from '../terminal.ts';

const OPTIONS = {
  reason: { type: 'string' },
  undo: { type: 'boolean', default: false },
  ...ACTOR_OPTION,
  json: { type: 'boolean', default: false },
} as const;

export const skipCommand: Command = {
  name: 'skip',
  usage: '[<position> --reason TEXT [--undo]] [--actor NAME] [--json]',
  summary:
    'Have views and reactions pass over a damaged commit; without a position: list what is passed over.',
  help: `For a commit whose bytes are damaged and that no backup holds: views that stand still at it, and reactions that have
it as a dead letter, go on without it. Views that read its aggregates are filled anew beside the live ones by the running
services, within seconds where the log is short. Commands on its aggregate stay refused. What its events would have
changed is missing in views for ever, so look at it first: jetledger inspect position <n>.

The mark is a message in the log, with the reason; setting it again changes nothing. Only set it when every instance runs
this release or a later one: an earlier one stops at it.

  --reason TEXT  why, 1 to 500 characters, no names of persons: it is kept in the log for ever
  --undo         take the mark back; views are filled anew with the commit, what reactions have done stays
  --json         print JSON
${ACTOR_HELP}

Exit code 1 when there is no commit at the position.

Examples:
  jetledger skip
  jetledger skip 4711 --reason "block 12 of the disk was lost, ticket 88"
  jetledger skip 4711 --undo --reason "the backup of May has it"`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    const [text, ...rest] = positionals;
    const { reason, undo, json, actor } = values;
    if (rest.length > 0 || (text === undefined && (reason !== undefined || undo)))
      throw new UsageError('Name one position: jetledger skip 4711 --reason TEXT');
    const position = text === undefined ? undefined : parsePosition(text);
    if (position !== undefined && reason === undefined)
      throw new UsageError('Say why: --reason TEXT. It is kept in the log.');
    const wish =
      position === undefined ? undefined : { position, reason: reason ?? '', by: actorOf(actor), undo };
    return withNats(config(), async (nats) => {
      const log = await quietLog(config(), nats);
      const { prefix } = config().log;
      const buckets = bucketsOf(config(), nats.requests);
      const skips = createSkips({ log, buckets, prefix, runtime: systemRuntime });
      const changed = wish ? await skips.change(wish) : undefined;
      for (const line of await answer(skips, changed, wish?.position, undo, json)) print(line);
      return 0;
    });
  },
};

function parsePosition(text: string): Position {
  if (/^[1-9]\d{0,14}$/.test(text)) return positionOf(Number(text));
  throw new UsageError(`A position is a whole number from 1, not ${text}.`);
}

async function answer(
  skips: Skips,
  changed: boolean | undefined,
  position: Position | undefined,
  undo: boolean,
  json: boolean,
): Promise<readonly string[]> {
  const marks = await skips.list();
  if (json) return [JSON.stringify({ ...(changed !== undefined && { changed }), skipped: marks }, null, 2)];
  if (changed === undefined) return [...marks.map(lineOf), `${marks.length} passed over.`];
  const name = position === undefined ? '' : `Position ${numberOf(position)}`;
  if (undo) return [changed ? `${name} is not passed over any more.` : 'It was not passed over.'];
  return [changed ? `${name} is passed over.` : `${name} is passed over already.`];
}

/** A mark in one line. */
export function lineOf({ position, stream, reason, at, by }: ShownMark): string {
  const who = by === undefined ? '' : ` by ${by}`;
  return `skipped  position ${numberOf(position)} of ${keyOf(stream)}, ${new Date(at).toISOString()}${who}: ${reason}`;
}
