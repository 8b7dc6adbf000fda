import type { Measured, Memory, Rounds } from './measure.ts';
import type { Footprint, Restarts } from './restarts.ts';
import { median, quantile } from './statistics.ts';
import { TASK_NAMES } from './targets.ts';
import type { TaskName } from './tasks.ts';
import type { ScaleLog } from './world.ts';

export interface ScaleReport {
  readonly machine: string;
  readonly rounds: number;
  readonly logs: readonly ScaleLog[];
  /** Right after writing. */
  readonly loaded: ReadonlyMap<ScaleLog, Footprint>;
  readonly relaxed: ReadonlyMap<ScaleLog, Measured>;
  readonly restarts: ReadonlyMap<ScaleLog, Restarts>;
  /** With `sync_interval: always`. */
  readonly durable: ReadonlyMap<ScaleLog, Measured>;
}

const LABELS: Readonly<Record<TaskName, string>> = {
  'append-warm': 'append, aggregate just written',
  'append-new': 'append, new aggregate',
  'append-old': 'append, any aggregate, version known',
  'warm-command': 'warm command',
  'cold-snapshot': 'cold command, 5 events, snapshot',
  'cold-log': 'cold command, 5 events, from the log',
  'cold-log-scattered': 'the same, its commits across the log',
  'long-snapshot': 'cold command, 1,000 events, snapshot',
  'long-log-in-a-row': 'cold command, 1,000 events in a row, from the log',
  'long-log-scattered': 'the same, its commits across the log',
};

/** The whole report as Markdown. */
export function formatReport(report: ScaleReport): string {
  return [
    `${report.machine}; ${report.rounds} rounds`,
    `## Latency, default sync\n\n${latencyTable(report.logs, report.relaxed)}`,
    `## Latency, \`sync_interval: always\`\n\n${latencyTable(report.logs, report.durable)}`,
    `## Memory, disk, restart\n\n${resourceTable(report)}`,
  ].join('\n\n');
}

function latencyTable(logs: readonly ScaleLog[], measured: ReadonlyMap<ScaleLog, Measured>): string {
  const sizes = logs.map(({ size }) => `${size.toLocaleString('en')} aggregates`);
  const rows = TASK_NAMES.map((name) => {
    const all = logs.map((log) => measured.get(log)?.latencies.get(name) ?? []);
    return [LABELS[name], ...all.map(latency), ratio(all[0] ?? [], all.at(-1) ?? [])];
  });
  return table(['p50 (min to max of the rounds) / p99, ms', ...sizes, 'last / first'], rows);
}

function latency(rounds: Rounds): string {
  const medians = rounds.map((round) => quantile(round, 0.5));
  const range = `${milliseconds(Math.min(...medians))} to ${milliseconds(Math.max(...medians))}`;
  return `${milliseconds(median(medians))} (${range}) / ${milliseconds(quantile(rounds.flat(), 0.99))}`;
}

/** The median of the rounds' own ratios, since what disturbs a round disturbs all logs in it. */
function ratio(first: Rounds, last: Rounds): string {
  const ratios = last.map((round, i) => quantile(round, 0.5) / quantile(first[i] ?? [], 0.5));
  return median(ratios).toFixed(2);
}

function resourceTable({ logs, loaded, relaxed, durable, restarts }: ScaleReport): string {
  const of = (label: string, cell: (log: ScaleLog) => string): string[] => [label, ...logs.map(cell)];
  const memory = (measured: ReadonlyMap<ScaleLog, Measured>, part: keyof Memory) => (log: ScaleLog) =>
    mebibytes(measured.get(log)?.memory[part]);
  const restart = (kind: 'clean' | 'killed', part: 'stopMs' | 'startMs') => (log: ScaleLog) =>
    spread((restarts.get(log)?.[kind] ?? []).map((r) => r[part] / 1_000));
  return table(
    of('', ({ size }) => `${size.toLocaleString('en')} aggregates`),
    [
      of('commits', ({ loaded }) => loaded.commits.toLocaleString('en')),
      of('written in, s', ({ loaded }) => loaded.seconds.toFixed(0)),
      of('disk, log and snapshots, MiB', (log) => mebibytes(loaded.get(log)?.disk)),
      of('server RSS after writing, MiB', (log) => mebibytes(loaded.get(log)?.memory)),
      of('server RSS after measuring, MiB', memory(relaxed, 'server')),
      of('server RSS after reading across the whole log, MiB', memory(relaxed, 'serverAllRead')),
      of('server RSS right after a restart, MiB', (log) => mebibytes(restarts.get(log)?.memory.at(-1))),
      of('server RSS after a restart and measuring, `always`, MiB', memory(durable, 'server')),
      of('service RSS, started, MiB', memory(relaxed, 'serviceStarted')),
      of('service RSS after measuring, MiB', memory(relaxed, 'service')),
      of('service RSS with a full cache, MiB', memory(relaxed, 'serviceFilled')),
      of('aggregates in that cache', (log) => relaxed.get(log)?.memory.cached.toLocaleString('en') ?? '-'),
      of('SIGTERM until gone, s', restart('clean', 'stopMs')),
      of('start until healthy, s', restart('clean', 'startMs')),
      of('start until healthy after kill -9, s', restart('killed', 'startMs')),
    ],
  );
}

function spread(seconds: readonly number[]): string {
  const [middle, least, most] = [median(seconds), Math.min(...seconds), Math.max(...seconds)];
  return `${middle.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

function milliseconds(value: number): string {
  return value < 10 ? value.toFixed(2) : value.toFixed(0);
}

function mebibytes(value: number | undefined): string {
  return value === undefined ? '-' : Math.round(value).toLocaleString('en');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}
