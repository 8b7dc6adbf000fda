import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { innocentFiles, plantedImports } from './planted-imports.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Outcome {
  readonly exitCode: number | null;
  /** `<rule>: <file>` of each violation. */
  readonly violations: readonly string[];
  readonly modules: number;
  readonly imports: number;
  readonly output: string;
}

/** Runs the CI's own check in a folder that holds `src`. */
function checkImports(folder: string): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, '.ci/check-imports.mjs')], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  const counts = /^(\d+) modules, (\d+) imports/m.exec(stdout);
  return {
    exitCode: status,
    violations: [...stdout.matchAll(/^([\w-]+: \S+) -> /gm)].map((match) => match[1] ?? ''),
    modules: Number(counts?.[1] ?? 0),
    imports: Number(counts?.[2] ?? 0),
    output: stdout + stderr,
  };
}

describe('the import rules', () => {
  let copy: string;
  let planted: Outcome;

  beforeAll(async () => {
    copy = await mkdtemp(join(tmpdir(), 'jetledger-imports-'));
    for (const part of ['src', 'package.json', 'tsconfig.json']) {
      await cp(join(ROOT, part), join(copy, part), { recursive: true });
    }
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    for (const { file, code } of [...plantedImports, ...innocentFiles]) {
      await mkdir(dirname(join(copy, file)), { recursive: true });
      await writeFile(join(copy, file), code);
    }
    planted = checkImports(copy);
  }, 90_000);

  afterAll(() => rm(copy, { recursive: true, force: true }));

  // With what is planted, so that src is looked through once; `.ci/run` does it without.
  test('hold in src, of which more than nothing was checked', () => {
    const meant = new Set(plantedImports.map(({ file }) => file));
    const others = planted.violations.filter((violation) => !meant.has(violation.split(': ')[1] ?? ''));
    expect(others, planted.output).toEqual([]);
    expect(planted.modules).toBeGreaterThan(50);
    expect(planted.imports).toBeGreaterThan(100);
  });

  test.each(plantedImports.map(({ rule, file }) => [rule, file]))('%s catches %s', (rule, file) => {
    expect(planted.violations, planted.output).toContain(`${rule}: ${file}`);
  });

  test('fail the check when one is broken', () => {
    expect(planted.exitCode).toBe(1);
  });

  test.each(innocentFiles.map(({ file }) => file))('let %s through', (file) => {
    expect(planted.violations.filter((violation) => violation.endsWith(`: ${file}`))).toEqual([]);
  });

  test('are each proven by a planted violation', async () => {
    const config: string = '../../configs/dependency-cruiser.mjs';
    const { default: rules } = (await import(config)) as { default: { forbidden: { name: string }[] } };
    const names = new Set(rules.forbidden.map((rule) => rule.name));
    expect([...names].sort()).toEqual([...new Set(plantedImports.map(({ rule }) => rule))].sort());
  });

  test('fail when there is nothing to check', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'jetledger-imports-'));
    try {
      await mkdir(join(empty, 'src'));
      await cp(join(ROOT, 'tsconfig.json'), join(empty, 'tsconfig.json'));
      await writeFile(join(empty, 'package.json'), '{}');
      expect(checkImports(empty).exitCode).not.toBe(0);
    } finally {
      await rm(empty, { recursive: true, force: true });
    }
  });
});
