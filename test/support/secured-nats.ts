import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import { waitUntilReady } from '../../src/platform/nats-server/launch.ts';
import { spawnGuarded } from '../../src/platform/nats-server/process.ts';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import type { Variables } from './service-process.ts';

/** The users of configs/nats/users.conf. */
export type NatsRole = 'api' | 'projector' | 'processor' | 'operator' | 'owner';

/** A partner that `npm run nats:users` was told of. */
export type NatsPartner = 'acme' | 'umbrella';

/** Keys and certificates, made by the script that operators use. */
export interface NatsSecrets extends AsyncDisposable {
  readonly folder: string;
  /** For nats-server: certificates and public keys. */
  readonly serverVariables: Variables;
  /** For a process of the service that logs in as a role. */
  variablesOf(role: NatsRole | NatsPartner): Variables;
  /** A client of its own, as a role. */
  connectAs(role: NatsRole | NatsPartner, server: Pick<SecuredServer, 'url'>): Promise<NatsConnection>;
  /** The same server, with other users. */
  withCertificatesOf(other: NatsSecrets): NatsSecrets;
}

/** A server that runs with a file of configs/nats. */
export interface SecuredServer extends AsyncDisposable {
  /** `tls://127.0.0.1:port` */
  readonly url: string;
  readonly monitorUrl: string;
  /** What the server has written so far. */
  log(): Promise<string>;
  /** Makes the server read its configuration again; resolves when it has. */
  reload(): Promise<void>;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The configurations as they are delivered. */
export const NATS_CONFIGS = join(ROOT, 'configs/nats');
const READY_MS = 20_000;

/** Runs `npm run nats:users` into a temporary folder. */
export async function makeSecrets(...options: readonly string[]): Promise<NatsSecrets> {
  const parent = await mkdtemp(join(tmpdir(), 'jetledger-secrets-'));
  const folder = join(parent, 'nats');
  const made = spawnSync(process.execPath, [join(ROOT, 'deploy/nats-users.mjs'), folder, ...options], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`no keys were made: ${made.stderr}`);
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const keys = pairsOf(read('users.env'));
  const secretsWith = (certificates: string): NatsSecrets => ({
    folder,
    serverVariables: {
      ...keys,
      NATS_TLS_CERT: join(certificates, 'server.pem'),
      NATS_TLS_KEY: join(certificates, 'server.key'),
      NATS_TLS_CA: join(certificates, 'ca.pem'),
      NATS_JETSTREAM_KEY: '5e'.repeat(32),
      NATS_MAX_FILE_STORE: '10GB',
      NATS_MONITOR: '127.0.0.1:-1',
    },
    variablesOf: (role) => ({
      ...pairsOf(read(`${role}.env`)),
      JETLEDGER_NATS__TLS__CA_FILE: join(certificates, 'ca.pem'),
    }),
    connectAs: (role, server) =>
      connect({
        servers: server.url,
        authenticator: nkeyAuthenticator(Buffer.from(read(`${role}.nk`).trim())),
        tls: { caFile: join(certificates, 'ca.pem') },
        inboxPrefix: `_INBOX_${role}`,
        reconnect: false,
      }),
    withCertificatesOf: (other) => secretsWith(other.folder),
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  });
  return secretsWith(folder);
}

/** For a server whose users.conf has the users of before as well (`--before`). */
export function withUsersBefore(
  secrets: NatsSecrets,
  before: NatsSecrets,
): Pick<NatsSecrets, 'serverVariables'> {
  const old = Object.entries(before.serverVariables).filter(([name]) => name.startsWith('JETLEDGER_NKEY_'));
  const renamed = old.map(([name, key]) => [name.replace('NKEY_', 'NKEY_BEFORE_'), key]);
  return { serverVariables: { ...secrets.serverVariables, ...Object.fromEntries(renamed) } };
}

/** The variables of a file that a shell reads. */
function pairsOf(text: string): Variables {
  return Object.fromEntries(
    [...text.matchAll(/^(\w+)='?(.*?)'?$/gm)].map(([, name, value]) => [name, value]),
  );
}

/**
 * A copy of configs/nats whose users.conf is made anew, as operators make it.
 * @param options of `npm run nats:users -- --config`
 */
export async function copyOfConfigs(...options: readonly string[]): Promise<ConfigCopy> {
  const dir = await mkdtemp(join(tmpdir(), 'jetledger-configs-'));
  await cp(NATS_CONFIGS, dir, { recursive: true });
  const make = (...given: readonly string[]): void => {
    const args = [join(ROOT, 'deploy/nats-users.mjs'), '--config', '--to', join(dir, 'users.conf'), ...given];
    const made = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`no users.conf was made: ${made.stderr}`);
  };
  make(...options);
  return { dir, make, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

export interface ConfigCopy extends AsyncDisposable {
  readonly dir: string;
  /** Makes users.conf again; the server that runs with it is to be told. */
  make(...options: readonly string[]): void;
}

/** What `nats-server -t` says of a file of configs/nats. */
export async function checkServerConfig(
  file: string,
  variables: Variables,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const { path } = await testServerBinary();
  const env = { PATH: process.env.PATH, ...variables };
  const done = spawnSync(path, ['-t', '-c', join(NATS_CONFIGS, file)], { encoding: 'utf8', env });
  return { code: done.status, output: done.stdout + done.stderr };
}

/** Starts nats-server with a file of configs/nats as it is; only ports and the data folder are a test's own. */
export async function startSecuredServer(
  file: 'server.conf' | 'cluster.conf',
  secrets: Pick<NatsSecrets, 'serverVariables'>,
  extra: {
    readonly variables?: Variables;
    readonly args?: readonly string[];
    /** Instead of configs/nats. */
    readonly dir?: string;
  } = {},
): Promise<SecuredServer> {
  const { path } = await testServerBinary();
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-secured-'));
  const [ports, logFile] = [join(folder, 'ports'), join(folder, 'log')];
  await mkdir(ports);
  const variables = { ...secrets.serverVariables, NATS_STORE_DIR: join(folder, 'data'), ...extra.variables };
  const environment = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const loopback = ['-a', '127.0.0.1', '-p', '-1', '--ports_file_dir', ports, ...(extra.args ?? [])];
  const command = [
    '/usr/bin/env',
    ...environment,
    path,
    '-c',
    join(extra.dir ?? NATS_CONFIGS, file),
    ...loopback,
  ];
  const output = await open(logFile, 'w');
  const guarded = spawnGuarded(command, join(folder, 'pid'), output.fd);
  await output.close();
  const log = (): Promise<string> => readFile(logFile, 'utf8');
  const stop = async (): Promise<void> => {
    guarded.release();
    await guarded.exited;
    await rm(folder, { recursive: true, force: true });
  };
  // A node alone has no quorum: it is ready when it listens.
  const health = '/healthz?js-enabled-only=true';
  const gone = new AbortController();
  void guarded.exited.then(() => gone.abort());
  const late = setTimeout(() => gone.abort(), READY_MS);
  const ready = await waitUntilReady(ports, health, gone.signal);
  clearTimeout(late);
  if (ready === undefined || 'illness' in ready) {
    const said = await log();
    await stop();
    throw new Error(`nats-server did not start with ${file}:\n${said}`);
  }
  const url = `tls://127.0.0.1:${new URL(ready.url.replace(/^tls:/, 'nats:')).port}`;
  const reload = async (): Promise<void> => {
    const said = (await log()).length;
    process.kill(Number(await readFile(join(folder, 'pid'), 'utf8')), 'SIGHUP');
    await until('it has read its configuration', async () =>
      /Reloaded server/.test((await log()).slice(said)),
    );
  };
  return { url, monitorUrl: ready.monitorUrl, log, reload, [Symbol.asyncDispose]: stop };
}
