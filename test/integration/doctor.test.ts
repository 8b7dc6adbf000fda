import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/cli/doctor/checks.ts';
import { createDoctor, doctorCommand } from '../../src/cli/doctor.ts';
import { statusCommand } from '../../src/cli/status.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type EmbeddedServer, startEmbeddedServer } from '../../src/platform/nats-server/embedded.ts';
import { startService } from '../../src/service/start.ts';
import { startTestServer, type TestServer, testServerBinary } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { must } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import type { Variables } from '../support/service-process.ts';

const NO_SNAPSHOTS = { JETLEDGER_SNAPSHOTS__ENABLED: 'false' };
const IMPATIENT = { JETLEDGER_NATS__CONNECT_TIMEOUT_MS: '800' };
const YEAR_MS = 365 * 86_400_000;

/** Used, and sound. */
let shop: TestServer;
/** Empty and small. */
let empty: TestServer;
let switchedOff: TestServer;
let expired: TestServer;
let trusted: TestServer;
let embedded: EmbeddedServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-doctor-'));
  [shop, empty, switchedOff, expired, trusted, embedded] = await Promise.all([
    startTestServer({ extraConfig: { authorization: { users: USERS }, no_auth_user: 'full' } }),
    startTestServer({ extraConfig: { jetstream: { max_file_store: 4_000_000 } } }),
    startTestServer({ extraConfig: { jetstream: false } }),
    startWithCertificate('expired', Date.now() - 2 * YEAR_MS),
    startWithCertificate('trusted', Date.now()),
    startEmbedded(),
  ]);
  await useShop();
}, 60_000);
afterAll(async () => {
  embedded?.kill('SIGCONT');
  switchedOff?.signal('SIGCONT');
  const servers = [shop, empty, switchedOff, expired, trusted, embedded];
  await Promise.all(servers.map((server) => server?.stop()));
  await rm(folder, { recursive: true, force: true });
});

const USERS = [
  { user: 'full', password: 'full' },
  { user: 'weak', password: 'weak', permissions: { publish: { deny: ['jl.product.>'] } } },
  { user: 'blind', password: 'blind', permissions: { publish: { deny: ['$JS.API.>'] } } },
];
const as = (user: string): Variables => ({ JETLEDGER_NATS__USER: user, JETLEDGER_NATS__PASSWORD: user });

interface Certificate {
  readonly cert: string;
  readonly key: string;
}
/** What deploy/certificate.mjs exports, which is plain JavaScript. */
interface Certificates {
  makeAuthority(name: string): Certificate;
  makeServerCertificate(by: Certificate, hosts: string[], options: { now: number }): Certificate;
}

/** Leaves the authority in `<name>.ca`. @param now when the certificate is made, in milliseconds since the Unix epoch */
async function startWithCertificate(name: string, now: number): Promise<TestServer> {
  const made = (await import(new URL('../../deploy/certificate.mjs', import.meta.url).href)) as Certificates;
  const authority = made.makeAuthority('Doctor');
  const { cert, key } = made.makeServerCertificate(authority, ['127.0.0.1'], { now });
  const files = { ca: authority.cert, pem: cert, key };
  for (const [end, text] of Object.entries(files)) await writeFile(join(folder, `${name}.${end}`), text);
  const tls = { cert_file: join(folder, `${name}.pem`), key_file: join(folder, `${name}.key`) };
  const server = await startTestServer({ extraConfig: { tls } });
  return { ...server, url: server.url.replace('nats:', 'tls:') };
}

async function startEmbedded(): Promise<EmbeddedServer> {
  const binary = await testServerBinary();
  return startEmbeddedServer({ binary, dataDir: join(folder, 'embedded'), port: -1, syncAlways: false });
}

/** Lets a service of all roles make everything and fold something. */
async function useShop(): Promise<void> {
  expect((await runInProcess(shop, topologyCommand, ['apply'])).code).toBe(0);
  await withService({}, async (url) => {
    await must(201, url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' });
    await until('all is handled', async () => {
      const status = (await runInProcess(shop, statusCommand, ['--json'])).json();
      const { views, consumers } = status as Record<string, { lag: number }[]>;
      return [views, consumers].every((all) => all?.length && all.every(({ lag }) => lag === 0));
    });
  });
}

async function withService(variables: Variables, work: (url: string) => Promise<void>): Promise<void> {
  const env = {
    JETLEDGER_ENV: 'test',
    JETLEDGER_HTTP__PORT: '0',
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    NATS_URL: shop.url,
    ...variables,
  };
  const config = loadConfig({ env, dir: configDir(env) });
  const service = await startService(config, pino({ level: 'silent' }));
  try {
    await work(service.url);
  } finally {
    await service.stop();
  }
}

async function managed<T>(server: TestServer, work: (servers: Managed) => Promise<T>): Promise<T> {
  const connection = await connect({ servers: server.url });
  try {
    return await work({ jsm: await jetstreamManager(connection), js: jetstream(connection) });
  } finally {
    await connection.close();
  }
}
interface Managed {
  readonly jsm: Awaited<ReturnType<typeof jetstreamManager>>;
  readonly js: ReturnType<typeof jetstream>;
}

const findingsOf = async (...run: Parameters<typeof runInProcess>): Promise<readonly Finding[]> =>
  (await runInProcess(...run)).json().findings as Finding[];

/** One thing that is wrong, and the first line that the doctor has to say of it. */
interface Case {
  readonly wrong: string;
  readonly server: () => Pick<TestServer, 'url' | 'monitorUrl'>;
  readonly variables?: Variables;
  readonly plant?: () => Promise<unknown> | unknown;
  readonly mend?: () => Promise<unknown> | unknown;
  readonly doctor?: typeof doctorCommand;
  readonly first: RegExp;
  /** What is told as following from it. */
  readonly follows: readonly string[];
}

const STORED = ['views', 'consumers', 'timers'];
const BESIDE = ['keys of persons', 'personal data', 'foreign messages', 'topology'];
const LOG = ['e-mail key', ...BESIDE, 'answers', 'durability', 'replicas', 'clock', 'groups', ...STORED];

const cases: readonly Case[] = [
  {
    wrong: 'nobody listens',
    server: () => ({ ...shop, url: 'nats://127.0.0.1:1' }),
    first: /^server: NATS at .* \(connection refused\)\. Start it, or set NATS_URL/,
    follows: ['all that is stored'],
  },
  {
    wrong: 'the login is refused',
    server: () => shop,
    variables: { ...as('full'), JETLEDGER_NATS__PASSWORD: 'wrong' },
    first: /^server: .*authorization violation.* Log in by one of nats\.nkeySeedFile/i,
    follows: ['all that is stored'],
  },
  {
    wrong: 'the certificate has expired',
    server: () => expired,
    variables: {
      get JETLEDGER_NATS__TLS__CA_FILE() {
        return join(folder, 'expired.ca');
      },
    },
    first: /^server: .*certificate has expired\)\. Renew the certificate of the server and reload it/,
    follows: ['all that is stored'],
  },
  {
    wrong: 'the authority is not known',
    server: () => trusted,
    first: /^server: .*\. Name the authority that has signed its certificate: nats\.tls\.caFile/,
    follows: ['all that is stored'],
  },
  {
    wrong: 'the embedded server hangs',
    server: () => ({ url: '', monitorUrl: '' }),
    variables: {
      get JETLEDGER_NATS__EMBEDDED__DATA_DIR() {
        return join(folder, 'embedded');
      },
    },
    plant: () => embedded.kill('SIGSTOP'),
    mend: () => embedded.kill('SIGCONT'),
    first: /^server: the embedded server of .* \(process \d+\) runs and does not answer: .*kill -CONT \d+/,
    follows: ['all that is stored'],
  },
  {
    wrong: 'a server hangs',
    server: () => switchedOff,
    variables: IMPATIENT,
    plant: () => switchedOff.signal('SIGSTOP'),
    mend: () => switchedOff.signal('SIGCONT'),
    first: /^server: .*\(timeout\)\. Nothing answers there: restart a server that hangs/,
    follows: ['all that is stored'],
  },
  {
    wrong: 'JetStream is switched off',
    server: () => switchedOff,
    first: /^jetstream: JetStream is switched off on .* -> Switch it on in the NATS server's configuration/,
    follows: ['health', 'disk', 'servers', 'log', ...LOG],
  },
  {
    wrong: 'there is no topology',
    server: () => empty,
    variables: NO_SNAPSHOTS,
    first: /^log: there is no stream jetledger -> Run: jetledger topology apply$/,
    follows: LOG,
  },
  {
    wrong: 'the log has another name',
    server: () => shop,
    variables: { JETLEDGER_LOG__STREAM: 'ledger' },
    first:
      /^log: there is no stream ledger; the stream jetledger has its subjects -> Set log\.stream to jetledger/,
    follows: LOG,
  },
  {
    wrong: 'the e-mail key is another',
    server: () => shop,
    variables: { JETLEDGER_USERS__EMAIL_KEY: 'b2'.repeat(32) },
    first: /^e-mail key: The log jetledger was made with another e-mail key.* -> Set users\.emailKey/,
    follows: [...BESIDE, 'groups', ...STORED],
  },
  {
    wrong: 'processes.groups is not that of the log',
    server: () => shop,
    variables: { JETLEDGER_PROCESSES__GROUPS: '16' },
    first: /^groups: The consumer .* is shared in 4 groups .* Set processes\.groups to 4/,
    follows: STORED,
  },
  {
    wrong: 'log.replicas is more than there are servers',
    server: () => shop,
    variables: { JETLEDGER_LOG__REPLICAS: '3' },
    first: /^servers: log\.replicas is 3, and there is one server -> Set log\.replicas to 1/,
    follows: ['log', ...LOG],
  },
  {
    wrong: 'a permission is denied',
    server: () => shop,
    variables: as('weak'),
    first: /^permissions: the user weak may not append to product \(jl\.product\..* -> Allow the user weak/,
    follows: [],
  },
  {
    wrong: 'all of JetStream is denied',
    server: () => shop,
    variables: as('blind'),
    first: /^permissions: the user blind may not ask JetStream for limits \(\$JS\.API\.INFO\)/,
    follows: ['jetstream', 'health', 'disk', 'servers', 'log', ...LOG],
  },
  {
    wrong: 'the clock is off',
    server: () => shop,
    doctor: createDoctor(() => Date.now() + 60_000),
    first: /^clock: (59|60)\d{3} ms apart at the most, .* -> Let a time service \(NTP\) keep the clocks/,
    follows: [],
  },
  {
    wrong: 'the collector does not answer',
    server: () => shop,
    variables: { JETLEDGER_TRACING__ENABLED: 'true', JETLEDGER_TRACING__ENDPOINT: 'http://127.0.0.1:1' },
    first:
      /^collector: tracing\.endpoint http:\/\/127\.0\.0\.1:1 does not answer .* -> Start the collector, or/,
    follows: [],
  },
  {
    wrong: 'the disk is full',
    server: () => empty,
    variables: NO_SNAPSHOTS,
    plant: async () => {
      expect((await runInProcess(empty, topologyCommand, ['apply'], NO_SNAPSHOTS)).code).toBe(0);
      await fill(empty);
    },
    first:
      /^disk full: .* (9|10)\d\.\d % of the tightest limit -> A full JetStream refuses commits: raise max_file_store/,
    follows: STORED,
  },
  {
    wrong: 'the bucket of dead letters is lost',
    server: () => shop,
    plant: () => managed(shop, ({ jsm }) => jsm.streams.delete('KV_jl_parked')),
    mend: () => runInProcess(shop, topologyCommand, ['apply']),
    first: /^topology: bucket jl_parked \(.*\) -> Run: jetledger topology apply$/,
    follows: ['groups', ...STORED],
  },
  {
    wrong: "a view's bucket is lost",
    server: () => shop,
    plant: () => managed(shop, ({ jsm }) => jsm.streams.delete('KV_jl_users_v1')),
    first: /^view users: its bucket jl_users_v1 is gone -> Run: jetledger rebuild users$/,
    follows: [],
  },
];

/** Until a message of a hundredth of what there is does not fit any more. */
async function fill(server: TestServer): Promise<void> {
  await managed(server, async ({ jsm, js }) => {
    await jsm.streams.add({ name: 'filler', subjects: ['filler'] });
    const part = new Uint8Array(40_000);
    const failed = await (async () => {
      for (;;) await js.publish('filler', part);
    })().catch((error: unknown) => String(error));
    expect(failed).toMatch(/resources|storage/);
  });
}

describe('the first line of the doctor names the one cause and its cure', () => {
  it.each(cases)(
    'when $wrong',
    async ({ server, variables, plant, mend, doctor = doctorCommand, ...told }) => {
      await plant?.();
      try {
        const { code, text } = await runInProcess(server(), doctor, [], variables);
        const [first = ''] = text.split('\n');
        expect(first).toMatch(told.first);
        const root = first.slice(0, first.indexOf(':'));
        const lines = text.split('\n').filter((line) => /^(fail|skip) /.test(line));
        const failed = lines.filter((line) => line.startsWith('fail'));
        expect(failed.map((line) => line.slice(6).startsWith(root))).toEqual(failed.map(() => true));
        const follows = lines.filter((line) => line.startsWith('skip'));
        expect(follows.map((line) => line.slice(6, 30).trim())).toEqual(told.follows);
        expect(follows.filter((line) => !line.endsWith(` follows from ${root}`))).toEqual([]);
        expect(code).toBe(1);
      } finally {
        await mend?.();
      }
    },
  );
});

it('--fix rebuilds the view whose bucket was lost, and nothing is left to do', async () => {
  const { code, text } = await runInProcess(shop, doctorCommand, ['--fix']);
  expect(text).toMatch(/^done {2}jetledger rebuild users$/m);
  expect(text).toMatch(/^ok {4}view users /m);
  expect([code, text.match(/^fail.*/gm)]).toEqual([0, null]);
});

it('failures with one cure are told once', async () => {
  await withService({ JETLEDGER_SERVICE__ROLES: 'api' }, async (url) => {
    await must(201, url, 'POST', '/v1/users', { email: 'bob@example.com', name: 'Bob' });
  });
  const { text } = await runInProcess(shop, doctorCommand, []);
  expect(text).toMatch(/^fail {2}consumers +consumer .* 1 behind, .*; consumer .* 1 behind, /m);
  const cures = text.match(/^ +-> .*/gm) ?? [];
  expect(cures).toContainEqual(expect.stringContaining('Start a service with the role processes.'));
  expect(new Set(cures).size).toBe(cures.length);
});

it('--fix makes the topology, and only what is missing', async () => {
  await using fresh = await startTestServer();
  expect((await runInProcess(fresh, doctorCommand, ['--fix', '--json'])).json()).toMatchObject({
    ok: true,
    fixed: ['topology apply'],
  });
  expect((await runInProcess(fresh, doctorCommand, ['--fix', '--json'])).json()).toMatchObject({ fixed: [] });
});

it('a log that is gone is not made anew beside what was folded from it', async () => {
  await managed(shop, ({ jsm }) => jsm.streams.delete('jetledger'));
  const { code, text } = await runInProcess(shop, doctorCommand, ['--fix']);
  expect(text).toMatch(/^log: jetledger is not there, but .* are: .*restore a backup/);
  expect(code).toBe(1);
  expect(await findingsOf(shop, doctorCommand, ['--json'])).toContainEqual(
    expect.objectContaining({ check: 'views', level: 'skip', follows: 'log' }),
  );
});
