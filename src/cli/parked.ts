import { parseArgs } from 'node:util';
import { createNatsBuckets } from '../eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { ParkedEntry } from '../processes/engine/parked-entry.ts';
import { createParkedPort, type ParkedFilter, type ParkedPort } from '../processes/engine/parked-port.ts';
import { type Command, UsageError } from './command.ts';
import { openNats } from './open.ts';

const OPTIONS = {
  consumer: { type: 'string' },
  category: { type: 'string' },
  id: { type: 'string' },
  position: { type: 'string' },
  'up-to': { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
  all: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

const ACTIONS = ['list', 'show', 'redrive', 'discard'] as const;

export const parkedCommand: Command = {
  name: 'parked',
  usage: 'list | show | redrive | discard [options]',
  summary: 'Look at events that a consumer could not handle, try them again, or give them up.',
  help: `list      shows them, oldest first
show      shows them whole, as JSON
redrive   asks that they be handled again, in the order of their aggregate
discard   asks that they be given up for ever; an audit line is kept

Which ones (redrive and discard need at least one of these, or --all):
  --consumer NAME   of one consumer, for example order-process
  --category NAME   of one kind of aggregate
  --id ID           of one aggregate
  --position N      exactly that commit
  --up-to N         that commit and older ones
Further options: --dry-run says what would be marked; --json prints JSON.

Examples:
  jetledger parked list
  jetledger parked redrive --consumer order-process --dry-run
  jetledger parked discard --category order --id 4abe501a`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    const action = ACTIONS.find((name) => name === positionals[0]);
    if (action === undefined)
      throw new UsageError('Say what to do: jetledger parked list | show | redrive | discard');
    const filter = filterOf(values);
    if ((action === 'redrive' || action === 'discard') && Object.keys(filter).length === 0 && !values.all) {
      throw new UsageError(`Say which ones to ${action}, for example --consumer order-process, or --all.`);
    }
    const nats = await openNats(config(), 'join');
    try {
      const { prefix, replicas } = config().log;
      const timeoutMs = config().nats.requestTimeoutMs;
      const runtime = systemRuntime;
      const { requests } = nats;
      const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
      const port = createParkedPort({ buckets, prefix, runtime });
      const entries = await act(port, action, filter, values['dry-run']);
      show(entries, action === 'show' || values.json, print);
      return 0;
    } finally {
      await nats.close();
    }
  },
};

interface Values {
  readonly consumer?: string | undefined;
  readonly category?: string | undefined;
  readonly id?: string | undefined;
  readonly position?: string | undefined;
  readonly 'up-to'?: string | undefined;
}

function filterOf({ consumer, category, id, position, 'up-to': upTo }: Values): ParkedFilter {
  return {
    ...(consumer === undefined ? {} : { consumer }),
    ...(category === undefined ? {} : { category }),
    ...(id === undefined ? {} : { id }),
    ...(position === undefined ? {} : { position: positionOf('--position', position) }),
    ...(upTo === undefined ? {} : { upTo: positionOf('--up-to', upTo) }),
  };
}

function positionOf(option: string, text: string): number {
  const position = Number(text);
  if (Number.isSafeInteger(position) && position > 0) return position;
  throw new UsageError(`${option} takes a position of the log, a whole number from 1, not ${text}.`);
}

async function act(
  port: ParkedPort,
  action: (typeof ACTIONS)[number],
  filter: ParkedFilter,
  dryRun: boolean,
): Promise<readonly ParkedEntry[]> {
  if (action === 'list' || action === 'show') return port.list(filter);
  const { marked } = await port[action](filter, { by: 'jetledger parked', dryRun });
  return marked;
}

function show(entries: readonly ParkedEntry[], json: boolean, print: (line: string) => void): void {
  if (json) {
    print(JSON.stringify(entries, null, 2));
    return;
  }
  for (const { consumer, category, id, position, attempts, error } of entries) {
    print(
      `${consumer}  ${category}/${id}  position ${position}  ${attempts} tries  ${error?.message ?? 'behind an earlier one'}`,
    );
  }
  print(entries.length === 0 ? 'Nothing is parked.' : `${entries.length} parked.`);
}
