import { parseArgs } from 'node:util';
import type { Projection } from '../projections/projection.ts';
import { allProjections } from '../projections/read-side.ts';
import type { StartFrom } from '../projections/start-from.ts';
import { UsageError } from './command.ts';

export const VIEW_NAMES = allProjections.map((projection) => projection.name).join(', ');

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
  const unknown = positionals.filter((name) => !allProjections.some((p) => p.name === name));
  if (unknown.length > 0)
    throw new UsageError(`There is no view ${unknown.join(', ')}. Views: ${VIEW_NAMES}.`);
  const chosen = allProjections.filter((p) => all || positionals.includes(p.name));
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
  if (position !== undefined) return { position: wholeFrom('--from-position', position, 0) };
  if (time === undefined) return undefined;
  const at = Date.parse(time);
  if (Number.isNaN(at))
    throw new UsageError(`--from-time takes a time like 2026-01-15T09:30:00Z, not ${time}.`);
  return { time: at };
}

function wholeFrom(option: string, text: string, least: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least) return value;
  throw new UsageError(`${option} takes a whole number from ${least}, not ${text}.`);
}
