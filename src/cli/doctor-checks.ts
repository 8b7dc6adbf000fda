import type { JetStreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import {
  type Log,
  logStreamProblems,
  managerOf,
  PermissionDenied,
  type Requests,
  reasonOf,
} from '../eventstore/index.ts';
import { type Config, hasRole, isProduction } from '../platform/config/schema.ts';
import { durabilityProblem, readSyncEvidence } from '../platform/durability.ts';
import { isAtLeast, MINIMUM_VERSION } from '../platform/nats-server/version.ts';
import { checkEmailKey, planTopology } from '../platform/topology.ts';
import { bucketNames } from '../processes/engine/index.ts';

import { buildAdmin } from '../service/consumers-admin.ts';
import type { Nats } from '../service/open.ts';
import { categories } from '../service/shop.ts';
import { serverReport, type ViewReport, viewReports } from '../service/status.ts';
import { plannedBuckets, streamsOf } from '../service/topology.ts';
import { ownStreams } from '../service/with-nats.ts';
import { size } from './command.ts';

/** What a check found, and what to do about it. */
export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** Missing where nothing is to be done. */
  readonly advice?: string;
}

export const ok = (check: string, detail: string): Finding => ({ check, level: 'ok', detail });
export const warn = (check: string, detail: string, advice: string): Finding => ({
  check,
  level: 'warn',
  detail,
  advice,
});
export const fail = (check: string, detail: string, advice: string): Finding => ({
  check,
  level: 'fail',
  detail,
  advice,
});

const LONGEST_MS = 20_000;

/** Runs a check; one that throws or takes too long is a finding too. */
export async function guarded(
  check: string,
  advice: string,
  look: () => Promise<Finding | readonly Finding[]>,
): Promise<readonly Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${LONGEST_MS / 1_000} s`)), LONGEST_MS);
  });
  try {
    const found = await Promise.race([look(), late]);
    return 'check' in found ? [found] : found;
  } catch (error) {
    return [fail(check, reasonOf(error), advice)];
  } finally {
    clearTimeout(timer);
  }
}

const ANSWER_MS = 2_000;
const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';
/** No stream will ever have so many messages, so what expects it is refused, and nothing is stored. */
const NEVER = String(Number.MAX_SAFE_INTEGER);

/** A request that changes nothing, and what it shows to be permitted. */
interface Probe {
  readonly what: string;
  readonly subject: string;
  /** Why there was no answer; undefined when there was one. @throws PermissionDenied */
  try(requests: Requests): Promise<string | undefined>;
}

/**
 * Tries a request for each thing that a process with the configured roles does, none of which changes data: writes carry
 * an expectation that cannot hold. An answer of any kind proves the permission; without one there is none.
 */
export async function permissionChecks(config: Config, { requests }: Nats): Promise<readonly Finding[]> {
  const found = await Promise.all(
    probes(config, requests.apiPrefix).map((probe) => permissionFinding(probe, requests)),
  );
  const missing = found.filter((finding) => finding !== undefined);
  if (missing.length > 0) return missing;
  return [ok('permissions', `all ${found.length} kinds of requests are answered`)];
}

function probes(config: Config, api: string): readonly Probe[] {
  const { stream, prefix } = config.log;
  const reacts = hasRole(config, 'processes');
  const appends = reacts || hasRole(config, 'api') ? categories : [];
  return [
    question(`${api}.INFO`, {}, 'ask JetStream for limits'),
    question(`${api}.STREAM.INFO.${stream}`, {}, 'look at the log'),
    question(`${api}.STREAM.MSG.GET.${stream}`, { seq: 1 }, 'read the log through its leader'),
    question(`${api}.DIRECT.GET.${stream}`, { seq: 1 }, 'read the log from a replica'),
    ...appends.map((category) => refusedWrite(`${prefix}.${category}.0.0.0.doctor`, `append to ${category}`)),
    ...(reacts ? [refusedWrite(`$KV.${bucketNames(prefix).cursors}.doctor`, 'write to buckets')] : []),
    {
      what: 'follow the log',
      subject: `${api}.CONSUMER.CREATE.${stream}`,
      try: (requests) => follow(requests, stream),
    },
  ];
}

function question(subject: string, payload: object, what: string): Probe {
  const options = { timeoutMs: ANSWER_MS };
  return {
    what,
    subject,
    try: (requests) => tried(requests.request(subject, JSON.stringify(payload), options)),
  };
}

function refusedWrite(subject: string, what: string): Probe {
  const impossible = headers();
  impossible.set(EXPECTED, NEVER);
  const options = { timeoutMs: ANSWER_MS, headers: impossible };
  return { what, subject, try: (requests) => tried(requests.request(subject, '', options)) };
}

async function tried(asked: ReturnType<Requests['request']>): Promise<string | undefined> {
  const { failed } = await asked;
  if (failed instanceof PermissionDenied) throw failed;
  return failed;
}

/** An ephemeral consumer, gone at once. */
async function follow(requests: Requests, stream: string): Promise<undefined> {
  const jsm = await managerOf(requests, ANSWER_MS);
  const { name } = await jsm.consumers.add(stream, { mem_storage: true, num_replicas: 1 });
  await jsm.consumers.delete(stream, name).catch(() => undefined);
  return undefined;
}

async function permissionFinding(
  { what, subject, try: ask }: Probe,
  requests: Requests,
): Promise<Finding | undefined> {
  const user = requests.user ?? 'this user';
  const advice = `Allow ${user} to publish to ${subject} (permissions in the NATS server's configuration), and reload it.`;
  try {
    const failed = await ask(requests);
    if (failed === undefined) return undefined;
    return fail('permissions', `nobody answers a request to ${what} (${subject}): ${failed}`, advice);
  } catch (error) {
    return fail('permissions', `${user} may not ${what} (${subject}): ${reasonOf(error)}`, advice);
  }
}

const SKEW_WARN_MS = 1_000;
const SKEW_FAIL_MS = 10_000;
const SLOW_MS = 250;
const FULL_WARN = 0.8;
const FULL_FAIL = 0.95;
const MONITOR_MS = 1_500;

/** What is to be said of the NATS server itself. */
export async function serverChecks(config: Config, nats: Nats): Promise<readonly Finding[]> {
  const jsm = await managerOf(nats.requests);
  const groups = await Promise.all([
    guarded('server', 'Look at the server and its log.', () => serverVersion(nats)),
    guarded('clock', 'Let a time service keep the clocks of all machines.', () => clocks(config, nats, jsm)),
    guarded('durability', 'See docs/operations.md.', () => durability(config, nats, jsm)),
    guarded('disk', 'Give JetStream more room: max_file_store.', () => disk(nats, jsm)),
    guarded('replicas', 'Bring back the servers that are away.', () => replicas(config, jsm)),
  ]);
  return groups.flat();
}

async function serverVersion({ connection }: Nats): Promise<Finding> {
  const version = connection.info?.version ?? '0.0.0';
  const roundTripMs = await connection.rtt();
  const detail = `${connection.info?.server_name ?? 'unnamed'}, version ${version}, ${roundTripMs.toFixed(1)} ms away`;
  if (!isAtLeast(version, MINIMUM_VERSION)) {
    return fail('server', detail, `Install nats-server ${MINIMUM_VERSION} or later.`);
  }
  if (roundTripMs < SLOW_MS) return ok('server', detail);
  return warn('server', detail, 'Every command takes at least one round trip: run the service nearer to it.');
}

/** The API's answers carry the leader's clock, the monitoring endpoints that of each server. */
async function clocks(config: Config, nats: Nats, jsm: JetStreamManager): Promise<Finding> {
  const skews = [await skewOf(async () => (await jsm.streams.info(config.log.stream)).ts as unknown)];
  for (const url of nats.monitorUrls) {
    const asked = skewOf(async () => ((await monitor(url, '/varz')) as { now?: unknown }).now);
    skews.push(await asked.catch(() => undefined));
  }
  const known = skews.filter((skew) => skew !== undefined);
  if (known.length === 0) return warn('clock', 'no server says its time', 'Name nats.monitorUrls.');
  const worst = known.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  const detail = `${Math.round(Math.abs(worst))} ms apart at the most, over ${known.length} answer(s)`;
  const advice = 'Let a time service (NTP) keep the clocks: deadlines of payments are absolute times.';
  if (Math.abs(worst) >= SKEW_FAIL_MS) return fail('clock', detail, advice);
  return Math.abs(worst) >= SKEW_WARN_MS ? warn('clock', detail, advice) : ok('clock', detail);
}

/** Milliseconds by which a server's clock is ahead of this one's, give or take half a round trip. */
async function skewOf(ask: () => Promise<unknown>): Promise<number | undefined> {
  const before = Date.now();
  const answer = await ask();
  const there = typeof answer === 'string' ? Date.parse(answer) : Number.NaN;
  return Number.isNaN(there) ? undefined : there - (before + Date.now()) / 2;
}

async function durability(config: Config, { monitorUrls }: Nats, jsm: JetStreamManager): Promise<Finding> {
  const { num_replicas: copies } = (await jsm.streams.info(config.log.stream)).config;
  const evidence = await readSyncEvidence(monitorUrls);
  const problem = durabilityProblem(config.log, copies, evidence);
  if (problem === undefined) {
    return ok(
      'durability',
      `log.durability ${config.log.durability}, sync_interval ${evidence}, ${copies} replica(s)`,
    );
  }
  const found = `acknowledged commits could be lost in a power cut (sync_interval ${evidence})`;
  return isProduction(config) ? fail('durability', found, problem) : warn('durability', found, problem);
}

async function disk({ monitorUrls }: Nats, jsm: JetStreamManager): Promise<Finding> {
  const { storage, limits } = await jsm.getAccountInfo();
  const used = [{ used: storage, of: limits.max_storage }];
  for (const url of monitorUrls) {
    const varz = (await monitor(url, '/varz').catch(() => ({}))) as {
      jetstream?: { config?: { max_storage?: number }; stats?: { storage?: number } };
    };
    const { config, stats } = varz.jetstream ?? {};
    used.push({ used: stats?.storage ?? 0, of: config?.max_storage ?? 0 });
  }
  const bounded = used.filter(({ of }) => of > 0);
  const fullest = bounded.reduce((most, { used: u, of }) => Math.max(most, u / of), 0);
  const detail =
    bounded.length === 0
      ? `${size(storage)} used, no limit is known`
      : `${size(storage)} used, ${(fullest * 100).toFixed(1)} % of the tightest limit`;
  const advice = 'A full JetStream refuses commits: raise max_file_store or the account limit, or add disk.';
  if (fullest >= FULL_FAIL) return fail('disk', detail, advice);
  return fullest >= FULL_WARN ? warn('disk', detail, advice) : ok('disk', detail);
}

async function replicas(settings: Config, jsm: JetStreamManager): Promise<Finding> {
  const { config, cluster } = await jsm.streams.info(settings.log.stream);
  const { leader, replicas: others = [] } = cluster ?? {};
  const missing = others.filter((peer) => peer.offline === true || !peer.current);
  const detail = `the log has ${config.num_replicas} replica(s)${leader === undefined ? '' : `, led by ${leader}`}`;
  if (missing.length > 0) {
    const names = missing.map(({ name, lag = 0 }) => `${name} (${lag} behind)`).join(', ');
    return fail(
      'replicas',
      `${detail}; away or behind: ${names}`,
      'Bring those servers back before another one fails.',
    );
  }
  if (config.num_replicas === 1 && isProduction(settings)) {
    return warn(
      'replicas',
      detail,
      'One disk holds the history: use three servers (log.replicas: 3), and take backups.',
    );
  }
  return ok('replicas', detail);
}

async function monitor(url: string, path: string): Promise<unknown> {
  const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(MONITOR_MS) });
  return response.json();
}

const LAG_WARN = 1_000;
const LAG_SECONDS_WARN = 60;
const STALLED_MS = 10_000;
const TIMERS_WARN = 10;

/** What is to be said of the streams, before the log is opened. */
export async function topologyChecks(config: Config, nats: Nats): Promise<readonly Finding[]> {
  const jsm = await managerOf(nats.requests);
  return guarded('topology', 'Run: jetledger topology plan', async () => {
    const { config: stored } = await jsm.streams.info(config.log.stream);
    const problems = logStreamProblems(stored, { ...config.log, replicas: stored.num_replicas });
    if (problems.length > 0) {
      const advice =
        'The service refuses it as its log: it could lose history. Restore a backup into a sound one.';
      return fail('topology', `the stream ${config.log.stream}: ${problems.join('; ')}`, advice);
    }
    const steps = await planTopology({
      requests: nats.requests,
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
      (await viewReports(config, nats, log)).map((view) => viewFinding(view, Date.now())),
    ),
    guarded('consumers', advice, () => consumerFindings(config, nats, log)),
    guarded('timers', advice, async () => {
      const { timers, notifications } = await serverReport(config, nats, log);
      const detail = `${timers.armed} armed, ${timers.overdue} overdue; ${notifications.pending} notifications pending`;
      if (timers.overdue < TIMERS_WARN) return ok('timers', detail);
      return warn('timers', detail, 'Nobody handles fired timers: start a service with the role processes.');
    }),
  ]);
  return groups.flat();
}

/** @param now milliseconds since the Unix epoch */
export function viewFinding({ view, state, lag, position, checkpointAt }: ViewReport, now: number): Finding {
  const check = `view ${view}`;
  const rebuild = `Run: jetledger rebuild ${view}`;
  if (state === 'foreign') return fail(check, 'it was filled from another incarnation of the log', rebuild);
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
  const reports = await buildAdmin(config, nats, log).consumers.status();
  if (reports.length === 0)
    return [warn('consumers', 'none has ever run', 'Start a service with the role processes.')];
  return reports.map(({ consumer, lag, lagSeconds, parked, paused, groups }) => {
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
