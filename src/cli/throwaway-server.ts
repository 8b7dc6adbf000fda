import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../platform/config/schema.ts';
import { startEmbeddedServer } from '../platform/nats-server/embedded.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';

/** Work with a nats-server of its own on loopback, gone afterwards with its data. */
export async function withThrowawayServer<T>(
  { nats }: Config,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const { binary: explicit, dataDir: beside } = nats.embedded;
  const binary = await resolveNatsServer({ explicit, cacheDir: `${beside}/nats-server` });
  const dataDir = await mkdtemp(join(tmpdir(), 'jetledger-verify-'));
  try {
    const server = await startEmbeddedServer({
      binary,
      dataDir,
      port: -1,
      monitorPort: -1,
      syncAlways: false,
    });
    try {
      return await work(server.url);
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
