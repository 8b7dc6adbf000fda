import { jetstreamManager } from '@nats-io/jetstream';
import type { Log } from '../../eventstore/log.ts';
import { logStreamProblems } from '../../eventstore/nats/log-stream.ts';
import type { Config } from '../../platform/config/schema.ts';
import { checkEmailKey, planTopology } from '../../platform/topology.ts';
import { buildAdmin } from '../consumers-admin.ts';
import type { Nats } from '../open.ts';
import { plannedBuckets } from '../planned-buckets.ts';
import { serverStanding, type ViewStanding, viewStandings } from '../standing.ts';
import { streamsOf } from '../streams.ts';
import { ownStreams } from '../with-nats.ts';
import { type Finding, fail, guarded, ok, reasonOf, warn } from './finding.ts';

const LAG_WARN = 1_000;
const LAG_SECONDS_WARN = 60;
const STALLED_MS = 10_000;
const TIMERS_WARN = 10;

/** What is to be said of the streams, before the log is opened. */
export async function topologyChecks(config: Config, nats: Nats): Promise<readonly Finding[]> {
  const jsm = await jetstreamManager(nats.connection, { checkAPI: false });
  return guarded('topology', 'Run: jetledger topology plan', async () => {
    const { config: stored } = await jsm.streams.info(config.log.stream);
    const problems = logStreamProblems(stored, { ...config.log, replicas: stored.num_replicas });
    if (problems.length > 0) {
      const advice =
        'The service refuses it as its log: it could lose history. Restore a backup into a sound one.';
      return fail('topology', `the stream ${config.log.stream}: ${problems.join('; ')}`, advice);
    }
    const steps = await planTopology({
      connection: nats.connection,
      log: config.log,
      emailKeyCheck: nats.emailKey.check,
      streams: streamsOf(config),
      buckets: plannedBuckets(config, await ownStreams(config, nats)),
    });
    const key = emailKey(() => checkEmailKey(stored, nats.emailKey.check));
    const open = steps.filter(({ action, what }) => action !== 'none' && !what.startsWith('bucket'));
    const buckets = steps.filter(({ action, what }) => action !== 'none' && what.startsWith('bucket'));
    const list = (some: typeof steps): string =>
      some.map(({ what, detail }) => `${what} (${detail})`).join('; ');
    if (open.length > 0) return [key, fail('topology', list(open), 'Run: jetledger topology apply')];
    if (buckets.length === 0)
      return [key, ok('topology', `${steps.length} streams and buckets are as configured`)];
    const advice = 'Run: jetledger topology apply. A service that starts makes missing ones by itself.';
    return [key, warn('topology', list(buckets), advice)];
  });
}

function emailKey(check: () => void): Finding {
  try {
    check();
    return ok('e-mail key', 'the one that the log was made with');
  } catch (error) {
    return fail(
      'e-mail key',
      reasonOf(error),
      'Set users.emailKey, or bring back email.key of the data folder.',
    );
  }
}

/** How views, consumers and timers stand. */
export async function progressChecks(config: Config, nats: Nats, log: Log): Promise<readonly Finding[]> {
  const advice = 'Run: jetledger status';
  const groups = await Promise.all([
    guarded('views', advice, async () =>
      (await viewStandings(config, nats, log)).map((view) => viewFinding(view, Date.now())),
    ),
    guarded('consumers', advice, () => consumerFindings(config, nats, log)),
    guarded('timers', advice, async () => {
      const { timers, notifications } = await serverStanding(config, nats, log);
      const detail = `${timers.armed} armed, ${timers.overdue} overdue; ${notifications.pending} notifications pending`;
      if (timers.overdue < TIMERS_WARN) return ok('timers', detail);
      return warn('timers', detail, 'Nobody handles fired timers: start a service with the role processes.');
    }),
  ]);
  return groups.flat();
}

/** @param now milliseconds since the Unix epoch */
export function viewFinding(
  { view, state, lag, position, checkpointAt }: ViewStanding,
  now: number,
): Finding {
  const check = `view ${view}`;
  const rebuild = `Run: jetledger rebuild ${view}`;
  if (state === 'foreign') return fail(check, 'it was filled from another life of the log', rebuild);
  if (state === 'never-run') {
    return warn(check, 'it was never run', 'Start a service with the role projections.');
  }
  if (state === 'other-version') {
    return warn(
      check,
      'its rows are of another version',
      `A service of this version refolds it; or: ${rebuild}`,
    );
  }
  const detail = `at ${position}, ${lag} behind`;
  const isStalled = lag > 0 && now - (checkpointAt ?? 0) > STALLED_MS;
  if (isStalled)
    return fail(check, `${detail}, standing still`, 'Start a service that runs it, and look at its log.');
  return lag < LAG_WARN
    ? ok(check, detail)
    : warn(check, detail, 'Let it catch up, or share it: projections.shared.');
}

async function consumerFindings(config: Config, nats: Nats, log: Log): Promise<readonly Finding[]> {
  const standings = await buildAdmin(config, nats, log).consumers.status();
  if (standings.length === 0)
    return [warn('consumers', 'none has ever run', 'Start a service with the role processes.')];
  return standings.map(({ consumer, lag, lagSeconds, parked, paused, groups }) => {
    const check = `consumer ${consumer}`;
    const detail = `${lag} behind, ${parked} parked, ${groups.held} of ${groups.of} groups held`;
    if (paused) return warn(check, `${detail}, paused`, `Run: jetledger consumers resume ${consumer}`);
    if (parked > 0) return warn(check, detail, `Run: jetledger parked list --consumer ${consumer}`);
    if (groups.held === 0 && lag > 0) return fail(check, detail, 'Start a service with the role processes.');
    if (lagSeconds < LAG_SECONDS_WARN) return ok(check, detail);
    return warn(
      check,
      `${detail}, the oldest ${Math.round(lagSeconds)} s old`,
      'Look at the log of its service.',
    );
  });
}
