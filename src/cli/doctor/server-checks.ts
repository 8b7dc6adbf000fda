import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { Config } from '../../platform/config/schema.ts';
import { durabilityProblem, readSyncEvidence } from '../../platform/durability.ts';
import { isAtLeast, MINIMUM_VERSION } from '../../platform/nats-server/version.ts';
import { size } from '../format.ts';
import type { Nats } from '../open.ts';
import { type Finding, fail, guarded, ok, warn } from './finding.ts';

const SKEW_WARN_MS = 1_000;
const SKEW_FAIL_MS = 10_000;
const SLOW_MS = 250;
const FULL_WARN = 0.8;
const FULL_FAIL = 0.95;
const MONITOR_MS = 1_500;

/** What is to be said of the NATS server itself. */
export async function serverChecks(config: Config, nats: Nats): Promise<readonly Finding[]> {
  const jsm = await jetstreamManager(nats.connection, { checkAPI: false });
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
  return config.environment === 'production'
    ? fail('durability', found, problem)
    : warn('durability', found, problem);
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

async function replicas({ log, environment }: Config, jsm: JetStreamManager): Promise<Finding> {
  const { config, cluster } = await jsm.streams.info(log.stream);
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
  if (config.num_replicas === 1 && environment === 'production') {
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
