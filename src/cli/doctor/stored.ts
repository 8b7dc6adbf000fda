import type { JetStreamManager, StreamInfo } from '@nats-io/jetstream';
import {
  EventStoreError,
  isStreamMissing,
  type Log,
  logStreamProblems,
  numberOf,
  reasonOf,
} from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { NatsUnusable } from '../../platform/nats-connection.ts';
import { objectionToNewLog } from '../../platform/new-log.ts';
import { checkEmailKey, planTopology } from '../../platform/topology.ts';
import { checkGroups } from '../../processes/engine/index.ts';
import { readForeign } from '../../projections/engine/index.ts';
import { type Nats, newLogPrivacy } from '../../service/open.ts';
import { consumers } from '../../service/shop.ts';
import { plannedBuckets, streamsOf } from '../../service/topology.ts';
import { bucketsOf, ownStreams } from '../../service/with-nats.ts';
import { type Finding, fail, ok, warn } from './checks.ts';

const APPLY = 'Run: jetledger topology apply';

/** Whether the log is there, and could lose nothing. */
export async function logStream(config: Config, nats: Nats, jsm: JetStreamManager): Promise<Finding> {
  let stored: StreamInfo['config'];
  try {
    stored = (await jsm.streams.info(config.log.stream)).config;
  } catch (error) {
    if (!isStreamMissing(error)) throw error;
    return missingLog(config, nats, jsm);
  }
  const problems = logStreamProblems(stored, { ...config.log, replicas: stored.num_replicas });
  if (problems.length === 0) return ok('log', `the stream ${config.log.stream} can lose nothing`);
  return fail(
    'log',
    `the stream ${config.log.stream}: ${problems.join('; ')}`,
    'The service refuses it as its log: it could lose history. Restore a backup into a sound one.',
  );
}

async function missingLog(config: Config, nats: Nats, jsm: JetStreamManager): Promise<Finding> {
  const { stream, prefix } = config.log;
  const holder = await jsm.streams.find(`${prefix}.any`).catch(() => undefined);
  if (holder !== undefined) {
    const detail = `there is no stream ${stream}; the stream ${holder} has its subjects`;
    return fail('log', detail, `Set log.stream to ${holder} (JETLEDGER_LOG__STREAM=${holder}).`);
  }
  const { connection, requests, viewRequests, monitorUrls } = nats;
  const left = [
    ...new Set([...(await ownStreams(config, requests)), ...(await ownStreams(config, viewRequests))]),
  ];
  const objection = await objectionToNewLog({ connection, stream, left, monitorUrls, isNew: false });
  // It says what to do.
  if (objection !== undefined) return { check: 'log', level: 'fail', detail: objection };
  return { ...fail('log', `there is no stream ${stream}`, APPLY), fix: ['topology', 'apply'] };
}

const MOST_NAMED = 5;

/** Messages of somebody else on the log's subjects, as far as readers have met them: they are passed, and stay. */
export async function foreignMessages(config: Config, nats: Nats, log: Log): Promise<Finding> {
  const { prefix } = config.log;
  const { count, newest } = await readForeign(bucketsOf(config, nats.viewRequests), prefix, log.incarnation);
  if (count === 0) return ok('foreign messages', 'none was met');
  const named = newest
    .slice(-MOST_NAMED)
    .map(({ position, subject }) => `position ${numberOf(position)} on ${subject}`);
  const rest = count > named.length ? `, the newest of ${count}` : '';
  return warn(
    'foreign messages',
    `somebody else has written to the log: ${named.join(', ')}${rest}`,
    `Find out who may publish to ${prefix}.> besides JetLedger, and take that away. They are versions without events: ` +
      'nothing is to be repaired.',
  );
}

export function emailKey({ config }: StreamInfo, { emailKey: key }: Nats): Finding {
  try {
    checkEmailKey(config, key.check);
    return ok('e-mail key', 'the one that the log was made with');
  } catch (error) {
    if (!(error instanceof NatsUnusable)) throw error;
    const advice =
      'Set users.emailKey (JETLEDGER_USERS__EMAIL_KEY), or bring back email.key of the data folder.';
    return fail('e-mail key', reasonOf(error), advice);
  }
}

/** What stands beside the log. A service that starts makes missing buckets; in a log with commits one was lost. */
export async function topology(config: Config, nats: Nats, head: number): Promise<Finding> {
  const steps = await planTopology({
    requests: nats.requests,
    log: config.log,
    emailKeyCheck: nats.emailKey.check,
    privacy: newLogPrivacy(config, nats),
    streams: streamsOf(config),
    buckets: plannedBuckets(config, await ownStreams(config, nats.requests)),
    monitorUrls: nats.monitorUrls,
  });
  const open = steps.filter(({ action }) => action !== 'none');
  if (open.length === 0) return ok('topology', `${steps.length} streams and buckets are as configured`);
  const detail = open.map(({ what, detail: how }) => `${what} (${how})`).join('; ');
  // Its detail says how to renew the bucket.
  if (open.some(({ action }) => action === 'refuse'))
    return fail('topology', detail, 'Look at it: jetledger topology plan');
  const heals = head === 0 && open.every(({ what }) => what.startsWith('bucket'));
  const finding = heals
    ? warn('topology', detail, `${APPLY}. A service that starts makes missing ones by itself.`)
    : fail('topology', detail, APPLY);
  return { ...finding, fix: ['topology', 'apply'] };
}

/** The number of groups is fixed by the first start of a consumer. */
export async function groups(config: Config, nats: Nats): Promise<Finding> {
  const count = config.processes.groups;
  const shared = { buckets: bucketsOf(config, nats.requests), prefix: config.log.prefix };
  try {
    await checkGroups(shared, consumers, count);
    return ok('groups', `processes.groups is ${count}, as the consumers are shared`);
  } catch (error) {
    if (!(error instanceof EventStoreError) || error.code !== 'engine/groups-differ') throw error;
    // Its message says which number to set.
    return { check: 'groups', level: 'fail', detail: error.message };
  }
}
