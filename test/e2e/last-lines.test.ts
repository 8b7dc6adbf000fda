import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { serviceBuild } from '../support/service-build.ts';

/** More than a pipe holds, so that some of them wait for their reader. */
const LINES = 1_500;
const PROCESSES = 3;
const SLOW_MS = 100;

/** Logs, and ends the process in some way. */
const program = (built: string, end: string): string => `
  const { createLogger, linesWritten } = await import(${JSON.stringify(`${built}/platform/logger.js`)});
  const { configDir, loadConfig } = await import(${JSON.stringify(`${built}/platform/config/load.js`)});
  const env = { JETLEDGER_ENV: 'test', JETLEDGER_LOGGING__LEVEL: 'info' };
  const log = createLogger(loadConfig({ env, dir: configDir({}) }));
  for (let line = 0; line < ${LINES}; line++) {
    log[line % 100 === 7 ? 'warn' : 'info']({ line }, 'closed');
    if (line % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  ${end}`;

it.each([
  ['is ended after its lines are written', 'await linesWritten(log); process.exit(0);'],
  ['has nothing left to do', ''],
  ['is ended at once', 'process.exit(0);'],
  ['ends by an exception that nobody catches', 'throw new Error("broken");'],
])('the last lines of a process that %s are all there, in order', async (_how, end) => {
  const built = pathToFileURL(join(dirname(await serviceBuild()), '..')).href;
  const args = ['--input-type=module', '--eval', program(built, end)];
  const inOrder = Array.from({ length: LINES }, (_, line) => line);
  const outputs = Array.from({ length: PROCESSES }, async () => {
    const { stdout } = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    await delay(SLOW_MS);
    return text(stdout);
  });
  for (const output of await Promise.all(outputs)) {
    expect([...output.matchAll(/"line":(\d+)/g)].map(([, line]) => Number(line))).toEqual(inOrder);
  }
});
