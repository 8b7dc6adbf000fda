import { spawnSync } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { validate as validateDockerfile } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { composeFaults, judge, list, nameOf, type Tree, valuesOf } from '../support/manifests.ts';

const TEMPLATE = fileURLToPath(new URL('../../examples/service', import.meta.url));
const read = (path: string) => readFile(join(TEMPLATE, path), 'utf8');
/** Variables that Node and telemetry read by themselves. */
const STANDARD = /^(NODE_ENV|OTEL_\w+)$/;
const PORT = 3000;

/** The variables that the template's service reads. */
async function known(name: string): Promise<boolean> {
  return STANDARD.test(name) || new RegExp(`\\b${name} = `).test(await read('src/settings.ts'));
}

describe('the proto of a new service', () => {
  it('has the marks of personal data as they are here', async () => {
    const marks = 'proto/jetledger/options/v1/personal.proto';
    expect(await read(marks)).toBe(await readFile(join(TEMPLATE, '../..', marks), 'utf8'));
  });
});

describe('deploy/kubernetes.yaml of a new service', () => {
  const manifests = async () =>
    parseAllDocuments(await read('deploy/kubernetes.yaml')).map((document) => document.toJS() as Tree);

  it('is valid by the schemas of Kubernetes', async () => {
    const all = await manifests();
    expect(all.map(({ kind }) => kind)).toEqual(['Deployment', 'Service', 'PodDisruptionBudget']);
    for (const manifest of all) expect(() => judge(manifest), nameOf(manifest)).not.toThrow();
  });

  it('asks for health where the service answers, and selects what it starts', async () => {
    const all = await manifests();
    const app = await read('src/app.ts');
    const labels = [...valuesOf(all, 'labels')];
    for (const selector of valuesOf(all, 'selector')) {
      const { matchLabels = selector } = selector as Tree;
      expect(labels).toContainEqual(matchLabels);
    }
    const probes = ['livenessProbe', 'readinessProbe'].flatMap((name) => [...valuesOf(all, name)]);
    expect(probes).toHaveLength(2);
    for (const probe of probes) {
      const { path, port } = (probe as Tree).httpGet as Tree;
      expect(app).toContain(`'${path}'`);
      expect([...valuesOf(all, 'ports')].flatMap(list)).toContainEqual({ name: port, containerPort: PORT });
    }
  });

  it('gives the container no rights that it does not need', async () => {
    const [pod] = [...valuesOf(await manifests(), 'template')].map(
      (template) => (template as Tree).spec as Tree,
    );
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true },
    });
    for (const container of list(pod?.containers))
      expect(container).toMatchObject({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { limits: { memory: expect.anything() } },
      });
  });
});

describe('compose.yaml of a new service', () => {
  it('is valid, and names variables and files that there are', async () => {
    const compose = parse(await read('compose.yaml')) as Tree;
    expect(composeFaults(compose)).toEqual([]);
    const variables = [...valuesOf(compose, 'environment')].flatMap((given) => Object.keys(given as Tree));
    expect(variables).toContain('NATS_URL');
    for (const name of variables) expect([name, await known(name)]).toEqual([name, true]);
    const files = [...valuesOf(compose, 'volumes')].flat().filter((path) => String(path).startsWith('./'));
    expect(files).toHaveLength(1);
    for (const path of files) await access(join(TEMPLATE, String(path).split(':')[0] ?? ''));
  });

  it('has a NATS server that takes its configuration and syncs before it acknowledges', async () => {
    const { path } = await testServerBinary();
    const file = join(TEMPLATE, 'deploy/nats.conf');
    const { status, stderr } = spawnSync(path, ['-t', '-c', file], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, expect.stringContaining('is valid')]);
    expect(await readFile(file, 'utf8')).toMatch(/^\s*sync_interval: always$/m);
  });
});

describe('the Dockerfile of a new service', () => {
  it('is valid, copies what there is, and starts what the build makes as nobody special', async () => {
    const dockerfile = await read('Dockerfile');
    expect(validateDockerfile(dockerfile)).toEqual([]);
    // `npm install` and `jetledger new` make these two.
    const made = ['package-lock.json', 'vendor'];
    const copied = [...dockerfile.matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(([, paths = '']) =>
      paths.split(' '),
    );
    expect(copied).toEqual(expect.arrayContaining(['package.json', ...made]));
    for (const path of copied.filter((one) => !made.includes(one))) await access(join(TEMPLATE, path));
    const ignored = (await read('dockerignore')).split('\n');
    for (const path of copied) expect(ignored).not.toContain(path);
    expect(dockerfile).toMatch(/^USER node$/m);
    expect(dockerfile).toContain(`EXPOSE ${PORT}\n`);
    for (const [, name = ''] of dockerfile.matchAll(/(?:^ENV | )([A-Z_]+)=/gm))
      expect([name, await known(name)]).toEqual([name, true]);
    const [, main = ''] = /ENTRYPOINT \["node", "(.+)"\]/.exec(dockerfile) ?? [];
    await access(join(TEMPLATE, main.replace('dist', 'src').replace(/js$/, 'ts')));
  });
});
