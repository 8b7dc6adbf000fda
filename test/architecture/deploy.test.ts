import { spawnSync } from 'node:child_process';
import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { validate as validateDockerfile } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { KEYS_BY_NAME } from '../../src/platform/config/keys.ts';
import { readVariableLayer } from '../../src/platform/config/layers.ts';
import { loadConfig } from '../../src/platform/config/load.ts';
import type { Config } from '../../src/platform/config/schema.ts';
import { composeFaults, judge, list, nameOf, type Tree, valuesOf } from '../support/manifests.ts';
import { checkServerConfig, copyOfConfigs, makeSecrets } from '../support/secured-nats.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const K8S = join(ROOT, 'deploy/k8s');
const BASE = join(K8S, 'base');
const EXAMPLE = join(K8S, 'overlays/example');

const read = (...path: string[]) => readFile(join(ROOT, ...path), 'utf8');

async function manifests(): Promise<Tree[]> {
  const kustomization = parse(await readFile(join(BASE, 'kustomization.yaml'), 'utf8')) as {
    resources: readonly string[];
  };
  const files = await Promise.all(kustomization.resources.map((name) => readFile(join(BASE, name), 'utf8')));
  return files.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as Tree));
}

const byKind = async (...kinds: string[]): Promise<Tree[]> =>
  (await manifests()).filter(({ kind }) => kinds.includes(String(kind)));

/** `NAME=value` lines as an object. */
const pairsOf = (lines: unknown): Record<string, string> =>
  Object.fromEntries(
    (Array.isArray(lines) ? lines.map(String) : []).map((line) => [
      line.slice(0, line.indexOf('=')),
      line.slice(line.indexOf('=') + 1),
    ]),
  );

/** What the variables of a process of the service would be refused for. */
const problemsOf = (variables: Readonly<Record<string, string>>) => {
  const { settings, problems } = readVariableLayer(variables);
  const wrong = [...settings].filter(([name, { value }]) => KEYS_BY_NAME.get(name)?.accepts(value) !== true);
  return [...problems.map(({ message }) => message), ...wrong.map(([name]) => name)];
};

describe('the manifests of Kubernetes', () => {
  it('are valid by the schemas of Kubernetes, which refuse what is wrong', async () => {
    const all = await manifests();
    expect(all.length).toBeGreaterThan(15);
    for (const manifest of all) expect(() => judge(manifest), nameOf(manifest)).not.toThrow();
    const [deployment] = await byKind('Deployment');
    expect(() => judge({ ...deployment, spec: { template: {} } })).toThrow();
  });

  it('name only settings that exist, with values that are accepted', async () => {
    const kustomizations = await Promise.all(
      [BASE, EXAMPLE].map((dir) => read(dir.slice(ROOT.length), 'kustomization.yaml')),
    );
    const literals = kustomizations
      .flatMap((text) => [...valuesOf(parse(text), 'literals')].flat())
      .map(String);
    const given = literals.map((line) => [
      line.slice(0, line.indexOf('=')),
      line.slice(line.indexOf('=') + 1),
    ]);
    expect(problemsOf(Object.fromEntries(given) as Record<string, string>)).toEqual([]);
    const workloads = await byKind('Deployment', 'Job');
    const named = workloads.flatMap((one) => [...valuesOf(one, 'env')].flatMap(list));
    const variables = named.filter(({ name }) => String(name).startsWith('JETLEDGER_'));
    expect(variables.length).toBeGreaterThan(5);
    expect(
      problemsOf(Object.fromEntries(variables.map(({ name, value }) => [String(name), String(value ?? '')]))),
    ).toEqual([]);
  });

  it('give each process a configuration that production starts with', async () => {
    const maps = new Map<string, Record<string, string>>();
    for (const dir of [BASE, EXAMPLE]) {
      const { configMapGenerator } = parse(await readFile(join(dir, 'kustomization.yaml'), 'utf8')) as Tree;
      for (const { name, literals } of list(configMapGenerator)) maps.set(String(name), pairsOf(literals));
    }
    const workloads = await byKind('Deployment', 'Job');
    for (const workload of workloads) {
      const [container] = [...valuesOf(workload, 'containers')].flatMap(list);
      const { args, env, envFrom } = container ?? {};
      const [, , roles] = args as string[];
      const shared = list(envFrom).map(({ configMapRef }) => maps.get(String((configMapRef as Tree).name)));
      const own = list(env).map(({ name, value }) => [name, value ?? 'a1'.repeat(32)]);
      const named = { ...(roles !== undefined && { JETLEDGER_SERVICE__ROLES: roles }) };
      const given: Record<string, string> = Object.assign({}, ...shared, Object.fromEntries(own), named);
      const config = loadConfig({ env: given, dir: join(ROOT, 'configs') });
      expect([nameOf(workload), config.environment, config.log.replicas]).toEqual([
        nameOf(workload),
        'production',
        3,
      ]);
      const user = await userOf(config);
      expect([...valuesOf(workload, 'secretName')]).toEqual([`nats-user-${user}`]);
    }
    expect(workloads).toHaveLength(4);
  });

  it('ask each role for its health where it answers', async () => {
    const health = await read('src/api/routes/health.ts');
    const deployments = await byKind('Deployment');
    expect(deployments.map(nameOf)).toEqual([
      'jetledger-api',
      'jetledger-projections',
      'jetledger-processes',
    ]);
    for (const deployment of deployments) {
      const role = nameOf(deployment).replace('jetledger-', '');
      expect([...valuesOf(deployment, 'args')]).toEqual([['serve', '--roles', role]]);
      for (const probe of ['startup', 'readiness', 'liveness']) {
        const [found] = [...valuesOf(deployment, `${probe}Probe`)] as {
          httpGet: { path: string; port: string };
        }[];
        expect(health).toContain(`'${found?.httpGet.path}'`);
        expect([...valuesOf(deployment, 'ports')].flatMap(list)).toContainEqual({
          name: found?.httpGet.port,
          containerPort: 3000,
        });
      }
      expect([...valuesOf(deployment, 'preStop')]).toHaveLength(1);
    }
  });

  it('give no container rights that it does not need, and no secret in a file', async () => {
    for (const one of await byKind('Deployment', 'StatefulSet', 'Job')) {
      const pod = ([...valuesOf(one, 'template')][0] as Tree).spec as Tree;
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      for (const container of list(pod.containers)) {
        expect(container).toMatchObject({
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: { requests: expect.anything(), limits: { memory: expect.anything() } },
        });
      }
    }
    expect(await byKind('Secret')).toEqual([]);
  });

  it('keep every budget and autoscaler pointed at something that exists', async () => {
    const workloads = await byKind('Deployment', 'StatefulSet');
    const names = workloads.map(nameOf);
    const budgets = (await byKind('PodDisruptionBudget')).map(nameOf);
    expect(budgets.sort()).toEqual([...names].sort());
    for (const scaler of await byKind('HorizontalPodAutoscaler')) {
      const [target] = [...valuesOf(scaler, 'scaleTargetRef')] as Tree[];
      expect(names).toContain(target?.name);
    }
    const telemetry = await read('docs/telemetry.md');
    for (const metric of (await byKind('HorizontalPodAutoscaler')).flatMap((one) => [
      ...valuesOf(one, 'external'),
    ])) {
      expect(telemetry).toContain(`\`${String(((metric as Tree).metric as Tree).name)}\``);
    }
  });

  it('come out of kustomize as they went in, where it can be asked', async ({ annotate }) => {
    const built = spawnSync('kubectl', ['kustomize', EXAMPLE], { encoding: 'utf8' });
    if (built.error !== undefined) {
      await annotate('NOT RUN: there is no kubectl on this machine, so kustomize itself was not asked');
      return;
    }
    expect([built.status, built.stderr]).toEqual([0, '']);
    const all = parseAllDocuments(built.stdout).map((document) => document.toJS() as Tree);
    for (const manifest of all) expect(() => judge(manifest), nameOf(manifest)).not.toThrow();
    const images = [...valuesOf(all, 'image')];
    expect(new Set(images)).toEqual(new Set(['images.example.com/jetledger:0.1.0', 'nats:2.14.5-alpine']));
  }, 30_000);
});

describe('the configuration of NATS', () => {
  it('is accepted by nats-server, and refused without its variables', async () => {
    await using secrets = await makeSecrets();
    const node = {
      NATS_NODE_NAME: 'nats-0',
      NATS_ROUTE_1: 'tls://a:1',
      NATS_ROUTE_2: 'tls://b:1',
      NATS_ROUTE_3: 'tls://c:1',
    };
    const variables: Record<string, string> = {
      ...secrets.serverVariables,
      NATS_STORE_DIR: secrets.folder,
      ...node,
    };
    for (const file of ['server.conf', 'cluster.conf']) {
      expect(await checkServerConfig(file, variables)).toMatchObject({ code: 0 });
      const { JETLEDGER_NKEY_API: _left, ...without } = variables;
      expect(await checkServerConfig(file, without)).toMatchObject({
        code: 1,
        output: expect.stringContaining('JETLEDGER_NKEY_API'),
      });
    }
  });

  it('syncs before it acknowledges, and is the same in Kubernetes', async () => {
    expect(await read('configs/nats/common.conf')).toMatch(/^\s*sync_interval: always$/m);
    for (const name of await readdir(join(BASE, 'nats'))) {
      expect(await readFile(join(BASE, 'nats', name), 'utf8'), name).toBe(await read('configs/nats', name));
    }
  });

  it('encrypts what it stores, with a key that is given from outside and has no default', async () => {
    const common = (await read('configs/nats/common.conf')).replaceAll(/^\s*#.*$/gm, '');
    expect(common).toMatch(/^\s*cipher: aes$/m);
    expect(common.match(/^\s*\w*key: .*$/gm)?.map((line) => line.trim())).toEqual([
      'key: $NATS_JETSTREAM_KEY',
    ]);
    await using secrets = await makeSecrets();
    const { NATS_JETSTREAM_KEY: _key, ...without }: Record<string, string> = {
      ...secrets.serverVariables,
      NATS_STORE_DIR: secrets.folder,
    };
    expect(await checkServerConfig('server.conf', without)).toMatchObject({
      code: 1,
      output: expect.stringContaining('NATS_JETSTREAM_KEY'),
    });
    expect(await read('deploy/compose.yaml')).toMatch(/NATS_JETSTREAM_KEY: \$\{NATS_JETSTREAM_KEY:\?/);
    const [nats] = await byKind('StatefulSet');
    expect(JSON.stringify(nats)).toMatch(/"NATS_JETSTREAM_KEY","valueFrom":\{"secretKeyRef"/);
  });

  it('is what its table makes', async () => {
    await using made = await copyOfConfigs();
    expect(await read('configs/nats/users.conf')).toBe(await readFile(join(made.dir, 'users.conf'), 'utf8'));
  });

  it('is given every variable that it asks for', async () => {
    const texts = await Promise.all(
      ['cluster', 'common', 'users'].map((name) => read(`configs/nats/${name}.conf`)),
    );
    const code = texts.join('\n').replaceAll(/^\s*#.*$/gm, '');
    const asked = new Set(
      [...code.matchAll(/(?<=[\s[:])\$(?!SYS\b)([A-Z][A-Z0-9_]+)/g)].map(([, name]) => name),
    );
    expect(asked.size).toBe(16);
    const users = await readFile(join(EXAMPLE, 'users.env'), 'utf8');
    const [nats] = await byKind('StatefulSet');
    const compose = await read('deploy/compose.yaml');
    for (const name of asked) {
      const byUsers = users.includes(`${name}=`);
      expect([name, byUsers || JSON.stringify(nats).includes(`"${name}"`)]).toEqual([name, true]);
      expect([name, byUsers || compose.includes(`${name}:`)]).toEqual([name, true]);
    }
  });
});

describe('deploy/compose.yaml', () => {
  const compose = async () => parse(await read('deploy/compose.yaml'), { merge: true }) as Tree;

  it('is valid by the Compose specification', async () => {
    expect(composeFaults(await compose())).toEqual([]);
    expect(composeFaults({ services: { api: { imagine: 'x' } } })).not.toEqual([]);
  });

  it('names only settings that exist, files that exist, and services that exist', async () => {
    const { services, secrets } = (await compose()) as { services: Record<string, Tree>; secrets: Tree };
    for (const [name, service] of Object.entries(services)) {
      const environment = Object.entries((service.environment ?? {}) as Tree).filter(([key]) =>
        /^(JETLEDGER_|NATS_URL)/.test(key),
      );
      // What the operator gives is not known here; a default is.
      const given = environment.map(([key, value]) => [
        key,
        String(value).replace(/^\$\{\w+(:-([^}]*)|:\?.*)?\}$/, '$2'),
      ]);
      expect([name, problemsOf(Object.fromEntries(given) as Record<string, string>)]).toEqual([name, []]);
      for (const secret of (service.secrets ?? []) as string[])
        expect(Object.keys(secrets)).toContain(secret);
      for (const other of Object.keys((service.depends_on ?? {}) as Tree))
        expect(Object.keys(services)).toContain(other);
      for (const volume of ((service.volumes ?? []) as string[]).filter((path) => path.startsWith('.'))) {
        await access(join(ROOT, 'deploy', volume.split(':')[0] ?? ''));
      }
      const extended = service.extends as { file: string; service: string } | undefined;
      if (extended === undefined) continue;
      const file = parse(await read('deploy', extended.file)) as { services: Tree };
      expect(Object.keys(file.services)).toContain(extended.service);
    }
  });

  it.each(['production', 'development'])(
    'gives each process a configuration that %s starts with',
    async (environment) => {
      const { services } = (await compose()) as { services: Record<string, Tree> };
      // What docs/operations.md asks the operator to fill in; the key is all that development needs.
      const filledIn: Readonly<Record<string, string>> = {
        JETLEDGER_ENV: environment,
        JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
        ...(environment === 'production' && {
          JETLEDGER_AUTH__ISSUER: 'https://issuer.example.com/',
          JETLEDGER_AUTH__AUDIENCE: 'jetledger',
          JETLEDGER_AUTH__JWKS_URL: 'https://issuer.example.com/jwks.json',
          JETLEDGER_PAYMENT__URL: 'https://payments.example.com',
          JETLEDGER_PAYMENT__API_KEY: 'a key',
        }),
      };
      const filled = (value: unknown): string =>
        String(value)
          .replace(/\$\$/g, '$')
          .replace(
            /^\$\{(\w+)(?::-([^}]*)|:\?.*)?\}$/,
            (_all, name: string, otherwise = '') => filledIn[name] ?? otherwise,
          );
      const ours = Object.entries(services).filter(([, { image }]) => image === 'jetledger');
      expect(ours.map(([name]) => name)).toEqual([
        'topology',
        'owner',
        'operator',
        'api',
        'projections',
        'processes',
      ]);
      for (const [name, { environment: given, command, secrets }] of ours) {
        const [, , roles] = command as string[];
        const env = Object.fromEntries(
          Object.entries(given as Tree).map(([key, value]) => [key, filled(value).replace('$$', '$')]),
        );
        const named = roles === undefined ? {} : { JETLEDGER_SERVICE__ROLES: roles };
        const config = loadConfig({ env: { ...env, ...named }, dir: join(ROOT, 'configs') });
        expect([name, config.environment, config.http.host]).toEqual([name, environment, '0.0.0.0']);
        const user = await userOf(config);
        expect([name, config.nats.nkeySeedFile, secrets]).toEqual([
          name,
          `/run/secrets/${user}`,
          ['ca', user],
        ]);
      }
    },
  );

  it('asks for nothing that the example of its variables does not have', async () => {
    const example = await read('deploy/compose.env.example');
    const asked = (await read('deploy/compose.yaml')).matchAll(/\$\{(\w+)/g);
    for (const [, name] of asked) expect(example).toContain(`\n${name}=`);
  });
});

/** The user that a process logs in as, where JetStream is set to answer for that one. */
async function userOf({ nats }: Config): Promise<string> {
  const user = nats.inboxPrefix.replace('_INBOX_', '');
  const { variablesOf } = (await import(new URL('../../deploy/nats-roles.mjs', import.meta.url).href)) as {
    variablesOf: (name: string) => Record<string, string>;
  };
  const env = { JETLEDGER_ENV: 'test', ...variablesOf(user) };
  const { apiPrefix, viewsApiPrefix } = loadConfig({ env, dir: join(ROOT, 'configs') }).nats;
  expect([user, nats.apiPrefix, nats.viewsApiPrefix]).toEqual([user, apiPrefix, viewsApiPrefix]);
  return user;
}

describe('deploy/Dockerfile', () => {
  it('is a valid Dockerfile', async () => {
    expect(validateDockerfile(await read('deploy/Dockerfile'))).toEqual([]);
    expect(validateDockerfile('FROM node\nCOPPY a b\n')).not.toEqual([]);
  });

  it('copies what exists and .dockerignore lets through, from images with an exact version', async () => {
    const dockerfile = await read('deploy/Dockerfile');
    const ignore = (await read('.dockerignore')).split('\n').filter((line) => line.startsWith('!'));
    const allowed = ignore.map((line) => line.slice(1).replace(/\*.*$/, ''));
    const copies = [...dockerfile.matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(([, paths]) =>
      (paths ?? '').split(' '),
    );
    expect(copies.length).toBeGreaterThan(6);
    for (const path of copies) {
      await access(join(ROOT, path));
      expect([path, allowed.some((one) => one === path || dirname(one) === path)]).toEqual([path, true]);
    }
    for (const [, image] of dockerfile.matchAll(/^FROM (\S+)/gm)) expect(image).toMatch(/:\d+\.\d+\.\d+-/);
    expect(dockerfile).toMatch(/^USER \d+:\d+$/m);
  });
});
