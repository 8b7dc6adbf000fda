import type { JetStreamManager, StreamInfo } from '@nats-io/jetstream';
import { type Config, isProduction } from '../../platform/config/schema.ts';
import { durabilityProblem, readSyncEvidence } from '../../platform/durability.ts';
import { HEAL_SERVER, lastingIllness } from '../../platform/nats-monitor.ts';
import { isAtLeast, MINIMUM_VERSION } from '../../platform/nats-server/version.ts';
import type { Nats } from '../../service/open.ts';
import { size } from '../command.ts';
import { type Finding, fail, ok, warn } from './checks.ts';

const SKEW_WARN_MS = 1_000;
const SKEW_FAIL_MS = 10_000;
const SLOW_MS = 250;
const NEARLY_FULL = 0.8;
const FULL = 0.95;
const MONITOR_MS = 1_500;

export async function serverVersion({ connection }: Nats): Promise<Finding> {
  const version = connection.info?.version ?? '0.0.0';
  const roundTripMs = await connection.rtt();
  const detail = `${connection.info?.server_name ?? 'unnamed'}, version ${version}, ${roundTripMs.toFixed(1)} ms away`;
  if (!isAtLeast(version, MINIMUM_VERSION)) {
    return fail('server', detail, `Install nats-server ${MINIMUM_VERSION} or later.`);
  }
  if (roundTripMs < SLOW_MS) return ok('server', detail);
  return warn('server', detail, 'Every command takes at least one round trip: run the service nearer to it.');
}

const SWITCH_ON =
  "Switch it on in the NATS server's configuration, jetstream { store_dir: ... }, and in an account with " +
  'jetstream: enabled; then restart the server.';

export async function jetStream({ connection }: Nats, jsm: JetStreamManager): Promise<Finding> {
  const server = connection.info?.server_name ?? 'the server';
  try {
    const { streams } = await jsm.getAccountInfo();
    return ok('jetstream', `on, with ${streams} streams in this account`);
  } catch (error) {
    if (!(error instanceof Error) || !/not enabled/i.test(error.message)) throw error;
    const where = /account/i.test(error.message) ? 'for the account of this user' : `on ${server}`;
    return fail('jetstream', `JetStream is switched off ${where}`, SWITCH_ON);
  }
}

/** Whether as many servers are there as `log.replicas` wants. */
export async function serversEnough(config: Config, nats: Nats): Promise<Finding> {
  const wanted = config.log.replicas;
  const servers = await countServers(nats);
  if (servers === undefined)
    return ok('servers', `a cluster of unknown size, log.replicas is ${wanted} (name nats.monitorUrls)`);
  const detail = `log.replicas is ${wanted}, and there ${servers === 1 ? 'is one server' : `are ${servers} servers`}`;
  if (wanted <= servers) return ok('servers', detail);
  const fits = servers >= 3 ? 3 : 1;
  return fail(
    'servers',
    detail,
    `Set log.replicas to ${fits} (JETLEDGER_LOG__REPLICAS=${fits}), or run a cluster of ${wanted} servers.`,
  );
}

async function countServers({ connection, monitorUrls }: Nats): Promise<number | undefined> {
  if (connection.info?.cluster === undefined) return 1;
  for (const url of monitorUrls) {
    const jsz = (await monitor(url, '/jsz').catch(() => ({}))) as {
      meta_cluster?: { cluster_size?: number };
    };
    if (jsz.meta_cluster?.cluster_size !== undefined) return jsz.meta_cluster.cluster_size;
  }
  return undefined;
}

/** The API's answers carry the leader's clock, the monitoring endpoints that of each server. */
export async function clocks(
  nats: Nats,
  info: () => Promise<StreamInfo>,
  now: () => number,
): Promise<Finding> {
  const skews = [await skewOf(async () => (await info()).ts as unknown, now)];
  for (const url of nats.monitorUrls) {
    const asked = skewOf(async () => ((await monitor(url, '/varz')) as { now?: unknown }).now, now);
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
async function skewOf(ask: () => Promise<unknown>, now: () => number): Promise<number | undefined> {
  const before = now();
  const answer = await ask();
  const there = typeof answer === 'string' ? Date.parse(answer) : Number.NaN;
  return Number.isNaN(there) ? undefined : there - (before + now()) / 2;
}

export async function durability(config: Config, { monitorUrls }: Nats, copies: number): Promise<Finding> {
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

/** Whether each server whose monitoring endpoint is known calls itself well. */
export async function health({ monitorUrls }: Nats): Promise<Finding> {
  if (monitorUrls.length === 0) return ok('health', 'not asked: nats.monitorUrls is empty');
  const ill: string[] = [];
  for (const url of monitorUrls) {
    const illness = await lastingIllness(url).catch(() => undefined);
    if (illness !== undefined) ill.push(`${url} says: ${illness}`);
  }
  if (ill.length === 0) return ok('health', `${monitorUrls.length} server(s) call themselves well`);
  return fail('health', ill.join('; '), `On that server, ${HEAL_SERVER}.`);
}

/** Told as `disk full` where commits are refused by now, as `disk` before. */
export async function disk({ monitorUrls }: Nats, jsm: JetStreamManager): Promise<Finding> {
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
  const advice =
    'A full JetStream refuses commits: raise max_file_store or the account limit and restart the server, or add disk.';
  if (fullest >= FULL) return fail('disk full', detail, advice);
  return fullest >= NEARLY_FULL ? fail('disk', detail, advice) : ok('disk', detail);
}

export function replicas(settings: Config, { config, cluster }: StreamInfo): Finding {
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
