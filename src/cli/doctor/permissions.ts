import { headers } from '@nats-io/transport-node';
import { managerOf, PermissionDenied, type Requests, reasonOf } from '../../eventstore/index.ts';
import { type Config, hasRole } from '../../platform/config/schema.ts';
import { deliveryBucket } from '../../processes/delivery/worker.ts';
import { bucketNames, publicSubject } from '../../processes/engine/index.ts';
import type { Nats } from '../../service/open.ts';
import { publishedContracts } from '../../service/public-events.ts';
import { categories } from '../../service/shop.ts';
import { type Finding, fail, isDenial, ok } from './checks.ts';

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

/** What became of a probe. */
interface Probed {
  readonly what: string;
  readonly subject: string;
  readonly denied?: string;
  readonly unanswered?: string;
}

/**
 * Tries a request for each thing that a process with the configured roles does, none of which changes data: writes carry
 * an expectation that cannot hold. An answer of any kind proves the permission.
 */
export function probeAll(config: Config, { requests, viewRequests }: Nats): Promise<readonly Probed[]> {
  return Promise.all(
    probes(config, requests.apiPrefix, viewRequests.apiPrefix).map(
      async ({ what, subject, try: ask }): Promise<Probed> => {
        try {
          const unanswered = await ask(requests);
          return { what, subject, ...(unanswered !== undefined && { unanswered }) };
        } catch (error) {
          return { what, subject, [isDenial(error) ? 'denied' : 'unanswered']: reasonOf(error) };
        }
      },
    ),
  );
}

/** What NATS denies to this user. */
export function permissionFindings(probed: readonly Probed[], { requests }: Nats): readonly Finding[] {
  const user = requests.user ?? 'this user';
  const denied = probed.filter((probe) => probe.denied !== undefined);
  if (denied.length === 0)
    return [ok('permissions', `${probed.length} kinds of requests, and none is denied`)];
  return denied.map(({ what, subject, denied: reason }) =>
    fail(
      'permissions',
      `${user} may not ${what} (${subject}): ${reason}`,
      `Allow ${user} to publish to ${subject} (permissions in the NATS server's configuration), and reload it.`,
    ),
  );
}

/** What nobody answers, though the log is there. */
export function answerFindings(probed: readonly Probed[]): readonly Finding[] {
  const silent = probed.filter(({ unanswered }) => unanswered !== undefined);
  if (silent.length === 0) return [ok('answers', 'the log and its buckets answer')];
  const [{ what, subject, unanswered } = { what: '', subject: '', unanswered: '' }] = silent;
  const others = silent.length === 1 ? '' : `, and to ${silent.length - 1} more kinds`;
  return [
    fail(
      'answers',
      `nobody answers a request to ${what} (${subject}): ${unanswered}${others}`,
      'The stream has no leader, or its server is overloaded: bring back the servers that are away.',
    ),
  ];
}

function probes(config: Config, api: string, viewsApi: string): readonly Probe[] {
  const { stream, prefix } = config.log;
  const reacts = hasRole(config, 'processes');
  const appends = reacts || hasRole(config, 'api') ? categories : [];
  return [
    question(`${api}.INFO`, {}, 'ask JetStream for limits'),
    question(`${api}.STREAM.INFO.${stream}`, {}, 'look at the log'),
    question(`${api}.STREAM.MSG.GET.${stream}`, { seq: 1 }, 'read the log through its leader'),
    question(`${api}.DIRECT.GET.${stream}`, { seq: 1 }, 'read the log from a replica'),
    question(`${viewsApi}.STREAM.INFO.KV_${prefix}_views`, {}, 'look at the views'),
    ...appends.map((category) => refusedWrite(`${prefix}.${category}.0.0.0.doctor`, `append to ${category}`)),
    ...(reacts ? publishedContracts(config) : []).map(({ contract }) =>
      refusedWrite(publicSubject(contract, 'doctor'), `publish ${contract.context}`),
    ),
    ...(reacts ? outgoing(prefix) : []),
    {
      what: 'follow the log',
      subject: `${api}.CONSUMER.CREATE.${stream}`,
      try: (requests) => follow(requests, stream),
    },
  ];
}

/** What whoever reacts writes besides events; each has come with a version, and an older configuration lacks it. */
function outgoing(prefix: string): readonly Probe[] {
  return [
    refusedWrite(`$KV.${bucketNames(prefix).cursors}.doctor`, 'write to buckets'),
    ...[
      refusedWrite(`$KV.${deliveryBucket(prefix)}.doctor`, 'keep how far webhooks and notifications are'),
      refusedWrite(`${prefix}n.doctor.doctor`, 'send notifications'),
      refusedWrite(`${prefix}w.doctor.taken.0`, 'keep tries of webhooks and notifications'),
    ].map(perhapsMissing),
  ];
}

/** Of what is made with the next start: that there is nobody to answer is an answer of the server, too. */
function perhapsMissing(probe: Probe): Probe {
  const ask = async (requests: Requests): Promise<string | undefined> => {
    const unanswered = await probe.try(requests);
    return unanswered === 'no-responders' ? undefined : unanswered;
  };
  return { ...probe, try: ask };
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
