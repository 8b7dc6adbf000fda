import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { until } from '../../src/testing/until.ts';
import { createDataDir, runCommand, startCommand, stopService } from '../support/service-process.ts';

const START_MS = 30_000;

/** Default settings: a line for each request, metrics. Whether every write is synced is the server's business here. */
const SHIPPED = {
  JETLEDGER_ENV: 'test',
  JETLEDGER_LOGGING__LEVEL: 'info',
  // A busy machine shall make a measurement slow and not fail it.
  JETLEDGER_NATS__REQUEST_TIMEOUT_MS: '15000',
  JETLEDGER_COMMANDS__DEADLINE_MS: '15000',
};

/** Without what tells of each request. */
export const STRIPPED = { JETLEDGER_LOGGING__LEVEL: 'warn', JETLEDGER_METRICS__ENABLED: 'false' };

/** For a service on a server that syncs every write, so that it knows. */
export const DURABLE = { JETLEDGER_LOG__DURABILITY: 'always', JETLEDGER_LOG__ASSERT_SYNC_ALWAYS: 'true' };

/** A service in a process of its own. */
export interface BenchService extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

/** Makes log, buckets and streams on an empty server, or cluster. */
export async function prepareServer(
  nats: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using data = await createDataDir();
  const { code, stderr } = await runCommand(['topology', 'apply', '--new-log'], {
    ...variablesFor(nats, data.variables),
    ...variables,
  });
  if (code !== 0) throw new Error(`the server could not be prepared:\n${stderr}`);
}

/** Starts `jetledger serve` with these roles as shipped on a server that is prepared, and waits until it answers. */
export async function startServiceOn(
  nats: string,
  roles: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<BenchService> {
  const data = await createDataDir();
  // Its lines go into a file: to read them here would take time from whoever makes the load.
  const lines = await open(join(data.path, 'lines'), 'w');
  const port = await freePort();
  const own = { ...variablesFor(nats, data.variables), JETLEDGER_HTTP__PORT: port, ...variables };
  const running = await startCommand(['serve', '--roles', roles], own, lines.fd);
  await lines.close();
  const url = `http://127.0.0.1:${port}`;
  // Without the read models of others it may never be ready, and answers all the same.
  const answers = async () => !running.alive() || (await fetch(`${url}/health/live`)).ok;
  await until('the service answers', answers, START_MS);
  if (!running.alive()) throw new Error(`the service did not start:\n${running.output().stderr}`);
  return {
    url,
    pid: running.pid,
    [Symbol.asyncDispose]: async () => {
      await stopService(running);
      await data[Symbol.asyncDispose]();
    },
  };
}

/** One key for e-mail addresses for all services of a server; it guards nobody here. */
export function variablesFor(nats: string, data: Readonly<Record<string, string>>): Record<string, string> {
  return { ...SHIPPED, ...data, NATS_URL: nats, JETLEDGER_USERS__EMAIL_KEY: '5a'.repeat(32) };
}

/** A port that nobody listens on. */
async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}
