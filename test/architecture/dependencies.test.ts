import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

const readJson = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(new URL(`../../${name}`, import.meta.url), 'utf8'));

const { packages } = (await readJson('package-lock.json')) as { packages: Record<string, Locked> };
const installed = Object.entries(packages).filter(([path]) => path !== '');
const production = installed.filter(([, { dev }]) => dev !== true);

describe('the packages of the production tree', () => {
  it('have one exact version each, which package.json names', async () => {
    const { dependencies } = (await readJson('package.json')) as { dependencies: Record<string, string> };
    for (const [name, version] of Object.entries(dependencies)) {
      expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
      expect(packages[`node_modules/${name}`]?.version).toBe(version);
    }
  });

  it('run no script when they are installed', () => {
    expect(production.length).toBeGreaterThan(50);
    expect(
      production.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => path),
    ).toEqual([]);
  });
});

it('every package is checked against a hash when it is installed', () => {
  expect(installed.filter(([, { integrity = '' }]) => !/^sha512-/.test(integrity))).toEqual([]);
});

it('the few tools that have an install script are told not to run it', async () => {
  const { allowScripts } = (await readJson('package.json')) as { allowScripts: Record<string, boolean> };
  const having = installed.filter(([, { hasInstallScript }]) => hasInstallScript === true);
  const names = having.map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 13));
  expect(Object.entries(allowScripts).sort()).toEqual(names.sort().map((name) => [name, false]));
});
