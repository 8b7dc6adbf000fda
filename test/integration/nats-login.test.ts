import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nkeys } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { connectNats } from '../../src/platform/nats-connection.ts';
import type { ServerConfig } from '../../src/platform/nats-server/launch.ts';
import { openNats } from '../../src/service/open.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { makeSecrets, type NatsSecrets } from '../support/secured-nats.ts';
import type { Variables } from '../support/service-process.ts';

const PASSWORD = 'pass/word: 100%';
const MINE = 'nats.user';

let folder: string;
let secrets: NatsSecrets;
const servers: TestServer[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-login-'));
  secrets = await makeSecrets();
});
afterAll(async () => {
  for (const server of servers) await server.stop();
  await secrets?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function serverWith(extraConfig: ServerConfig): Promise<TestServer> {
  const server = await startTestServer({ extraConfig });
  servers.push(server);
  return server;
}

/** What comes of connecting as the service does, with these variables: `in`, or why not. */
async function login(url: string, variables: Variables = {}): Promise<string> {
  const patience = { JETLEDGER_NATS__CONNECT_TIMEOUT_MS: '2000' };
  const { nats } = loadConfig({ env: { NATS_URL: url, ...patience, ...variables }, dir: configDir({}) });
  try {
    const connection = await connectNats(nats.url, nats, 'test');
    await connection.close();
    return 'in';
  } catch (error) {
    return (error as Error).message;
  }
}

const REFUSED = /cannot be used \(.*authorization.*\)\. Log in by one of nats\.nkeySeedFile/i;

describe('the service logs in to NATS', () => {
  it('with user and password, by setting or in the address; a refusal says what to set and not what was', async () => {
    const { url } = await serverWith({ authorization: { user: MINE, password: PASSWORD } });
    const [scheme, host] = url.split('//');
    const inAddress = (password: string) => `${scheme}//${MINE}:${encodeURIComponent(password)}@${host}`;
    const set = (password: string) => ({
      JETLEDGER_NATS__USER: MINE,
      JETLEDGER_NATS__PASSWORD: password,
    });
    expect(await login(url, set(PASSWORD))).toBe('in');
    expect(await login(inAddress(PASSWORD))).toBe('in');
    expect(await login(`${inAddress(PASSWORD)},${inAddress(PASSWORD)}`)).toBe('in');
    // What stands in the address is what somebody meant for that server.
    expect(await login(inAddress(PASSWORD), set('another'))).toBe('in');
    for (const refused of [
      await login(url),
      await login(url, set('wrong-word')),
      await login(inAddress('wrong-word')),
    ]) {
      expect(refused).toMatch(REFUSED);
      expect(refused).not.toContain('wrong-word');
    }
  });

  it('with a token, by setting or in the address', async () => {
    const { url } = await serverWith({ authorization: { token: 'open-sesame' } });
    expect(await login(url, { JETLEDGER_NATS__TOKEN: 'open-sesame' })).toBe('in');
    expect(await login(url.replace('//', '//open-sesame@'))).toBe('in');
    expect(await login(url, { JETLEDGER_NATS__TOKEN: 'wrong' })).toMatch(REFUSED);
  });

  it('with a credentials file, where an operator vouches for accounts and these for users', async () => {
    const { config, credentials } = operatorMode();
    const { url } = await serverWith(config);
    const path = join(folder, 'service.creds');
    await writeFile(path, credentials);
    expect(await login(url, { JETLEDGER_NATS__CREDS_FILE: path })).toBe('in');
    const strange = join(folder, 'strange.creds');
    await writeFile(strange, operatorMode().credentials);
    expect(await login(url, { JETLEDGER_NATS__CREDS_FILE: strange })).toMatch(REFUSED);
    expect(await login(url, { JETLEDGER_NATS__CREDS_FILE: join(folder, 'none.creds') })).toMatch(
      /^nats\.credsFile: .*none\.creds cannot be read \(ENOENT\)/,
    );
  });

  it('with a certificate of its own, where the server asks for one', async () => {
    const at = (name: string): string => join(secrets.folder, name);
    const { url } = await serverWith({
      tls: { cert_file: at('server.pem'), key_file: at('server.key'), ca_file: at('ca.pem'), verify: true },
    });
    const trust = { JETLEDGER_NATS__TLS__CA_FILE: at('ca.pem') };
    const own = {
      JETLEDGER_NATS__TLS__CERT_FILE: at('server.pem'),
      JETLEDGER_NATS__TLS__KEY_FILE: at('server.key'),
    };
    expect(await login(url, { ...trust, ...own })).toBe('in');
    expect(await login(url, trust)).toMatch(/cannot be used/);
    expect(await login(url, own)).toMatch(/cannot be used \(.*(certificate|self.signed)/i);
  });
});

describe('in production', () => {
  const at = (name: string): string => join(secrets.folder, name);
  const tls = () => ({ cert_file: at('server.pem'), key_file: at('server.key'), ca_file: at('ca.pem') });

  /** What comes of a command's connection in production, over TLS unless a variable says otherwise. */
  async function opened(url: string, variables: Variables): Promise<string> {
    const env = {
      JETLEDGER_ENV: 'production',
      JETLEDGER_SERVICE__ROLES: 'projections',
      JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
      JETLEDGER_NATS__TLS__CA_FILE: at('ca.pem'),
      NATS_URL: url,
      ...variables,
    };
    try {
      const nats = await openNats(loadConfig({ env, dir: configDir({}) }), 'bare');
      await nats.close();
      return 'in';
    } catch (error) {
      return (error as Error).message;
    }
  }

  it('a server that lets everybody in is refused, whatever the service logs in with, unless a setting says that it is meant', async () => {
    const { url } = await serverWith({ tls: tls() });
    const token = { JETLEDGER_NATS__TOKEN: 'nobody-asks' };
    const refused = await opened(url, token);
    expect(refused).toMatch(
      /lets everybody in.*users\.conf.*set nats\.allowInsecure \(JETLEDGER_NATS__ALLOW_INSECURE\) to true/,
    );
    expect(await opened(url, { ...token, JETLEDGER_NATS__ALLOW_INSECURE: 'true' })).toBe('in');
  });

  it('a server that asks who is there is used, in whichever way it asks', async () => {
    const user = nkeys.createUser();
    const [seed, credsFile] = [join(folder, 'user.nk'), join(folder, 'production.creds')];
    await writeFile(seed, user.getSeed());
    const { config, credentials } = operatorMode();
    await writeFile(credsFile, credentials);
    const own = {
      JETLEDGER_NATS__TLS__CERT_FILE: at('server.pem'),
      JETLEDGER_NATS__TLS__KEY_FILE: at('server.key'),
    };
    const ways: readonly (readonly [ServerConfig, Variables])[] = [
      [{ authorization: { token: 'sesame' } }, { JETLEDGER_NATS__TOKEN: 'sesame' }],
      [
        { authorization: { users: [{ nkey: user.getPublicKey() }] } },
        { JETLEDGER_NATS__NKEY_SEED_FILE: seed },
      ],
      [config, { JETLEDGER_NATS__CREDS_FILE: credsFile }],
      [{ tls: { verify: true } }, own],
    ];
    for (const [extra, variables] of ways) {
      const { url } = await serverWith({ ...extra, tls: { ...tls(), ...(extra.tls as ServerConfig) } });
      expect(await opened(url, variables)).toBe('in');
    }
  });

  it('an address that begins with tls:// is never used without TLS', async () => {
    const { url } = await serverWith({ authorization: { token: 'sesame' } });
    const token = { JETLEDGER_NATS__TOKEN: 'sesame', JETLEDGER_NATS__TLS__CA_FILE: '' };
    const plain = await opened(url.replace('nats:', 'tls:'), token);
    expect(plain).toMatch(/cannot be used \(server does not support 'tls'\)\. Give it a certificate/);
    expect(await opened(url, token)).toMatch(/nats\.url.*tls:\/\//s);
    expect(await opened(url, { ...token, JETLEDGER_NATS__ALLOW_INSECURE: 'true' })).toBe('in');
  });
});

/** A JWT of NATS: about `subject`, signed by whoever vouches for it. */
function claim(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, type: string, body: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const content = {
    jti: subject.getPublicKey(),
    iat: 1_700_000_000,
    iss: issuer.getPublicKey(),
    name: type,
    sub: subject.getPublicKey(),
    nats: { ...body, type, version: 2 },
  };
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(content)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`;
}

/** A server that knows users by their operator alone, and the file of one user. */
function operatorMode(): { readonly config: ServerConfig; readonly credentials: string } {
  const operator = nkeys.createOperator();
  const [system, account] = [nkeys.createAccount(), nkeys.createAccount()];
  const user = nkeys.createUser();
  const limits = { subs: -1, conn: -1, leaf: -1, imports: -1, exports: -1, data: -1, payload: -1 };
  const accounts = [system, account].map((one) => [
    one.getPublicKey(),
    claim(operator, one, 'account', { limits: { ...limits, wildcards: true } }),
  ]);
  const jwt = claim(account, user, 'user', { subs: -1, data: -1, payload: -1 });
  const seed = Buffer.from(user.getSeed()).toString('ascii');
  return {
    config: {
      operator: claim(operator, operator, 'operator', {}),
      system_account: system.getPublicKey(),
      resolver: 'MEMORY',
      resolver_preload: Object.fromEntries(accounts) as ServerConfig,
    },
    credentials: [
      '-----BEGIN NATS USER JWT-----',
      jwt,
      '------END NATS USER JWT------',
      '',
      '-----BEGIN USER NKEY SEED-----',
      seed,
      '------END USER NKEY SEED------',
      '',
    ].join('\n'),
  };
}
