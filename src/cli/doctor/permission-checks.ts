import { jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { hasRole } from '../../platform/config/roles.ts';
import type { Config } from '../../platform/config/schema.ts';
import { bucketNames } from '../../processes/engine/buckets.ts';
import type { Nats } from '../open.ts';
import { type Finding, fail, ok, reasonOf } from './finding.ts';

const ANSWER_MS = 2_000;
const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';
/** No stream will ever have so many messages, so what expects it is refused, and nothing is stored. */
const NEVER = String(Number.MAX_SAFE_INTEGER);

interface Permission {
  readonly what: string;
  readonly subject: string;
  readonly try: (connection: NatsConnection) => Promise<unknown>;
}

/**
 * Tries a request for each thing that a process with the configured roles does, none of which changes data: writes carry
 * an expectation that cannot hold. An answer of any kind proves the permission; without one there is none.
 */
export async function permissionChecks(config: Config, { connection }: Nats): Promise<readonly Finding[]> {
  const { stream, prefix } = config.log;
  const reacts = hasRole(config, 'processes');
  const bucket = bucketNames(prefix).cursors;
  const api = (subject: string, payload: object, what: string): Permission => ({
    what,
    subject,
    try: (nc) => nc.request(subject, JSON.stringify(payload), { timeout: ANSWER_MS }),
  });
  const refusedWrite = (subject: string, what: string): Permission => ({
    what,
    subject,
    try: (nc) => {
      const impossible = headers();
      impossible.set(EXPECTED, NEVER);
      return nc.request(subject, '', { timeout: ANSWER_MS, headers: impossible });
    },
  });
  const found = await Promise.all(
    [
      api('$JS.API.INFO', {}, 'ask JetStream for limits'),
      api(`$JS.API.STREAM.INFO.${stream}`, {}, 'look at the log'),
      api(`$JS.API.STREAM.MSG.GET.${stream}`, { seq: 1 }, 'read the log through its leader'),
      api(`$JS.API.DIRECT.GET.${stream}`, { seq: 1 }, 'read the log from a replica'),
      ...(reacts || hasRole(config, 'api')
        ? [refusedWrite(`${prefix}.user.0.0.0.doctor`, 'append to the log')]
        : []),
      ...(reacts ? [refusedWrite(`$KV.${bucket}.doctor`, 'write to buckets')] : []),
      {
        what: 'follow the log',
        subject: `$JS.API.CONSUMER.CREATE.${stream}`,
        try: (nc: NatsConnection) => follow(nc, stream),
      },
    ].map(async (permission) => ({ permission, error: await errorOf(permission, connection) })),
  );
  const missing = found.filter(({ error }) => error !== undefined);
  if (missing.length === 0) return [ok('permissions', `all ${found.length} kinds of requests are answered`)];
  return missing.map(({ permission: { what, subject }, error }) =>
    fail(
      'permissions',
      `may not ${what} (${subject}): ${error}`,
      `Allow this user to publish to ${subject}.`,
    ),
  );
}

async function errorOf(permission: Permission, connection: NatsConnection): Promise<string | undefined> {
  try {
    await permission.try(connection);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** An ephemeral consumer, gone at once. */
async function follow(connection: NatsConnection, stream: string): Promise<void> {
  const jsm = await jetstreamManager(connection, { checkAPI: false, timeout: ANSWER_MS });
  const { name } = await jsm.consumers.add(stream, { mem_storage: true, num_replicas: 1 });
  await jsm.consumers.delete(stream, name).catch(() => undefined);
}
