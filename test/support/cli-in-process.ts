import type { Command } from '../../src/cli/command.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type TestServer, testServerBinary } from '../../src/testing/nats-server.ts';
import type { Variables } from './service-process.ts';

/** How a command in this process ended, and what it printed. */
export interface RanInProcess {
  readonly code: number;
  readonly text: string;
  /** What it printed, as one JSON value. */
  readonly json: () => Record<string, unknown>;
}

/** Runs a command against a test's server, with the configuration that its variables would give it. */
export async function runInProcess(
  server: Pick<TestServer, 'url' | 'monitorUrl'>,
  command: Command,
  args: readonly string[],
  variables: Variables = {},
  onLine?: (line: string) => void,
): Promise<RanInProcess> {
  const env = {
    JETLEDGER_ENV: 'test',
    NATS_URL: server.url,
    JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl,
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    ...variables,
  };
  return run(command, args, env, onLine);
}

/** Does to the new server of these variables what `jetledger topology apply` does, for tests of what comes after it. */
export async function applyTopology(variables: Variables): Promise<void> {
  const { code, text } = await run(topologyCommand, ['apply', '--new-log'], variables);
  if (code !== 0) throw new Error(text);
}

async function run(
  command: Command,
  args: readonly string[],
  variables: Variables,
  onLine?: (line: string) => void,
): Promise<RanInProcess> {
  const env = { JETLEDGER_NATS__EMBEDDED__BINARY: (await testServerBinary()).path, ...variables };
  const lines: string[] = [];
  const code = await command.run(args, {
    config: (given = {}) => loadConfig({ env: { ...env, ...given }, dir: configDir(env) }),
    logger: () => {
      throw new Error('no command of an operator logs');
    },
    print: (line) => {
      lines.push(line);
      onLine?.(line);
    },
  });
  const text = lines.join('\n');
  return { code, text, json: () => JSON.parse(text) as Record<string, unknown> };
}
