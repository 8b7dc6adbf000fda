import type { ConsumerReport } from '../../api/deps.ts';
import { BEGINNING, type Log } from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { buildAdmin } from '../../service/consumers-admin.ts';
import type { Nats } from '../../service/open.ts';
import { serverReport, type ViewReport, viewReports } from '../../service/status.ts';
import { type Finding, fail, ok, warn } from './checks.ts';

const LAG_WARN = 1_000;
const LAG_SECONDS_WARN = 60;
const STALLED_MS = 10_000;
const TIMERS_OVERDUE = 10;
const START_PROCESSES = 'Start a service with the role processes.';

export async function viewFindings(config: Config, nats: Nats, log: Log): Promise<readonly Finding[]> {
  const reports = await viewReports(config, nats, log);
  return byCure(
    'views',
    reports.map((view) => viewFinding(view, Date.now())),
  );
}

/** What has one cure is one finding: nobody has to read six times that no service runs. */
function byCure(check: string, findings: readonly Finding[]): readonly Finding[] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const cure = finding.advice === undefined ? '' : finding.level + finding.advice;
    groups.set(cure, [...(groups.get(cure) ?? []), finding]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first?.advice === undefined || group.length === 1) return group;
    const detail = group.map((one) => `${one.check}: ${one.detail}`).join('; ');
    return [{ check, level: first.level, detail, advice: first.advice }];
  });
}

/** @param now milliseconds since the Unix epoch */
export function viewFinding(report: ViewReport, now: number): Finding {
  const { view, state, bucket, lag, position, checkpointAt } = report;
  const check = `view ${view}`;
  const rebuild = `Run: jetledger rebuild ${view}`;
  if (state === 'lost')
    return { ...fail(check, `its bucket ${bucket} is gone`, rebuild), fix: ['rebuild', view] };
  if (state === 'foreign') return fail(check, 'it was filled from another incarnation of the log', rebuild);
  if (state === 'never-run') {
    const start = 'Start a service with the role projections.';
    if (lag === 0) return warn(check, 'it was never run', start);
    return fail(check, `it was never run, and the log is at ${lag}`, start);
  }
  if (state === 'other-version') {
    const refold = `A service of this version refolds it; or: ${rebuild}`;
    return warn(check, 'its rows are of another version', refold);
  }
  const detail = `at ${position}, ${lag} behind`;
  const isStalled = lag > 0 && now - (checkpointAt ?? 0) > STALLED_MS;
  if (isStalled)
    return fail(check, `${detail}, standing still`, 'Start a service that runs it, and look at its log.');
  return lag < LAG_WARN
    ? ok(check, detail)
    : warn(check, detail, 'Let it catch up, or share it: projections.shared.');
}

export async function consumerFindings(config: Config, nats: Nats, log: Log): Promise<readonly Finding[]> {
  const reports = await buildAdmin(config, nats, log).consumers.status();
  if (reports.length === 0) {
    const judge = (await log.head()) === BEGINNING ? warn : fail;
    return [judge('consumers', 'none has ever run', START_PROCESSES)];
  }
  return byCure('consumers', reports.map(consumerFinding));
}

export function consumerFinding({
  consumer,
  lag,
  lagSeconds,
  parked,
  paused,
  groups,
}: ConsumerReport): Finding {
  const check = `consumer ${consumer}`;
  const detail = `${lag} behind, ${parked} parked, ${groups.held} of ${groups.of} groups held`;
  if (paused) return fail(check, `${detail}, paused`, `Run: jetledger consumers resume ${consumer}`);
  if (parked > 0) return fail(check, detail, `Run: jetledger parked list --consumer ${consumer}`);
  if (groups.held === 0 && lag > 0) return fail(check, detail, START_PROCESSES);
  if (lagSeconds < LAG_SECONDS_WARN) return ok(check, detail);
  const oldest = `${detail}, the oldest ${Math.round(lagSeconds)} s old`;
  return warn(check, oldest, 'Look at the log of its service.');
}

export async function timerFinding(config: Config, nats: Nats, log: Log): Promise<Finding> {
  const { timers, notifications } = await serverReport(config, nats, log);
  const detail = `${timers.armed} armed, ${timers.overdue} overdue; ${notifications.pending} notifications pending`;
  if (timers.overdue < TIMERS_OVERDUE) return ok('timers', detail);
  return fail('timers', detail, `Nobody handles fired timers. ${START_PROCESSES}`);
}
