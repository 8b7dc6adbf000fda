import { fileURLToPath } from 'node:url';
import { resolveNatsServer } from '../../src/platform/nats-server/resolve.ts';

/**
 * Finds or fetches nats-server once before any test file starts, so that a first run shows its progress here and no
 * test spends its time limit on a download.
 * @throws ServerNotFound, which ends the run with what was tried
 */
export async function setup(): Promise<void> {
  await resolveNatsServer({
    cacheDir: fileURLToPath(new URL('../../.jetledger/nats-server', import.meta.url)),
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });
}
