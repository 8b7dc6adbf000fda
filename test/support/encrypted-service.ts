import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { startService } from '../../src/service/start.ts';
import { runInProcess } from './cli-in-process.ts';
import type { Variables } from './service-process.ts';

/** What test services of one log have in common. */
export const SECRETS = {
  JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
  JETLEDGER_PRIVACY__MASTER_KEYS: 'b2'.repeat(32),
};

/** A service with a folder of its own for its lists, in this process. */
export interface EncryptedService extends AsyncDisposable {
  readonly url: string;
  readonly folder: string;
  /** Kinds of the notifications that it has delivered. */
  readonly notified: readonly string[];
  readonly variables: Variables;
}

/** Makes the log of a new server as these variables say. */
export async function makeLog(
  server: { url: string; monitorUrl: string },
  variables: Variables = {},
): Promise<void> {
  const { code, text } = await runInProcess(server, topologyCommand, ['apply', '--new-log'], {
    ...SECRETS,
    ...variables,
  });
  if (code !== 0) throw new Error(text);
}

/** Starts one on a server whose log is there. */
export async function startEncrypted(
  { url, monitorUrl }: { readonly url: string; readonly monitorUrl: string },
  given: Variables = {},
): Promise<EncryptedService> {
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-encrypted-'));
  const variables = {
    JETLEDGER_ENV: 'test',
    NATS_URL: url,
    JETLEDGER_NATS__MONITOR_URLS: monitorUrl,
    JETLEDGER_NATS__EMBEDDED__DATA_DIR: folder,
    ...SECRETS,
    ...given,
  };
  const notified: string[] = [];
  const write = (line: string): void => {
    const { msg, kind } = JSON.parse(line) as Record<string, string>;
    if (msg === 'notification' && kind !== undefined) notified.push(kind);
  };
  const config = loadConfig({ env: variables, dir: configDir(variables) });
  const service = await startService(config, pino({ level: 'info' }, { write }));
  return {
    ...{ url: service.url, folder, notified, variables },
    [Symbol.asyncDispose]: async () => {
      await service.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
