import { headers, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { topologyCommand } from '../../src/cli/topology.ts';
import { until } from '../../src/testing/until.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import {
  type ConfigCopy,
  copyOfConfigs,
  makeSecrets,
  type NatsRole,
  type NatsSecrets,
  type SecuredServer,
  startSecuredServer,
  withUsersBefore,
} from '../support/secured-nats.ts';

/**
 * A server does not ask whether somebody may publish where an answer goes, where a consumer pushes to, where a stream
 * republishes or a trace is sent: it sends that itself. Here each role tries all of it, with all that could do harm.
 * The guard of the log is off, so that the accounts alone have to hold.
 */
type Role = Exclude<NatsRole, 'owner'>;
const ROLES = ['api', 'projector', 'processor', 'operator'] as const;
const LOG = 'JETLEDGER';
const VIEWS = 'JETLEDGER_PROJECTOR';
const PARKED = '$KV.jl_parked.doctor';

let secrets: NatsSecrets;
/** Of users in one account for all. */
let before: NatsSecrets;
let configs: ConfigCopy;
let server: SecuredServer;
/** What the messages hold that are sent astray: enough to delete, shorten and overwrite. */
let payloads: readonly string[];

beforeAll(async () => {
  secrets = await makeSecrets();
  before = (await makeSecrets()).withCertificatesOf(secrets);
  configs = await copyOfConfigs('--break-glass', '--before');
  server = await startSecuredServer('server.conf', withUsersBefore(secrets, before), { dir: configs.dir });
  expect((await runInProcess(server, topologyCommand, ['apply'], secrets.variablesOf('owner'))).code).toBe(0);
  const projector = await secrets.connectAs('projector', server);
  const view = { name: 'KV_jl_orders_v1', subjects: ['$KV.jl_orders_v1.>'], allow_direct: true };
  await projector.request(`$JS.API.STREAM.CREATE.${view.name}`, JSON.stringify(view));
  await projector.request('$KV.jl_orders_v1.row', 'a row');
  await projector.close();
  const config = configOf(await streams(LOG), 'jetledger');
  payloads = [
    ...['', '{}', '{"seq":1}', JSON.stringify({ ...config, max_msgs: 1, discard: 'old' })],
    JSON.stringify({ config, state: { messages: 0, first_seq: 1, last_seq: 0 } }),
    JSON.stringify({ deliver_subject: '$JS.API.STREAM.DELETE.jetledger' }),
  ];
  const api = await secrets.connectAs('api', server);
  for (const [index, payload] of payloads.entries()) await api.request(`jl.user.0.0.0.p${index}`, payload);
  await api.request('$KV.jl_engine.x', '{}');
  await api.close();
  const processor = await secrets.connectAs('processor', server);
  for (const subject of ['$KV.jl_cursors.x', PARKED, 'jln.welcome.x']) await processor.request(subject, '{}');
  await processor.close();
}, 60_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await configs?.[Symbol.asyncDispose]();
  await before?.[Symbol.asyncDispose]();
  await secrets?.[Symbol.asyncDispose]();
});

interface StreamDetail {
  readonly name: string;
  readonly config: object;
  readonly state: { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
}

/** What the server itself says that an account holds. */
async function streams(account: string): Promise<readonly StreamDetail[]> {
  const answer = await fetch(`${server.monitorUrl}/jsz?accounts=true&streams=true&config=true`);
  const { account_details: all } = (await answer.json()) as {
    account_details: readonly { readonly name: string; readonly stream_detail?: readonly StreamDetail[] }[];
  };
  return all.find(({ name }) => name === account)?.stream_detail ?? [];
}

const configOf = (all: readonly StreamDetail[], name: string) => all.find((one) => one.name === name)?.config;

/** Everything that counts, by stream. */
async function holdings(account: string): Promise<Record<string, unknown>> {
  return Object.fromEntries(
    (await streams(account)).map(({ name, config, state: { messages, first_seq, last_seq } }) => [
      name,
      { config, messages, first_seq, last_seq },
    ]),
  );
}

const TARGETS: readonly string[] = [
  ...['$JS.API', 'LOG.API', 'VIEWS.API'].flatMap((api) => [
    ...['DELETE', 'UPDATE', 'PURGE', 'MSG.DELETE', 'RESTORE', 'SNAPSHOT'].map(
      (call) => `${api}.STREAM.${call}.jetledger`,
    ),
    ...['jl-timers', 'jl-notifications', 'KV_jl_cursors', 'KV_jl_orders_v1'].map(
      (stream) => `${api}.STREAM.DELETE.${stream}`,
    ),
    `${api}.STREAM.PURGE.KV_jl_engine`,
    `${api}.STREAM.CREATE.mine`,
  ]),
  ...['jl.user.0.0.0.astray', 'jl.astray', '$KV.jl_cursors.astray', '$KV.jl_engine.x', PARKED],
  ...['$KV.jl_orders_v1.astray', '$KV.jl_views.orders', 'jlt.fire.payment.x', 'jln.welcome.astray'],
  ...['jlt.schedule.payment.x', '$JS.ACK.jl-timers.fired.1.1.1.1.1'],
];

/** Where a role may write by itself. */
const OWN: Readonly<Record<Role, readonly string[]>> = {
  api: ['jl.user.', '$KV.jl_engine.', '$KV.jl_parked.'],
  projector: [],
  processor: [
    'jl.user.',
    '$KV.jl_engine.',
    '$KV.jl_cursors.',
    '$KV.jl_parked.',
    'jlt.schedule.',
    'jln.',
    '$JS.ACK.',
  ],
  operator: ['$KV.jl_engine.', '$KV.jl_parked.'],
};

/** One request that answers with each payload, and others whose answer is what the server makes of it. */
function sendAstray(connection: NatsConnection, api: string, target: string, mayWrite: boolean): void {
  const ask = (call: string, request: object): void =>
    connection.publish(`${api}.${call}`, JSON.stringify(request), { reply: target });
  for (const index of payloads.keys())
    ask('DIRECT.GET.jetledger', { last_by_subj: `jl.user.0.0.0.p${index}` });
  ask('DIRECT.GET.jetledger', { next_by_subj: 'jl.>', seq: 1, batch: 10 });
  ask('DIRECT.GET.jetledger', { multi_last: ['jl.user.0.0.0.p0', 'jl.user.0.0.0.p1'] });
  ask('STREAM.MSG.GET.jetledger', { seq: 1 });
  ask('STREAM.INFO.jetledger', {});
  const impossible = headers();
  impossible.set('Nats-Expected-Last-Subject-Sequence', String(Number.MAX_SAFE_INTEGER));
  connection.publish(PARKED, '', { reply: target, headers: impossible });
  // Who may write there may have traces sent there.
  if (mayWrite) return;
  const traced = headers();
  traced.set('Nats-Trace-Dest', target);
  traced.set('Nats-Trace-Only', '1');
  connection.publish(`${api}.STREAM.INFO.jetledger`, '', { headers: traced });
  connection.publish(PARKED, '', { headers: traced });
}

/** Consumers whose messages go astray: pulled, pushed, and with the signs of life of a push. */
async function deliverAstray(connection: NatsConnection, api: string, target: string): Promise<void> {
  const create = async (config: object): Promise<string> => {
    const request = {
      stream_name: 'jetledger',
      config: { ack_policy: 'none', mem_storage: true, ...config },
    };
    const answer = await connection.request(`${api}.CONSUMER.CREATE.jetledger`, JSON.stringify(request));
    return answer.json<{ name?: string }>().name ?? '';
  };
  for (const filter of ['jl.user.0.0.0.p0', 'jl.user.0.0.0.p3']) {
    const name = await create({ filter_subject: filter });
    connection.publish(`${api}.CONSUMER.MSG.NEXT.jetledger.${name}`, '{"batch":5,"no_wait":true}', {
      reply: target,
    });
    await create({ filter_subject: filter, deliver_subject: target });
  }
  const alive = { idle_heartbeat: 100_000_000, flow_control: true };
  await create({ filter_subject: 'jl.none', deliver_subject: target, ...alive });
}

/** In its own account the projector may make streams: such as send, and such as fetch from the account of the log. */
async function makeAstray(connection: NatsConnection, target: string, index: number): Promise<void> {
  const create = (name: string, config: object) =>
    connection.request(
      `$JS.API.STREAM.CREATE.KV_jl_${name}${index}`,
      JSON.stringify({ name: `KV_jl_${name}${index}`, storage: 'memory', ...config }),
    );
  const subject = `$KV.jl_astray${index}.x`;
  const made = { subjects: [subject], republish: { src: subject, dest: target } };
  await create('astray', made);
  for (const payload of payloads) connection.publish(subject, payload);
  const external = { api: 'LOG.API', deliver: target };
  await create('source', { sources: [{ name: 'jetledger', external }] });
  await create('mirror', { mirror: { name: 'jl-notifications', external } });
}

/** Tries everything at every target, and waits until what could happen has happened. */
async function tryAll(connection: NatsConnection, role: Role, api: string): Promise<void> {
  for (const [index, target] of TARGETS.entries()) {
    sendAstray(
      connection,
      api,
      target,
      OWN[role].some((start) => target.startsWith(start)),
    );
    await deliverAstray(connection, api, target);
    if (role === 'projector') await makeAstray(connection, target, index);
  }
  await connection.flush();
  // A copy that goes astray begins two seconds after it was asked for.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
}

it.each(ROLES)(
  'no detour of the user %s changes what is kept in another account',
  async (role) => {
    const accounts = role === 'projector' ? [LOG] : [LOG, VIEWS];
    const kept = await Promise.all(accounts.map(holdings));
    expect(Object.keys(kept[0] ?? {})).toContain('jetledger');
    const connection = await secrets.connectAs(role, server);
    try {
      await tryAll(connection, role, 'LOG.API');
      expect(await Promise.all(accounts.map(holdings))).toEqual(kept);
    } finally {
      await connection.close();
    }
  },
  60_000,
);

it('in one account for all, as it was before, the same detours delete the log', async () => {
  const connection = await before.connectAs('api', server);
  try {
    expect(Object.keys(await holdings(LOG))).toContain('jetledger');
    for (const target of TARGETS) sendAstray(connection, '$JS.API', target, true);
    await connection.flush();
    await until('the log is gone', async () => !Object.hasOwn(await holdings(LOG), 'jetledger'), 5_000);
  } finally {
    await connection.close();
  }
}, 30_000);
