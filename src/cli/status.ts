import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { ConsumerReport } from '../api/deps.ts';
import { type Log, reasonOf } from '../eventstore/index.ts';
import type { Config } from '../platform/config/schema.ts';
import { buildAdmin } from '../service/consumers-admin.ts';
import type { Nats } from '../service/open.ts';
import { type ServerReport, serverReport, type ViewReport, viewReports } from '../service/status.ts';
import { quietLog, withNats } from '../service/with-nats.ts';
import { type Command, interruptible, size } from './command.ts';
import { linesOf as consumerLines } from './consumers.ts';
import { paint } from './terminal.ts';

interface Status extends ServerReport {
  readonly views: readonly ViewReport[];
  readonly consumers: readonly ConsumerReport[];
}

const WATCH_MS = 2_000;
const HOME_AND_CLEAR = '\u001b[H\u001b[2J';

export const statusCommand: Command = {
  name: 'status',
  usage: '[--watch] [--json]',
  summary: 'Show how the log, views, consumers, timers and notifications stand.',
  help: `Looks at what is stored, over all instances, and changes nothing: position and size of the log, each view with its
bucket, each consumer with its lag, parked events and groups, timers that are armed or overdue, notifications that wait,
snapshots, and the server. Whether that is well is what jetledger doctor says.

  --watch  look again every ${WATCH_MS / 1_000} s until Ctrl-C; on a terminal over what was shown before
  --json   print it as JSON, with --watch one line each time; times in milliseconds since 1970, sizes in bytes

Examples:
  jetledger status
  jetledger status --watch
  jetledger status --json | jq '.views[] | select(.lag > 0)'`,
  run: async (args, { config, print }) => {
    const options = {
      watch: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    } as const;
    const { values } = parseArgs({ args: [...args], options });
    const show = (status: Status, indent?: number): void => {
      if (values.json) print(JSON.stringify(status, null, indent));
      else for (const line of linesOf(status)) print(line);
    };
    await withNats(config(), async (nats) => {
      const log = await quietLog(config(), nats);
      const look = () => readStatus(config(), nats, log);
      if (!values.watch) return show(await look(), 2);
      const clear = values.json || process.stdout.isTTY !== true ? undefined : HOME_AND_CLEAR;
      await interruptible((signal) => watch(look, show, clear, signal));
    });
    return 0;
  },
};

async function readStatus(config: Config, nats: Nats, log: Log): Promise<Status> {
  const [server, views, consumers] = await Promise.all([
    serverReport(config, nats, log),
    viewReports(config, nats, log),
    buildAdmin(config, nats, log).consumers.status(),
  ]);
  return { ...server, views, consumers };
}

/** Shows it again and again; a server that is away for a while is told, and waited for. */
async function watch(
  look: () => Promise<Status>,
  show: (status: Status) => void,
  clear: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const status = await look();
      if (clear !== undefined) process.stdout.write(clear);
      show(status);
    } catch (error) {
      console.error(`jetledger: ${reasonOf(error)}`);
    }
    await delay(WATCH_MS, undefined, { signal }).catch(() => undefined);
  }
}

function linesOf({ server, log, views, consumers, timers, notifications, snapshots }: Status): string[] {
  const restored = log.restoredFrom === undefined ? '' : `, restored from ${log.restoredFrom}`;
  const missing = log.missing.length === 0 ? '' : paint('red', `, away or behind: ${log.missing.join(', ')}`);
  const led = log.leader === undefined ? '' : `, led by ${log.leader}`;
  return [
    `server         ${server.name}, version ${server.version}`,
    `log            ${log.stream}: position ${log.position}, ${log.commits} commits, ${size(log.bytes)}, ${log.replicas} replica(s)${led}${missing}`,
    `               incarnation ${log.incarnation}${restored}`,
    ...views.map(viewLine),
    ...consumerLines(consumers).map((line) => `consumer       ${line}`),
    `timers         ${timers.armed} armed, ${late(timers.overdue, `${timers.overdue} overdue`)}`,
    `notifications  ${notifications.pending} pending, ${notifications.kept} kept`,
    `snapshots      ${snapshots.count}, ${size(snapshots.bytes)}${remakeText(snapshots.remake)}`,
  ];
}

function remakeText(remake: Status['snapshots']['remake']): string {
  if (remake === undefined || (remake.ended && remake.remade === 0)) return '';
  const { remade, left, ended } = remake;
  return ended
    ? `, ${remade} made anew`
    : paint('yellow', `, ${remade} made anew, ${left} revisions to look at`);
}

function viewLine({ view, state, bucket, version, groups, position, lag }: ViewReport): string {
  if (state === 'never-run') return `view           ${view.padEnd(16)}  never run`;
  const behind = lag === 0 ? paint('green', 'up to date') : paint('yellow', `${lag} behind`);
  const odd = state === 'sound' ? '' : paint('red', `, ${state}`);
  return `view           ${view.padEnd(16)}  ${behind} at ${position}, ${bucket}, version ${version}, ${groups} group(s)${odd}`;
}

const late = (count: number, text: string): string => (count === 0 ? text : paint('yellow', text));
