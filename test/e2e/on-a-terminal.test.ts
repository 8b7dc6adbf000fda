import { execFileSync, spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer, testServerBinary } from '../../src/testing/nats-server.ts';
import { serviceBuild } from '../support/service-build.ts';
import { createDataDir, type DataDir, runCommand } from '../support/service-process.ts';

/** Of util-linux: runs a command on a pseudo-terminal. */
const SCRIPT = 'script';
const hasScript = ((): boolean => {
  try {
    return execFileSync(SCRIPT, ['--version'], { encoding: 'utf8' }).includes('util-linux');
  } catch {
    return false;
  }
})();
const reason = hasScript ? '' : ' (NOT RUN: there is no script of util-linux, which makes a pseudo-terminal)';

let server: TestServer;
let data: DataDir;
let variables: Readonly<Record<string, string>>;
beforeAll(async () => {
  server = await startTestServer();
  data = await createDataDir();
  variables = {
    ...data.variables,
    NATS_URL: server.url,
    JETLEDGER_LOG__DURABILITY: 'none',
    JETLEDGER_HTTP__PORT: '0',
  };
  expect((await runCommand(['topology', 'apply', '--new-log'], variables)).code).toBe(0);
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await data?.[Symbol.asyncDispose]();
});

/** Runs a command on a pseudo-terminal of a hundred columns; standard output and standard error are one there. */
async function onTerminal(args: string): Promise<{ readonly code: number | null; readonly shown: string }> {
  const program = await serviceBuild();
  const command = `stty cols 100; ${process.execPath} ${program} ${args}`;
  const child = spawn(SCRIPT, ['-qec', command, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      TERM: 'xterm',
      JETLEDGER_NATS__EMBEDDED__BINARY: (await testServerBinary()).path,
      ...variables,
    },
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += String(chunk);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, shown };
}

const DRAWN = '\r\u001b[K';

describe(`the commands on a terminal${reason}`, () => {
  it.runIf(hasScript)(
    'rebuild draws a line over itself and takes it away at the end',
    async () => {
      const { code, shown } = await onTerminal('rebuild users');
      expect(code).toBe(0);
      expect(shown).toMatch(/users \[[#.]{20}\] \d+ of \d+ /);
      // Each drawing begins with the taking away of the one before; what stays is the answer.
      const drawn = shown.trimEnd().split(DRAWN);
      expect(drawn.length).toBeGreaterThan(2);
      expect(drawn.at(-1)).toBe('users: now in jl_users_v1');
      for (const line of drawn.slice(1)) expect(line.length).toBeLessThan(100);
    },
    60_000,
  );

  it.runIf(hasScript)(
    '--json says there what it says in a pipe',
    async () => {
      const { shown } = await onTerminal('config --json');
      expect(JSON.parse(shown)).toEqual(
        JSON.parse((await runCommand(['config', '--json'], variables)).stdout),
      );
    },
    60_000,
  );
});

describe('the commands in a pipe', () => {
  it('say nothing that only a terminal understands, and progress goes to standard error', async () => {
    const rebuilt = await runCommand(['rebuild', 'users'], variables);
    expect(rebuilt.code).toBe(0);
    expect(rebuilt.stdout + rebuilt.stderr).not.toContain('\u001b');
    expect(rebuilt.stdout).toContain('users');
    expect(rebuilt.stdout).not.toMatch(/\[[#.]{20}\]/);
  }, 60_000);
});
