import { parseArgs } from 'node:util';
import { timeOf } from '../domain/values.ts';
import { numberOf, positionOf } from '../eventstore/index.ts';
import { nearest } from '../platform/config/layers.ts';
import {
  type Projection,
  type RebuildDeps,
  type RebuildProgress,
  type RebuildResult,
  rebuild,
  refoldOne,
  rollback,
  type StartFrom,
  traceProjections,
} from '../projections/engine/index.ts';
import { openLog, openNats } from '../service/open.ts';
import { rebuildWork } from '../service/operators/build.ts';
import { views } from '../service/shop.ts';
import { openCommandTelemetry } from '../service/telemetry.ts';
import { type Command, interruptible, UsageError } from './command.ts';
import { type Progress, withProgress } from './shell/progress.ts';

export const VIEW_NAMES = views.map((projection) => projection.name).join(', ');

const OPTIONS = {
  all: { type: 'boolean', default: false },
  diff: { type: 'boolean', default: false },
  resume: { type: 'boolean', default: false },
  rollback: { type: 'boolean', default: false },
  throttle: { type: 'string' },
  id: { type: 'string' },
  'from-position': { type: 'string' },
  'from-time': { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

/** What `jetledger rebuild` was asked for. */
export interface RebuildRequest {
  readonly chosen: readonly Projection[];
  readonly mode: 'rebuild' | 'rollback' | 'one';
  /** Of the aggregate, with mode `one`. */
  readonly id: string | undefined;
  readonly diff: boolean;
  readonly resume: boolean;
  readonly commitsPerSecond: number | undefined;
  readonly from: StartFrom | undefined;
  /** Print one line of JSON for each view, and no progress. */
  readonly json: boolean;
}

/** The arguments of `jetledger rebuild`. @throws UsageError; what `parseArgs` throws */
export function rebuildRequest(args: readonly string[]): RebuildRequest {
  const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  const { all, diff, resume, rollback, throttle, id, json } = values;
  const unknown = positionals.filter((name) => !views.some((p) => p.name === name));
  if (unknown.length > 0) {
    const near = nearest(unknown.join(', '), VIEW_NAMES.split(', '));
    const hint = near === undefined ? '.' : `; did you mean ${near}?`;
    throw new UsageError(`There is no view ${unknown.join(', ')}${hint} Views: ${VIEW_NAMES}.`);
  }
  if (all && positionals.length > 0)
    throw new UsageError(`Name views or say --all, not both: --all is ${VIEW_NAMES}.`);
  const chosen = views.filter((p) => all || positionals.includes(p.name));
  if (chosen.length === 0) throw new UsageError(`Name a view, or --all. Views: ${VIEW_NAMES}.`);
  const position = values['from-position'];
  const time = values['from-time'];
  checkTogether([
    ['--rollback', rollback],
    ['--id', id !== undefined],
    ['--resume', resume],
    ['--from-position', position !== undefined],
    ['--from-time', time !== undefined],
  ]);
  if ((rollback || id !== undefined) && (diff || throttle !== undefined)) {
    throw new UsageError('--diff and --throttle are for a whole rebuild, not for --id or --rollback.');
  }
  if (id !== undefined && chosen.length > 1) throw new UsageError('--id takes one view, not several.');
  const mode = rollback ? 'rollback' : id === undefined ? 'rebuild' : 'one';
  const commitsPerSecond = throttle === undefined ? undefined : wholeFrom('--throttle', throttle, 1);
  return { chosen, mode, id, diff, resume, commitsPerSecond, from: startOf(position, time), json };
}

/** Each of these says where the work begins; two of them would contradict each other. */
function checkTogether(options: readonly (readonly [string, boolean])[]): void {
  const given = options.filter(([, isGiven]) => isGiven).map(([name]) => name);
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} cannot be combined; leave one out.`);
}

function startOf(position: string | undefined, time: string | undefined): StartFrom | undefined {
  if (position !== undefined) return { position: positionOf(wholeFrom('--from-position', position, 0)) };
  if (time === undefined) return undefined;
  const at = timeOf(time);
  if (at === undefined)
    throw new UsageError(`--from-time takes a time like 2026-01-15T09:30:00Z, not ${time}.`);
  return { time: at };
}

function wholeFrom(option: string, text: string, least: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least) return value;
  throw new UsageError(`${option} takes a whole number from ${least}, not ${text}.`);
}

export const rebuildCommand: Command = {
  name: 'rebuild',
  usage: '<view>... | --all [options]',
  summary: 'Replay the log into a fresh bucket of a view and switch to it.',
  help: `Views: ${VIEW_NAMES}.
The live view answers until the new one has caught up; a running service switches by itself. Ctrl-C cancels: the
live view stays as it was, and --resume goes on with what was filled.

  --diff              print each key that differs between the old view and the new one, before the switch
  --throttle N        read at most N commits a second
  --resume            go on with what an earlier rebuild has left
  --from-position N   keep the rows that nothing after that position has touched
  --from-time TIME    the same from a time, for example 2026-01-15T09:30:00Z
  --id ID             fold only the row of that aggregate again, in the live view
  --rollback          point the view back at the bucket that was live before the last switch
  --json              print one line of JSON for each view (differing keys with --diff), and no progress

Examples:
  jetledger rebuild orders
  jetledger rebuild orders --diff --throttle 5000
  jetledger rebuild orders --id 4abe501a
  jetledger rebuild --all`,
  run: async (args, { config, logger, print }) => {
    const request = rebuildRequest(args);
    const nats = await openNats(config(), 'join');
    const telemetry = await openCommandTelemetry(config(), logger);
    try {
      // With --json every line of the output is JSON.
      const log = await openLog(config(), nats, request.json ? () => undefined : print);
      const tracer = telemetry?.tracing?.tracer;
      const observer = tracer && traceProjections({ tracer, prefix: config().log.prefix });
      const deps = rebuildWork(config(), nats, log, observer);
      await interruptible((signal) =>
        withProgress(request.json, async (progress) => {
          for (const projection of request.chosen) {
            await rebuildAsAsked({ ...deps, projection }, request, { signal, print, progress });
          }
        }),
      );
      return 0;
    } finally {
      await telemetry?.stop(config().tracing.exportTimeoutMs);
      await nats.close();
    }
  },
};

interface Terminal {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

async function rebuildAsAsked(
  deps: RebuildDeps,
  { mode, id, json, ...request }: RebuildRequest,
  { signal, print: write, progress }: Terminal,
): Promise<void> {
  const { projection } = deps;
  const view = projection.name;
  const print: Terminal['print'] = (line) => {
    progress.clear();
    write(line);
  };
  if (id !== undefined) {
    const { position } = await refoldOne({ ...deps, id });
    print(
      json
        ? JSON.stringify({ view, id, position })
        : `${view}: ${id} is folded again, up to position ${numberOf(position)}`,
    );
    return;
  }
  const onProgress = ({ applied: done, total }: RebuildProgress): void =>
    progress.show({ what: view, done, total, unit: 'commits' });
  const result =
    mode === 'rollback'
      ? await rollback({ ...deps, signal, onProgress })
      : await rebuild({ ...deps, ...optionsOf(request, json, print), signal, onProgress });
  if (json) print(JSON.stringify({ view, ...result }));
  else report(projection, result, print);
}

function optionsOf(
  { diff, resume, commitsPerSecond, from }: Omit<RebuildRequest, 'mode' | 'id' | 'json'>,
  json: boolean,
  print: Terminal['print'],
) {
  return {
    resume,
    ...(commitsPerSecond !== undefined && { commitsPerSecond }),
    ...(from !== undefined && { from }),
    ...(diff && {
      onDifference: ({ key, kind }: { readonly key: string; readonly kind: string }) =>
        print(json ? JSON.stringify({ kind, key }) : `${kind.padEnd(8)} ${key}`),
    }),
  };
}

function report(
  { name }: Projection,
  { bucket, switched, dropped, comparison }: RebuildResult,
  print: Terminal['print'],
): void {
  if (comparison !== undefined) {
    const { rows, differing, open } = comparison;
    print(`${name}: ${rows} rows compared, ${differing} differ, ${open} changed too fast to tell`);
  }
  print(switched ? `${name}: now in ${bucket}` : `${name}: another rebuild was faster`);
  for (const old of dropped) print(`${name}: dropped ${old}`);
}
