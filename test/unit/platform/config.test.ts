import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/platform/config/errors.ts';
import { CONFIG_KEYS, getAt } from '../../../src/platform/config/keys.ts';
import { configDir, loadConfig, settingsWithoutEffect } from '../../../src/platform/config/load.ts';
import { maskSecrets } from '../../../src/platform/config/mask.ts';

type Env = Record<string, string | undefined>;

const EMAIL_KEY = '0123456789abcdef'.repeat(4);
const PRODUCTION: Env = {
  JETLEDGER_ENV: 'production',
  NATS_URL: 'tls://nats.internal:4222',
  JETLEDGER_NATS__NKEY_SEED_FILE: '/run/secrets/user',
  JETLEDGER_USERS__EMAIL_KEY: EMAIL_KEY,
  JETLEDGER_PAYMENT__URL: 'https://payments.internal/v1',
  JETLEDGER_PAYMENT__API_KEY: 'key-of-a-test',
  JETLEDGER_AUTH__ISSUER: 'https://issuer.example.com/',
  JETLEDGER_AUTH__AUDIENCE: 'jetledger',
  JETLEDGER_AUTH__JWKS_URL: 'https://issuer.example.com/jwks.json',
};

function load(env: Env, dir = configDir({})) {
  return loadConfig({ env, dir });
}

function problemsOf(env: Env, dir?: string): string[] {
  try {
    load(env, dir);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ key, message }) => `${key}: ${message}`);
    throw error;
  }
  return [];
}

describe('the checked-in configuration', () => {
  it('is complete and valid in development, which is what is chosen when nothing is', () => {
    const config = load({});
    expect(config.environment).toBe('development');
    expect(config.http.port).toBe(3000);
    expect(config.nats.url).toBe('');
    expect(config.log.durability).toBe('always');
  });

  it('takes any free port in test', () => {
    expect(load({ JETLEDGER_ENV: 'test' }).http.port).toBe(0);
  });

  it('is valid in production once server, e-mail key, issuer of tokens and payment provider are given', () => {
    expect(load(PRODUCTION).environment).toBe('production');
  });

  it('names the variables to set when production lacks its server, e-mail key, issuer and payment provider', () => {
    const problems = problemsOf({ JETLEDGER_ENV: 'production' });
    const ofAuth = problems.filter((problem) => problem.startsWith('auth.'));
    expect(ofAuth.map((problem) => problem.split(':', 1)[0])).toEqual([
      'auth.jwksUrl',
      'auth.issuer',
      'auth.audience',
    ]);
    expect(ofAuth[0]).toContain('set JETLEDGER_AUTH__JWKS_URL or JETLEDGER_AUTH__KEY_FILE');
    const others = problems.filter((problem) => !problem.startsWith('auth.'));
    expect(others).toHaveLength(3);
    expect(others[0]).toContain('set NATS_URL or JETLEDGER_NATS__URL');
    expect(others[1]).toContain('set JETLEDGER_USERS__EMAIL_KEY');
    expect(others[2]).toContain('set JETLEDGER_PAYMENT__URL and JETLEDGER_PAYMENT__API_KEY');
  });

  it('never serves production without authentication, nor with keys that come over plain http', () => {
    const off = problemsOf({ ...PRODUCTION, JETLEDGER_AUTH__ENABLED: 'false' });
    expect(off).toEqual([expect.stringMatching(/^auth\.enabled: .*needs to know who asks/)]);
    const plain = problemsOf({ ...PRODUCTION, JETLEDGER_AUTH__JWKS_URL: 'http://issuer.example.com/jwks' });
    expect(plain).toEqual([expect.stringContaining('https only')]);
  });

  it('takes tokens with a public key only: no algorithm with a shared secret, and not none', () => {
    for (const algorithms of ['none', 'HS256', 'RS256,HS256', '']) {
      const problems = problemsOf({ JETLEDGER_AUTH__ALGORITHMS: algorithms });
      expect(problems).toEqual([expect.stringMatching(/^auth\.algorithms: .*allowed: of RS256/)]);
    }
    expect(load({ JETLEDGER_AUTH__ALGORITHMS: 'ES256, EdDSA' }).auth.algorithms).toBe('ES256, EdDSA');
  });

  it('reaches NATS in production over TLS and with a login, unless a setting says that neither is meant', () => {
    const keysOf = (env: Env) =>
      problemsOf({ ...PRODUCTION, ...env }).map((problem) => problem.split(':', 1)[0]);
    const plain = { NATS_URL: 'nats://127.0.0.1:4222', JETLEDGER_NATS__NKEY_SEED_FILE: '' };
    expect(keysOf(plain)).toEqual(['nats.url', 'nats.nkeySeedFile']);
    for (const problem of problemsOf({ ...PRODUCTION, ...plain })) {
      expect(problem).toContain('if it is meant to be without, set JETLEDGER_NATS__ALLOW_INSECURE to true');
    }
    expect(keysOf({ ...plain, JETLEDGER_ENV: 'staging' })).toEqual(
      expect.arrayContaining(['nats.url', 'nats.nkeySeedFile']),
    );
    expect(keysOf({ ...plain, JETLEDGER_NATS__ALLOW_INSECURE: 'true' })).toEqual([]);
    expect(keysOf({ ...plain, JETLEDGER_NATS__TLS__CA_FILE: '/ca.pem' })).toEqual(['nats.nkeySeedFile']);
    expect(keysOf({ ...plain, NATS_URL: 'nats://ada:pass@nats:4222' })).toEqual(['nats.url']);
    const certificate = {
      JETLEDGER_NATS__TLS__CERT_FILE: '/me.pem',
      JETLEDGER_NATS__TLS__KEY_FILE: '/me.key',
    };
    expect(keysOf({ ...plain, ...certificate })).toEqual([]);
  });

  it('takes no simulated payments in production', () => {
    const [problem] = problemsOf({ ...PRODUCTION, JETLEDGER_PAYMENT__ADAPTER: 'simulated' });
    expect(problem).toContain('production needs a real provider');
  });

  it('has the data folder as an absolute path, wherever the command is run', () => {
    expect(isAbsolute(load({}).nats.embedded.dataDir)).toBe(true);
  });
});

describe('variables', () => {
  it('override files, each converted to the type of its key', () => {
    const config = load({
      JETLEDGER_HTTP__BODY_LIMIT_BYTES: '2048',
      JETLEDGER_SERVICE__ROLES: 'api, projections',
      JETLEDGER_TRACING__SAMPLE_RATIO: '0.25',
      JETLEDGER_NATS__TOKEN: '12345',
      JETLEDGER_NATS__EMBEDDED__DATA_DIR: '/var/lib/jetledger',
    });
    expect(config.http.bodyLimitBytes).toBe(2048);
    expect(config.service.roles).toBe('api, projections');
    expect(config.tracing.sampleRatio).toBe(0.25);
    expect(config.nats.token).toBe('12345');
    expect(config.nats.embedded.dataDir).toBe('/var/lib/jetledger');
  });

  it('are understood with and without underscores inside a level', () => {
    expect(load({ JETLEDGER_HTTP__BODYLIMITBYTES: '2048' }).http.bodyLimitBytes).toBe(2048);
  });

  it('exist for every key, under the name that messages give', () => {
    for (const key of CONFIG_KEYS) {
      const value = getAt(load(PRODUCTION), key.name);
      const again = load({ ...PRODUCTION, [key.variable]: String(value) });
      expect(getAt(again, key.name)).toEqual(value);
    }
  });

  it('may be the plain NATS_URL and PORT, over which the full names win', () => {
    const config = load({ NATS_URL: 'nats://a:4222', PORT: '8080', JETLEDGER_HTTP__PORT: '8081' });
    expect(config.nats.url).toBe('nats://a:4222');
    expect(config.http.port).toBe(8081);
  });

  it('of other programs are ignored', () => {
    expect(problemsOf({ HTTP__PORT: 'x', JETLEDGERX: 'y', PORT: '', NATS_URL: '' })).toEqual([]);
  });
});

describe('settings of earlier versions that have no effect any more', () => {
  it('are accepted wherever they stand, and named in one line each', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'jetledger-config-'));
    await cp(configDir({}), dir, { recursive: true });
    await writeFile(join(dir, 'test.yaml'), 'nats:\n  leanRequests: false\n');
    const env = {
      JETLEDGER_ENV: 'test',
      JETLEDGER_NATS__LEAN_REQUESTS: 'false',
      JETLEDGER_COMMANDS__MAX_ATTEMPTS: '20',
    };
    expect(problemsOf(env, dir)).toEqual([]);
    expect(load(env, dir)).toEqual(load({ JETLEDGER_ENV: 'test' }, dir));
    const why = 'has no effect any more: requests to NATS are made in one way only; remove the setting';
    expect(settingsWithoutEffect({ env, dir })).toEqual([
      `nats.leanRequests (${basename(dir)}/test.yaml) ${why}`,
      `JETLEDGER_NATS__LEAN_REQUESTS (environment) ${why}`,
      'JETLEDGER_COMMANDS__MAX_ATTEMPTS (environment) has no effect any more: ' +
        'a command is decided again until commands.deadlineMs; remove the setting',
    ]);
    expect(settingsWithoutEffect({ env: {}, dir: configDir({}) })).toEqual([]);
    await rm(dir, { recursive: true });
  });
});

describe('problems', () => {
  it('are told all at once, each with key, value, origin and what is allowed', () => {
    expect(
      problemsOf({
        JETLEDGER_HTTP__PORT: 'abc',
        JETLEDGER_LOG__REPLICAS: '2',
        JETLEDGER_NATS__USER: 'service',
      }),
    ).toEqual([
      'http.port: given "abc" (JETLEDGER_HTTP__PORT); allowed: a whole number from 0 to 65535',
      'log.replicas: given 2 (JETLEDGER_LOG__REPLICAS); allowed: 1, 3, 5',
      'nats.password: given "" (configs/default.yaml); user and password go together: set both or none',
    ]);
  });

  it('name the nearest key for one that does not exist', () => {
    expect(problemsOf({ JETLEDGER_HTTP__PROT: '1' })).toEqual([
      'JETLEDGER_HTTP__PROT: no such key (environment); did you mean JETLEDGER_HTTP__PORT?',
    ]);
  });

  it('include an environment that looks misspelt, or whose name is no file name', () => {
    expect(problemsOf({ JETLEDGER_ENV: 'prodution' })).toEqual([
      'JETLEDGER_ENV: given "prodution" (environment); did you mean production? If not, make the file prodution.yaml',
    ]);
    expect(problemsOf({ JETLEDGER_ENV: '../test' })).toEqual([
      'JETLEDGER_ENV: given "../test" (environment); allowed: small letters, digits and -',
    ]);
  });

  it('never show a secret that was refused', () => {
    const problems = problemsOf({
      JETLEDGER_USERS__EMAIL_KEY: 'hunter2',
      JETLEDGER_NATS__URL: 'nats://me:hunter2@host/x y',
    }).join('\n');
    expect(problems).toContain('users.emailKey: given ***');
    expect(problems).not.toContain('hunter2');
  });

  it('include settings that exclude each other', () => {
    const problems = problemsOf({
      JETLEDGER_LOG__DURABILITY: 'replicated',
      JETLEDGER_TRACING__ENABLED: 'true',
      JETLEDGER_NATS__TLS__CERT_FILE: 'cert.pem',
    }).map((problem) => problem.split(':')[0]);
    expect(problems).toEqual(['log.durability', 'nats.tls.keyFile', 'tracing.enabled']);
  });
});

describe('files', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'jetledger-config-'));
    await cp(configDir({}), dir, { recursive: true, filter: (path) => !path.endsWith('.json') });
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('of the environment override the default file', async () => {
    await writeFile(join(dir, 'development.yaml'), 'http:\n  port: 4000\nnats:\n');
    expect(load({}, dir).http.port).toBe(4000);
  });

  it('of an environment of any other name are read where there are some, under the rules of production', async () => {
    const staging = { ...PRODUCTION, JETLEDGER_ENV: 'staging', JETLEDGER_PAYMENT__ADAPTER: 'http' };
    const signed = { ...staging, JETLEDGER_AUTH__ENABLED: 'true' };
    expect(load(signed, dir)).toMatchObject({
      environment: 'staging',
      http: { requireIdempotencyKey: false },
    });
    await writeFile(join(dir, 'staging.yaml'), 'http:\n  requireIdempotencyKey: true\n');
    expect(load(signed, dir).http.requireIdempotencyKey).toBe(true);
    expect(problemsOf(staging, dir)).toEqual([
      expect.stringMatching(/^auth\.enabled: .*staging needs to know who asks/),
    ]);
    const bare = problemsOf({ JETLEDGER_ENV: 'staging' }, dir).map((problem) => problem.split(':', 1)[0]);
    expect(bare).toEqual(['nats.url', 'users.emailKey', 'auth.enabled', 'payment.adapter']);
  });

  it('make an environment of a name that looks misspelt', async () => {
    await writeFile(join(dir, 'developmint.yaml'), 'logging:\n  level: info\n');
    expect(problemsOf({ ...PRODUCTION, JETLEDGER_ENV: 'developmint' }, dir).join()).toContain(
      'developmint needs',
    );
  });

  it('are looked for in JETLEDGER_CONFIG_DIR when that is set', () => {
    expect(configDir({ JETLEDGER_CONFIG_DIR: dir })).toBe(dir);
    expect(configDir({ JETLEDGER_CONFIG_DIR: '' })).toBe(configDir({}));
  });

  it('with unknown keys, values of the wrong type or a value for a section are refused by name', async () => {
    await writeFile(
      join(dir, 'development.yaml'),
      'htpp:\n  port: 1\nhttp:\n  port: "4000"\n  prt: 1\nlog: 7\n',
    );
    const problems = problemsOf({}, dir);
    expect(problems).toHaveLength(4);
    expect(problems[0]).toMatch(/^htpp: no such key \(.*development\.yaml\); did you mean http\?$/);
    expect(problems[1]).toMatch(/^http\.prt: .*did you mean http\.port\?$/);
    expect(problems[2]).toMatch(/^log: given 7 .* allowed: a section with keys$/);
    expect(problems[3]).toMatch(/^http\.port: given "4000" /);
  });

  it('that are no YAML or cannot be read are one problem each', async () => {
    await writeFile(join(dir, 'development.yaml'), 'http: [1\n');
    await rm(join(dir, 'default.yaml'));
    const problems = problemsOf({}, dir);
    expect(problems).toHaveLength(2);
    expect(problems[0]).toContain('default.yaml: cannot be read (ENOENT)');
    expect(problems[1]).toContain('development.yaml: is not valid YAML');
  });

  it('that lack a key tell what it may hold', async () => {
    await writeFile(join(dir, 'default.yaml'), 'http:\n  port: 1\n');
    expect(problemsOf({}, dir)).toContain('log.replicas: missing; allowed: 1, 3, 5');
  });
});

describe('maskSecrets', () => {
  it('hides every secret that is set and credentials in server addresses, and nothing else', () => {
    const config = load({
      ...PRODUCTION,
      NATS_URL: 'tls://me:hunter2@a:4222,tls://me:hunter2@b:4222',
      JETLEDGER_NATS__NKEY_SEED_FILE: '',
      JETLEDGER_NATS__TOKEN: 'hunter2',
    });
    const masked = maskSecrets(config);
    expect(JSON.stringify(masked)).not.toMatch(/hunter2|0123456789abcdef/);
    expect(masked.nats).toMatchObject({ url: 'tls://***@b:4222', token: '***', password: '' });
    expect(masked.users.emailKey).toBe('***');
    expect(masked.http).toEqual(config.http);
    expect(config.users.emailKey).toBe(EMAIL_KEY);
  });

  it('shows none of the secrets that there are, whichever key they are given to, and no credentials of an address', () => {
    const secrets = CONFIG_KEYS.filter(({ secret }) => secret);
    expect(secrets.length).toBeGreaterThanOrEqual(5);
    const addresses = [
      'payment.url',
      'notifications.url',
      'tracing.endpoint',
      'metrics.otlpEndpoint',
      'nats.url',
    ];
    const env = Object.fromEntries([
      ...secrets.map(({ variable }) => [variable, 'c0ffee'.repeat(12).slice(0, 64)]),
      ...CONFIG_KEYS.filter(({ name }) => addresses.includes(name)).map(({ name, variable }) => [
        variable,
        `${name === 'nats.url' ? 'nats' : 'https'}://me:c0ffee@host.example.com:1`,
      ]),
    ]);
    const clash = { JETLEDGER_NATS__TOKEN: '', JETLEDGER_NATS__USER: 'me' };
    for (const given of [
      { ...env, ...clash },
      { ...env, JETLEDGER_NATS__PASSWORD: '' },
    ]) {
      expect(JSON.stringify(maskSecrets(load(given)))).not.toContain('c0ffee');
    }
    expect(problemsOf({ ...env, JETLEDGER_HTTP__PORT: 'x' }).join()).not.toContain('c0ffee');
  });
});
