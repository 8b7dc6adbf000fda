import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { serviceBuild } from '../support/service-build.ts';

const LINES = 10;
const PROCESSES = 6;

/** Logs as a shutdown does, a line after each thing that was closed, and ends the process. */
const program = (built: string): string => `
  const { createLogger, linesWritten } = await import(${JSON.stringify(`${built}/platform/logger.js`)});
  const { configDir, loadConfig } = await import(${JSON.stringify(`${built}/platform/config/load.js`)});
  const log = createLogger(loadConfig({ env: { JETLEDGER_ENV: 'test' }, dir: configDir({}) }));
  for (let line = 0; line < ${LINES}; line++) {
    log.warn({ line }, 'closed');
    if (line % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await linesWritten(log);
  process.exit(0);`;

it('the last lines of a process that is ended are all there, in order', async () => {
  const built = pathToFileURL(join(dirname(await serviceBuild()), '..')).href;
  const args = ['--input-type=module', '--eval', program(built)];
  const inOrder = Array.from({ length: LINES }, (_, line) => line);
  for (let count = 0; count < PROCESSES; count += 3) {
    const ended = await Promise.all([1, 2, 3].map(() => promisify(execFile)(process.execPath, args)));
    for (const { stdout } of ended) {
      expect([...stdout.matchAll(/"line":(\d+)/g)].map(([, line]) => Number(line))).toEqual(inOrder);
    }
  }
});
