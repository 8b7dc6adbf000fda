import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager, PersistMode, StorageType } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, nkeys } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import type { Command } from '../../src/cli/command.ts';
import { consumersCommand } from '../../src/cli/consumers.ts';
import { skipCommand } from '../../src/cli/damage/skip.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { inspectCommand } from '../../src/cli/inspect.ts';
import { parkedCommand } from '../../src/cli/parked.ts';
import { rebuildCommand } from '../../src/cli/rebuild.ts';
import { statusCommand } from '../../src/cli/status.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type Service, startService } from '../../src/service/start.ts';
import { until } from '../../src/testing/until.ts';
import { type OpenApi, routesOf } from '../api/document.ts';
import { must, since } from '../e2e/client.ts';
import { openShop, type Shop, showShop } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import {
  makeSecrets,
  type NatsRole,
  type NatsSecrets,
  type SecuredServer,
  startSecuredServer,
} from '../support/secured-nats.ts';

const PATIENCE_MS = 15_000;
const PUBLISHED = { JETLEDGER_PUBLIC_EVENTS__CONTEXTS: 'orders=forever, users=30d' };
const ROLES = { api: 'api', projector: 'projections', processor: 'processes' } as const;

let secrets: NatsSecrets;
let server: SecuredServer;
let folder: string;
const services = new Map<string, Service>();
const troubles: string[] = [];
let shop: Shop;

beforeAll(async () => {
  secrets = await makeSecrets();
  server = await startSecuredServer('server.conf', secrets);
  folder = await mkdtemp(join(tmpdir(), 'jetledger-roles-'));
});
afterAll(async () => {
  for (const service of services.values()) await service.stop();
  await server?.[Symbol.asyncDispose]();
  await secrets?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const as = (role: NatsRole, command: Command, ...args: string[]) =>
  runInProcess(server, command, args, { ...secrets.variablesOf(role), ...PUBLISHED });

/** What the server had to refuse so far. */
async function violations(): Promise<string[]> {
  return (await server.log()).split('\n').filter((line) => /violation/i.test(line));
}

async function startRole(role: keyof typeof ROLES): Promise<string> {
  const env = {
    JETLEDGER_ENV: 'test',
    JETLEDGER_SERVICE__ROLES: ROLES[role],
    JETLEDGER_LOG__DURABILITY: 'always',
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    JETLEDGER_WEBHOOKS__TARGETS: 'loopback',
    NATS_URL: server.url,
    JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl,
    ...secrets.variablesOf(role),
    ...PUBLISHED,
  };
  // Tests may do without tokens, and are told so.
  const lines = {
    write: (line: string) => void (/AUTHENTICATION/.test(line) || troubles.push(`${role}: ${line}`)),
  };
  const config = loadConfig({ env, dir: configDir(env) });
  const service = await startService(config, pino({ level: 'warn' }, lines));
  services.set(role, service);
  return service.url;
}

const connectAs = (role: NatsRole) => secrets.connectAs(role, server);

/** The order until its confirmation, and its customer. */
async function arePublished(): Promise<boolean> {
  const owner = await connectAs('owner');
  const { streams } = await jetstreamManager(owner);
  const told = async (name: string) => (await streams.info(name)).state.messages;
  const counts = [
    await told('jl-public-orders-v1'),
    await told('jl-public-users-v1'),
    await told('KV_jl_published'),
  ];
  await owner.close();
  return String(counts) === '3,1,1';
}

describe('with the users of configs/nats, over TLS', () => {
  it('each role does its work, and is refused nothing', async () => {
    expect(await as('owner', topologyCommand, 'apply', '--json')).toMatchObject({ code: 0 });
    const [url] = await Promise.all([startRole('api'), startRole('projector'), startRole('processor')]);
    shop = await openShop(url, 'roles');
    const order = `/v1/orders/${shop.orderId}`;
    await until(
      'the order is confirmed',
      async () =>
        (await must(200, url, 'GET', `${order}?consistency=strong`)).field('status') === 'confirmed',
      PATIENCE_MS,
    );
    await showShop(url, shop);
    await until('others are told of it', arePublished, PATIENCE_MS);
    for (const path of [`${order}/events`, '/v1/orders?status=confirmed', '/v1/admin/parked', '/metrics']) {
      const answer = await fetch(`${url}${path}`);
      expect([path, answer.status]).toEqual([path, 200]);
      await answer.body?.cancel();
    }
    await followOrder(url);
    await must(200, url, 'POST', '/v1/admin/consumers/order-process/pause');
    expect((await as('operator', consumersCommand, 'resume', 'order-process')).code).toBe(0);
    for (const role of services.values()) {
      await isReady(role.url);
      expect((await fetch(`${role.url}/metrics`)).status).toBe(200);
    }
    expect([await violations(), troubles]).toEqual([[], []]);
  }, 60_000);

  it('the list of tries is made anew where it has become another one, and everybody goes on with it', async () => {
    const owner = await connectAs('owner');
    const { streams } = await jetstreamManager(owner);
    const { config } = await streams.info('jl-webhooks');
    await streams.delete('jl-webhooks');
    await streams.add({ ...config, storage: StorageType.Memory, persist_mode: PersistMode.Default });
    expect(await as('owner', topologyCommand, 'apply', '--json')).toMatchObject({ code: 0 });
    expect((await streams.info('jl-webhooks')).config.storage).toBe(StorageType.File);
    await owner.close();
    expect([await violations(), troubles]).toEqual([[], []]);
  }, 60_000);

  it('a person is forgotten by three roles together, each of which is refused nothing', async () => {
    const url = services.get('api')?.url ?? '';
    const created = await must(201, url, 'POST', '/v1/users', { email: 'eve@example.com', name: 'Eve' });
    const path = `/v1/users/${created.field('id')}`;
    await must(202, url, 'DELETE', path);
    const isDone = async () => (await must(200, url, 'GET', `${path}/forgetting`)).field('status') === 'done';
    await until('the person is forgotten', isDone, PATIENCE_MS);
    expect([await violations(), troubles]).toEqual([[], []]);
  }, 60_000);

  it('operators look, copy and compare, and the projector rebuilds; they are refused nothing', async () => {
    const copy = join(folder, 'copy');
    const runs: [NatsRole, Command, ...string[]][] = [
      ['operator', topologyCommand, 'plan'],
      ['operator', statusCommand],
      ['operator', inspectCommand, 'order', shop.orderId],
      ['operator', parkedCommand, 'list'],
      ['operator', consumersCommand, 'status'],
      // The claim of an address, which no view reads.
      ['operator', skipCommand, '1', '--reason', 'to try it'],
      ['operator', skipCommand, '1', '--undo', '--reason', 'tried'],
      ['owner', backupCommand, copy],
      ['operator', verifyCommand, copy, '--live'],
      ['projector', rebuildCommand, 'orders'],
    ];
    for (const [role, command, ...args] of runs) {
      const { code, text } = await as(role, command, ...args);
      expect([command.name, code, text]).toEqual([command.name, 0, text]);
    }
    const url = services.get('api')?.url ?? '';
    await must(200, url, 'GET', `/v1/orders/${shop.orderId}`, undefined, since(shop.last));
    const { body } = await must(200, url, 'GET', '/v1/admin/backups');
    expect(body).toMatchObject({ taken: { streams: expect.any(Number) }, proved: { ok: true } });
    expect([await violations(), troubles]).toEqual([[], []]);
  }, 60_000);

  it('the console shows and does all that it can as the user of the API; the server refuses nothing', async () => {
    const url = services.get('api')?.url ?? '';
    const page = await (await fetch(`${url}/openapi.json`)).json();
    const reads = routesOf(page as OpenApi)
      .filter(({ method, path }) => method === 'GET' && /^\/v1\/admin\/[^{]*$/.test(path))
      .filter(({ operation }) => operation.responses['200']?.content?.['text/event-stream'] === undefined)
      .map(({ path }) => path);
    expect(reads.length).toBeGreaterThan(10);
    for (const path of [...reads, `/v1/admin/aggregates/order/${shop.orderId}`])
      await must(200, url, 'GET', path);
    await must(200, url, 'POST', '/v1/admin/aggregates/find', { text: shop.email });
    const webhook = await must(201, url, 'POST', '/v1/webhooks', {
      url: 'https://127.0.0.1:9/',
      types: ['*'],
    });
    await must(200, url, 'POST', `/v1/webhooks/${webhook.field('id')}/test`);
    for (const action of ['pause', 'resume'])
      await must(200, url, 'POST', `/v1/admin/consumers/stock-watch/${action}`, { reason: 'to try it' });
    const asked = await must(202, url, 'POST', '/v1/admin/views/users/rebuild', { reason: 'to try it' });
    const request = `/v1/admin/requests/${asked.field('id')}`;
    await until(
      'the projector has rebuilt it',
      async () => (await must(200, url, 'GET', request)).field('state') === 'done',
      PATIENCE_MS,
    );
    const shown = async () =>
      (await must(200, url, 'GET', '/v1/admin/webhooks')).field('items') as {
        lastTry?: { taken: boolean };
      }[];
    await until('the test was tried', async () => (await shown())[0]?.lastTry?.taken === false, PATIENCE_MS);
    expect(await sectionsOf(`${url}/v1/admin/live`, 'situation', 'timers', 'outgoing', 'backups')).toBe(true);
    expect(await sectionsOf(`${url}/v1/admin/log?last=1`, 'commit')).toBe(true);
    const told = (await must(200, url, 'GET', '/v1/admin/configuration')).field('instances');
    expect(told).toHaveLength(3);
    expect([await violations(), troubles]).toEqual([[], []]);
  }, 60_000);

  it('the doctor finds in every role what that role may', async () => {
    const cases = [...Object.entries(ROLES), ['operator', 'projections']] as [NatsRole, string][];
    for (const [role, roles] of cases) {
      const variables = { ...secrets.variablesOf(role), JETLEDGER_SERVICE__ROLES: roles };
      const { json } = await runInProcess(server, doctorCommand, ['--json'], variables);
      const findings = json().findings as { check: string; level: string; detail: string }[];
      const permissions = findings.filter(({ check }) => check === 'permissions');
      expect([role, permissions.map(({ level }) => level)]).toEqual([role, ['ok']]);
    }
  });
});

/** Whether a live stream tells of all these. */
async function sectionsOf(url: string, ...wanted: string[]): Promise<boolean> {
  const abort = new AbortController();
  const { body } = await fetch(url, { signal: abort.signal });
  const missing = new Set(wanted);
  for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    for (const [, name = ''] of text.matchAll(/^event: (.*)$/gm)) missing.delete(name);
    if (missing.size === 0) break;
  }
  abort.abort();
  return missing.size === 0;
}

/** A live stream, which reads the log by a consumer of its own. */
async function followOrder(url: string): Promise<void> {
  const abort = new AbortController();
  const stream = await fetch(`${url}/v1/orders/${shop.orderId}/stream`, { signal: abort.signal });
  const first = await stream.body?.getReader().read();
  expect([stream.status, first?.done]).toEqual([200, false]);
  abort.abort();
}

async function isReady(url: string): Promise<void> {
  await until('it is ready', async () => (await fetch(`${url}/health/ready`)).ok, PATIENCE_MS);
}

/** JetStream in the account of the log, and what a client without settings would ask. */
const APIS = ['LOG.API', '$JS.API'];
const calls = (...names: readonly string[]): string[] =>
  APIS.flatMap((api) => names.map((name) => `${api}.${name}`));

/** What nobody may do, whatever it is for. */
const AGAINST_THE_LOG = [
  ...calls(
    ...['DELETE', 'PURGE', 'UPDATE', 'CREATE', 'RESTORE', 'SNAPSHOT', 'MSG.DELETE', 'LEADER.STEPDOWN'].map(
      (call) => `STREAM.${call}.jetledger`,
    ),
    ...['STREAM.PEER.REMOVE.jetledger', 'META.LEADER.STEPDOWN', 'ACCOUNT.PURGE.JETLEDGER'],
    ...['STREAM.RESTORE.jl-timers', 'STREAM.SNAPSHOT.KV_jl_cursors', 'STREAM.MSG.DELETE.KV_jl_cursors'],
    ...['STREAM.DELETE.KV_jl_cursors', 'STREAM.PURGE.KV_jl_engine', 'STREAM.UPDATE.KV_jl_engine'],
  ),
  '$JS.SNAPSHOT.ACK.jetledger.x',
  // Nothing in the log has another shape than that of an aggregate.
  ...['jl.other', 'jl.other.0.0.0.x.more', 'elsewhere', 'JETLEDGER.GUARD.STREAM.DELETE.jetledger'],
];
const APPEND = ['user', 'email', 'product', 'order'].map((category) => `jl.${category}.0.0.0.x`);
const MARKS = 'jl.marks';
const TIMERS = ['jlt.schedule.payment.x', 'jlt.fire.payment.x', ...calls('STREAM.PURGE.jl-timers')];
/** To persons and to others, and how far that is. */
const TELL = [
  ...[
    'jln.welcome.x',
    'jlw.x.taken.1',
    'pub.orders.v1.0.x',
    '$KV.jl_deliveries.receiver.x',
    '$KV.jl_published.x',
  ],
  ...calls(
    'STREAM.PURGE.jl-webhooks',
    'STREAM.DELETE.jl-webhooks',
    'CONSUMER.CREATE.jl-public-orders-v1.mine',
  ),
];
const VIEWS = ['$KV.jl_orders_v1.x', '$KV.jl_views.orders', '$KV.jl_members.x'];
const PLACES = ['$KV.jl_cursors.x'];
const LEDGER = ['$KV.jl_payments.x'];
const SNAPSHOTS = ['$KV.jl_snapshots.x'];
/** Of persons: who makes one could also destroy it. */
const KEYS = ['$KV.jl_keys.x'];
const steal = (api: string): string[] =>
  ['jl-timers', 'jl-notifications'].flatMap((stream) => [
    `${api}.CONSUMER.CREATE.${stream}.mine`,
    `${api}.CONSUMER.MSG.NEXT.${stream}.fired`,
    `${api}.CONSUMER.DELETE.${stream}.fired`,
    `$JS.ACK.${stream}.fired.1.1.1.1.1`,
  ]);
const STEAL = APIS.flatMap(steal);
/** Streams are made and dropped by the projector, in its own account. */
const MAKE = ['LOG.API', 'VIEWS.API', '$JS.API'].flatMap((api) =>
  ['CREATE.mine', 'CREATE.KV_jl_orders_v9', 'UPDATE.KV_jl_orders_v1', 'DELETE.KV_jl_orders_v1'].map(
    (call) => `${api}.STREAM.${call}`,
  ),
);
const PARKED = ['$KV.jl_parked.x', '$KV.jl_engine.x'];

type Role = Exclude<NatsRole, 'owner'>;
const FORBIDDEN: Readonly<Record<Role, readonly string[]>> = {
  api: [MARKS, ...TIMERS, ...TELL, ...VIEWS, ...PLACES, ...LEDGER, ...STEAL, ...MAKE],
  projector: [
    ...[MARKS, ...APPEND, ...TIMERS, ...TELL, ...PLACES, ...LEDGER, ...SNAPSHOTS, ...PARKED, ...KEYS],
    ...steal('LOG.API'),
    ...MAKE.filter((subject) => !subject.startsWith('$JS.API')),
    '$JS.API.STREAM.DELETE.KV_jl_views',
  ],
  processor: [
    ...[
      MARKS,
      ...VIEWS,
      ...MAKE,
      ...KEYS,
      'jlt.fire.payment.x',
      ...calls('STREAM.PURGE.jl-notifications', 'STREAM.NAMES'),
    ],
    ...calls('CONSUMER.DELETE.jl-timers.fired'),
  ],
  operator: [
    ...APPEND,
    ...TIMERS,
    ...TELL,
    ...VIEWS,
    ...PLACES,
    ...LEDGER,
    ...SNAPSHOTS,
    ...KEYS,
    ...STEAL,
    ...MAKE,
  ],
};

it('nothing that topology apply makes in the account of the log has a name that the projector could give', async () => {
  const { text } = await as('owner', topologyCommand, 'plan', '--json');
  const names = (JSON.parse(text) as { what: string }[]).map(({ what }) => what);
  const streams = names.map((what) => what.replace(/^bucket /, 'KV_').replace(/^(log|stream) /, ''));
  expect(streams).toEqual(
    expect.arrayContaining(['jetledger', 'jl-webhooks', 'jl-public-orders-v1', 'KV_jl_deliveries']),
  );
  const projector = await connectAs('projector');
  for (const name of streams) {
    const refused = await projector.request(`$JS.API.STREAM.CREATE.${name}`, '{}').then(
      () => 'answered',
      (error: Error) => error.message,
    );
    expect([name, refused]).toEqual([name, expect.stringMatching(/permissions violation/i)]);
  }
  await projector.close();
}, 60_000);

describe.each(Object.keys(FORBIDDEN) as Role[])('the user %s', (role) => {
  it('is refused, at once, what is another one’s work, and everything that could shorten the log', async () => {
    const connection = await connectAs(role);
    try {
      for (const subject of [...AGAINST_THE_LOG, ...FORBIDDEN[role]]) {
        const answer = await connection.request(subject, '{}', { timeout: 5_000 }).then(
          () => 'answered',
          (error: Error) => error.message,
        );
        expect([subject, answer]).toEqual([subject, expect.stringMatching(/permissions violation/i)]);
      }
    } finally {
      await connection.close();
    }
  });

  it('hears nothing but its own replies', async () => {
    const connection = await connectAs(role);
    try {
      const others = (['api', 'projector', 'processor', 'operator', 'owner'] as const).filter(
        (name) => name !== role,
      );
      const subjects = ['>', '_INBOX.>', 'jl.>', '$JS.EVENT.>', ...others.map((name) => `_INBOX_${name}.>`)];
      for (const subject of subjects) {
        const refused = new Promise<string>((resolve) => {
          connection.subscribe(subject, { callback: (error) => resolve(error?.message ?? 'a message came') });
        });
        await connection.flush();
        expect([subject, await refused]).toEqual([subject, expect.stringMatching(/permissions violation/i)]);
      }
    } finally {
      await connection.close();
    }
  });
});

it('nobody gets in without a key, without a known key, or without TLS', async () => {
  const tls = { caFile: join(secrets.folder, 'ca.pem') };
  const stranger = nkeyAuthenticator(nkeys.createUser().getSeed());
  const once = { servers: server.url, reconnect: false, timeout: 3_000 };
  await expect(connect({ ...once, tls })).rejects.toThrow(/authorization/i);
  await expect(connect({ ...once, tls, authenticator: stranger })).rejects.toThrow(/authorization/i);
  await expect(connect({ ...once, authenticator: stranger })).rejects.toThrow(/certificate|self.signed/i);
});
