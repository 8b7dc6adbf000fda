import { parseArgs } from 'node:util';
import {
  createNatsBuckets,
  numberOf,
  type Position,
  positionOf,
  systemRuntime,
} from '../eventstore/index.ts';
import {
  awaitOutcomes,
  createDeadLetterPort,
  type DeadLetter,
  type DeadLetterAnswer,
  type DeadLetterFilter,
  type DeadLetterPort,
  type MarkedOutcome,
  traceEngine,
} from '../processes/engine/index.ts';

import { openNats } from '../service/open.ts';
import { hiddenFields } from '../service/shop.ts';
import { openCommandTelemetry } from '../service/telemetry.ts';
import { type Command, type CommandContext, duration, UsageError } from './command.ts';
import { withProgress } from './shell/progress.ts';
import { ACTOR_HELP, ACTOR_OPTION, actorOf } from './terminal.ts';

const OPTIONS = {
  consumer: { type: 'string' },
  category: { type: 'string' },
  id: { type: 'string' },
  position: { type: 'string' },
  'up-to': { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
  all: { type: 'boolean', default: false },
  yes: { type: 'boolean', default: false },
  wait: { type: 'boolean', default: false },
  within: { type: 'string', default: '60' },
  ...ACTOR_OPTION,
  json: { type: 'boolean', default: false },
} as const;

const ACTIONS = ['list', 'show', 'redrive', 'discard'] as const;

export const parkedCommand: Command = {
  name: 'parked',
  usage: 'list | show | redrive | discard [options]',
  summary: 'Look at events that a consumer could not handle, try them again, or give them up.',
  help: `list      shows them, oldest first: tries, error, age since the first try, trace id
show      shows them whole, as JSON: events, error with its stack, tries, times, trace id
redrive   asks that they be handled again, in the order of their aggregate; what waits behind follows by itself
discard   asks that they be given up for ever; an audit line is kept

Asking marks them; the consumer acts on it, and the entry is gone when that has succeeded. Asking twice is safe.

Which ones (redrive and discard need at least one of these, or --all):
  --consumer NAME   of one consumer, for example order-process; notifications: those that nobody took
  --category NAME   of one kind of aggregate
  --id ID           of one aggregate
  --position N      exactly that commit
  --up-to N         that commit and older ones
discard --all asks first; where there is no terminal to ask, it wants --yes.
Further options: --dry-run says what would be marked; --json prints JSON; --wait tells what became of each one, within
60 seconds or --within SECONDS, and ends with 1 unless all of them are done.
${ACTOR_HELP}

Examples:
  jetledger parked list
  jetledger parked show --position 4711                       one, with its error
  jetledger parked redrive --position 4711                    one
  jetledger parked redrive --consumer order-process --dry-run what would be marked
  jetledger parked redrive --consumer order-process           all of a consumer
  jetledger parked redrive --up-to 4711                       up to a point of the log
  jetledger parked redrive --all --wait                       all, and what came of it
  jetledger parked discard --category order --id 4abe501a     an aggregate's`,
  run: async (args, { config, logger, print, ask }) => {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    const action = ACTIONS.find((name) => name === positionals[0]);
    if (action === undefined)
      throw new UsageError('Say what to do: jetledger parked list | show | redrive | discard');
    const filter = filterOf(values);
    if ((action === 'redrive' || action === 'discard') && Object.keys(filter).length === 0 && !values.all) {
      throw new UsageError(`Say which ones to ${action}, for example --consumer order-process, or --all.`);
    }
    const how = { by: actorOf(values.actor), dryRun: values['dry-run'] };
    const withinMs = waitOf(action, values);
    const isSure = sureOf(action, filter, { ...values, ask });
    const nats = await openNats(config(), 'join');
    const telemetry = action === 'redrive' ? await openCommandTelemetry(config(), logger) : undefined;
    try {
      const { prefix, replicas } = config().log;
      const timeoutMs = config().nats.requestTimeoutMs;
      const runtime = systemRuntime;
      const { requests } = nats;
      const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
      const tracer = telemetry?.tracing?.tracer;
      const observer = tracer && traceEngine({ tracer, prefix, now: runtime.now });
      const port = createDeadLetterPort({ buckets, prefix, runtime, observer, hidden: hiddenFields });
      if (!(await isSure(port))) return 1;
      const { marked, changed } = await withProgress(values.json, ({ show }) =>
        act(port, action, filter, {
          ...how,
          onMarked: (done, total) => show({ what: action, done, total, unit: 'dead letters' }),
        }),
      );
      if (changed.length > 0)
        console.error(`jetledger: ${changed.length} changed meanwhile and were not marked; ask again`);
      if (withinMs !== undefined) {
        const isDone = await tellOutcomes({ port, print, json: values.json }, action, marked, withinMs);
        return isDone && changed.length === 0 ? 0 : 1;
      }
      if (action === 'show' || values.json) print(JSON.stringify(marked, null, 2));
      else for (const line of linesOf(marked, action, how.dryRun, Date.now())) print(line);
      return changed.length === 0 ? 0 : 1;
    } finally {
      await telemetry?.stop(config().tracing.exportTimeoutMs);
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

function filterOf({ consumer, category, id, position, 'up-to': upTo }: Values): DeadLetterFilter {
  return {
    ...(consumer === undefined ? {} : { consumer }),
    ...(category === undefined ? {} : { category }),
    ...(id === undefined ? {} : { id }),
    ...(position === undefined ? {} : { position: positionIn('--position', position) }),
    ...(upTo === undefined ? {} : { upTo: positionIn('--up-to', upTo) }),
  };
}

/** For how long outcomes are waited for; undefined where they are not. @throws UsageError */
function waitOf(
  action: (typeof ACTIONS)[number],
  values: { readonly wait: boolean; readonly within: string; readonly 'dry-run': boolean },
): number | undefined {
  if (!values.wait || values['dry-run']) return undefined;
  if (action === 'list' || action === 'show')
    throw new UsageError('--wait goes with redrive and discard, which have outcomes.');
  const seconds = Number(values.within);
  if (Number.isSafeInteger(seconds) && seconds > 0) return seconds * 1_000;
  throw new UsageError(`--within takes a whole number of seconds from 1, not ${values.within}.`);
}

/** Waits, and prints what became of each. @returns whether all are done */
async function tellOutcomes(
  to: { readonly port: DeadLetterPort; readonly print: (line: string) => void; readonly json: boolean },
  action: (typeof ACTIONS)[number],
  marked: readonly DeadLetter[],
  withinMs: number,
): Promise<boolean> {
  const outcomes = await withProgress(to.json, ({ show }) =>
    awaitOutcomes({ port: to.port, runtime: systemRuntime }, marked, {
      withinMs,
      onOutcome: (done, total) => show({ what: `${action}, outcomes`, done, total, unit: 'dead letters' }),
    }),
  );
  if (to.json) {
    to.print(
      JSON.stringify(
        outcomes.map(({ entry, outcome }) => ({ ...entry, outcome })),
        null,
        2,
      ),
    );
  } else {
    for (const each of outcomes) to.print(outcomeLine(each));
    const count = (of: MarkedOutcome['outcome']) => outcomes.filter(({ outcome }) => outcome === of).length;
    to.print(`${count('done')} done, ${count('failed')} failed again, ${count('waiting')} still waiting.`);
  }
  return outcomes.every(({ outcome }) => outcome === 'done');
}

function outcomeLine({ entry, outcome }: MarkedOutcome): string {
  const { consumer, category, id, position, attempts, error } = entry;
  const words = {
    done: 'done',
    failed: `failed again: ${attempts} tries, ${error?.message ?? ''}`,
    waiting: 'still waiting: it is being tried, or nobody runs the consumer (jetledger consumers status)',
  };
  return `${consumer}  ${category}/${id}  position ${numberOf(position)}  ${words[outcome]}`;
}

function positionIn(option: string, text: string): Position {
  const position = Number(text);
  if (Number.isSafeInteger(position) && position > 0) return positionOf(position);
  throw new UsageError(`${option} takes a position of the log, a whole number from 1, not ${text}.`);
}

async function act(
  port: DeadLetterPort,
  action: (typeof ACTIONS)[number],
  filter: DeadLetterFilter,
  how: Parameters<DeadLetterPort['redrive']>[1],
): Promise<DeadLetterAnswer> {
  if (action === 'list' || action === 'show') return { marked: await port.list(filter), changed: [] };
  return port[action](filter, how);
}

/**
 * What makes sure that everything is to be given up for ever.
 * @throws UsageError where nobody said so and nobody can be asked
 */
function sureOf(
  action: (typeof ACTIONS)[number],
  filter: DeadLetterFilter,
  { yes, 'dry-run': dryRun, ask }: { yes: boolean; 'dry-run': boolean; ask: CommandContext['ask'] },
): (port: DeadLetterPort) => Promise<boolean> {
  if (action !== 'discard' || Object.keys(filter).length > 0 || yes || dryRun) return async () => true;
  if (ask === undefined)
    throw new UsageError('discard --all gives up everything for ever: say --yes as well, or which ones.');
  return async (port) => {
    const { marked } = await port.discard(filter, { by: '', dryRun: true });
    if (marked.length === 0) return true;
    const answer = await ask(`Give up ${marked.length} dead letter(s) for ever? Type yes: `);
    if (answer.trim().toLowerCase() === 'yes') return true;
    console.error('jetledger: nothing was marked');
    return false;
  };
}

/** One line for each, and a last one that says what they are. */
export function linesOf(
  entries: readonly Omit<DeadLetter, 'commitId' | 'events' | 'write'>[],
  action: (typeof ACTIONS)[number],
  dryRun: boolean,
  now: number,
): readonly string[] {
  const lines = entries.map((entry) => {
    const { consumer, category, id, position, attempts, error, behind, firstAt, lastAt, traceId } = entry;
    const why = behind ? 'waits behind an earlier one' : `${attempts} tries, ${error?.message ?? ''}`;
    // What waits was never tried.
    const since = firstAt === 0 ? lastAt : firstAt;
    const age = `${duration(Math.max(0, now - since))} old`;
    const trace = traceId === '' ? 'no trace' : `trace ${traceId}`;
    return `${consumer}  ${category}/${id}  position ${numberOf(position)}  ${why}  ${age}, ${trace}`;
  });
  const count = entries.length;
  if (action === 'list' || action === 'show')
    return [...lines, count === 0 ? 'Nothing is parked.' : `${count} parked.`];
  if (count === 0) return ['Nothing that is parked fits.'];
  return [...lines, dryRun ? `${count} would be marked for ${action}.` : `${count} marked for ${action}.`];
}
