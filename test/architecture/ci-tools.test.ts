import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const TOOLS = fileURLToPath(new URL('../../.ci', import.meta.url));

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-ci-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function run(tool: string, ...args: string[]) {
  const { status, stdout } = spawnSync(process.execPath, [join(TOOLS, tool), ...args], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { exitCode: status, output: stdout.trim() };
}

describe('the count of tests', () => {
  const clean = {
    success: true,
    numTotalTests: 3,
    numPassedTests: 3,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [{ status: 'passed', assertionResults: [{ status: 'passed' }] }],
  };

  async function count(report: object | string, exitCode: number): Promise<string> {
    const path = join(folder, 'report.json');
    await writeFile(path, typeof report === 'string' ? report : JSON.stringify(report));
    return run('count-tests.mjs', path, String(exitCode)).output;
  }

  test('is what the report says of a clean run', async () => {
    expect(await count(clean, 0)).toBe('3 0');
  });

  test('counts failed tests, and names those that were skipped', async () => {
    const report = { ...clean, success: false, numPassedTests: 1, numFailedTests: 1, numPendingTests: 1 };
    expect(await count(report, 1)).toBe('1 1 1 skipped');
  });

  test('counts a file that could not be loaded as a failure', async () => {
    const broken = { status: 'failed', assertionResults: [] };
    const report = { ...clean, success: false, testResults: [...clean.testResults, broken] };
    expect(await count(report, 1)).toBe('3 1 1 files could not run');
  });

  test('counts an error outside of the tests as a failure', async () => {
    expect(await count({ ...clean, success: false }, 1)).toBe('3 1 the run itself failed, exit code 1');
    expect(await count(clean, 124)).toBe('3 1 the run itself failed, exit code 124');
  });

  test('counts a run without tests, without a report or with half a report as a failure', async () => {
    const empty = { ...clean, numTotalTests: 0, numPassedTests: 0, testResults: [] };
    expect(await count(empty, 0)).toBe('0 1 no tests ran');
    expect(await count('{"success": tr', 137)).toBe('0 1 no report, exit code 137');
    expect(run('count-tests.mjs', join(folder, 'none.json'), '1').output).toBe('0 1 no report, exit code 1');
  });
});

describe('the check of texts', () => {
  async function check(file: string, text: string) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), `${text}\n`);
    return run('check-texts.mjs', folder);
  }
  // Put together here, so that this file itself passes the check.
  const split = (...parts: string[]): string => parts.join('');

  test.each([
    ['a registry', 'docs/x.md', split('https://registry.', 'npmjs.org/vitest')],
    ['a mirror', 'src/x.ts', split("const from = 'http://deb.", "debian.org/debian';")],
    ['a home folder', 'docs/x.md', split('cd /ho', 'me/ada/jetledger')],
    ['a to-do', 'src/x.ts', split('// TO', 'DO: later')],
    ['a page that is not there', 'deploy/x.mjs', '// docs/adr/0099-nothing.md says why'],
    ['a focused test', 'test/x.test.ts', split('test.on', "ly('x', () => {});")],
    ['a skipped test', 'test/x.test.ts', split('describe.sk', "ip('x', () => {});")],
    [
      'a download address in the lockfile',
      'package-lock.json',
      split('"resolved"', ': "http://127.0.0.1/x.tgz"'),
    ],
  ])('finds %s', async (_name, file, text) => {
    const { exitCode, output } = await check(file, text);
    expect(output).toContain(`${file}:1: `);
    expect(exitCode).toBe(1);
  });

  test('lets plain text through, and leaves out what is not ours', async () => {
    await mkdir(join(folder, 'node_modules'));
    await writeFile(join(folder, 'node_modules', 'x.js'), split('// TO', 'DO: later\n'));
    const { exitCode, output } = await check('src/x.ts', 'export const answer = 42;');
    expect(output).toBe('1 files, 0 problems');
    expect(exitCode).toBe(0);
  });

  test('fails when there is nothing to check', () => {
    expect(run('check-texts.mjs', folder).exitCode).toBe(1);
  });
});
