import { parseArgs } from 'node:util';
import type { ConsumerReport } from '../api/deps.ts';
import { buildAdmin } from '../service/consumers-admin.ts';
import { type ServerReport, serverReport, type ViewReport, viewReports } from '../service/status.ts';
import { quietLog, withNats } from '../service/with-nats.ts';
import { type Command, size } from './command.ts';
import { linesOf as consumerLines } from './consumers.ts';

interface Status extends ServerReport {
  readonly views: readonly ViewReport[];
  readonly consumers: readonly ConsumerReport[];
}

export const statusCommand: Command = {
  name: 'status',
  usage: '[--json]',
  summary: 'Show how the log, views, consumers, timers and notifications stand.',
  help: `Looks at what is stored, over all instances, and changes nothing: position and size of the log, each view with its
bucket, each consumer with its lag, parked events and groups, timers that are armed or overdue, notifications that wait,
snapshots, and the server. Whether that is well is what jetledger doctor says.

  --json   print it as JSON; times in milliseconds since 1970, sizes in bytes

Examples:
  jetledger status
  jetledger status --json | jq '.views[] | select(.lag > 0)'`,
  run: async (args, { config, print }) => {
    const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false } } });
    const status = await withNats(config(), async (nats): Promise<Status> => {
      const log = await quietLog(config(), nats);
      const [server, views, consumers] = await Promise.all([
        serverReport(config(), nats, log),
        viewReports(config(), nats, log),
        buildAdmin(config(), nats, log).consumers.status(),
      ]);
      return { ...server, views, consumers };
    });
    if (values.json) print(JSON.stringify(status, null, 2));
    else for (const line of linesOf(status)) print(line);
    return 0;
  },
};

function linesOf({ server, log, views, consumers, timers, notifications, snapshots }: Status): string[] {
  const restored = log.restoredFrom === undefined ? '' : `, restored from ${log.restoredFrom}`;
  const missing = log.missing.length === 0 ? '' : `, away or behind: ${log.missing.join(', ')}`;
  const led = log.leader === undefined ? '' : `, led by ${log.leader}`;
  return [
    `server         ${server.name}, version ${server.version}`,
    `log            ${log.stream}: position ${log.position}, ${log.commits} commits, ${size(log.bytes)}, ${log.replicas} replica(s)${led}${missing}`,
    `               incarnation ${log.incarnation}${restored}`,
    ...views.map(viewLine),
    ...consumerLines(consumers).map((line) => `consumer       ${line}`),
    `timers         ${timers.armed} armed, ${timers.overdue} overdue`,
    `notifications  ${notifications.pending} pending, ${notifications.kept} kept`,
    `snapshots      ${snapshots.count}, ${size(snapshots.bytes)}`,
  ];
}

function viewLine({ view, state, bucket, version, groups, position, lag }: ViewReport): string {
  if (state === 'never-run') return `view           ${view.padEnd(16)}  never run`;
  const behind = lag === 0 ? 'up to date' : `${lag} behind`;
  const odd = state === 'sound' ? '' : `, ${state}`;
  return `view           ${view.padEnd(16)}  ${behind} at ${position}, ${bucket}, version ${version}, ${groups} group(s)${odd}`;
}
