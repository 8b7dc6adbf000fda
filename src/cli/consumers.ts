import { parseArgs } from 'node:util';
import type { ConsumerReport } from '../api/deps.ts';
import { buildAdmin } from '../service/consumers-admin.ts';
import { openLog, openNats } from '../service/open.ts';
import { consumers } from '../service/shop.ts';
import { type Command, UsageError } from './command.ts';
import { ACTOR_HELP, ACTOR_OPTION, actorOf, paint } from './terminal.ts';

const ACTIONS = ['status', 'pause', 'resume'] as const;

export const consumersCommand: Command = {
  name: 'consumers',
  usage: 'status | pause <name> | resume <name> [--actor NAME] [--json]',
  summary: 'See how the consumers of events stand; pause and resume them.',
  help: `status    lag, oldest event, parked events, pauses and groups of each consumer, over all instances
pause     nothing new is begun, on every instance and over restarts; what runs is finished
resume    goes on where it was

--json prints JSON.
${ACTOR_HELP}

Examples:
  jetledger consumers status
  jetledger consumers pause order-process
  jetledger consumers resume order-process`,
  run: async (args, { config, print }) => {
    const { action, name, json, actor } = consumersArguments(args);
    const nats = await openNats(config(), 'join');
    try {
      // What is said of an unsafe log belongs to `serve`; here it would spoil the JSON.
      const log = await openLog(config(), nats, () => undefined);
      const { consumers: admin } = buildAdmin(config(), nats, log);
      if (name !== undefined && action !== 'status') {
        const known = await admin[action](name, actor);
        const told = known ? `${name}: ${action}d` : `There is no consumer ${name}.`;
        print(json ? JSON.stringify({ consumer: name, known, paused: action === 'pause' }) : told);
        return known ? 0 : 1;
      }
      const reports = await admin.status();
      if (json) print(JSON.stringify(reports, null, 2));
      else for (const line of linesOf(reports)) print(line);
      return 0;
    } finally {
      await nats.close();
    }
  },
};

/** What was asked for. @throws UsageError */
export function consumersArguments(args: readonly string[]): {
  readonly action: (typeof ACTIONS)[number];
  readonly name: string | undefined;
  readonly json: boolean;
  /** Who asks. */
  readonly actor: string;
} {
  const options = { ...ACTOR_OPTION, json: { type: 'boolean', default: false } } as const;
  const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options });
  const [asked, name, ...rest] = positionals;
  const action = ACTIONS.find((known) => known === asked);
  if (action === undefined) {
    throw new UsageError('Say what to do: jetledger consumers status | pause <name> | resume <name>');
  }
  if (rest.length > 0 || (action === 'status') !== (name === undefined)) {
    const right = action === 'status' ? 'status' : `${action} order-process`;
    throw new UsageError(`Write it like this: jetledger consumers ${right}`);
  }
  return { action, name, json: values.json, actor: actorOf(values.actor) };
}

/** What reads none of the log's events: what it has to do waits for others. */
const DELIVERING = new Set(consumers.filter(({ sources }) => sources.length === 0).map(({ name }) => name));

/** One line for each consumer. */
export function linesOf(reports: readonly ConsumerReport[]): readonly string[] {
  if (reports.length === 0) return ['No consumer has ever run.'];
  return reports.map(({ consumer, lag, lagSeconds, parked, paused, groups }) => {
    const late = DELIVERING.has(consumer)
      ? `${lag} wait for their receivers (GET /v1/admin/${consumer})`
      : `${lag} behind, the oldest ${Math.round(lagSeconds)} s old`;
    const behind = lag === 0 ? paint('green', 'up to date') : paint('yellow', late);
    const state = paused ? paint('yellow', '  paused') : '';
    const given = parked === 0 ? '0 parked' : paint('red', `${parked} parked`);
    return `${consumer.padEnd(16)}  ${behind}, ${given}, ${groups.held} of ${groups.of} groups held${state}`;
  });
}
