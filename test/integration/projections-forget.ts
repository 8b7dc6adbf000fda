import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { at } from '../../src/cli/demo.ts';
import { bucketStream } from '../../src/eventstore/nats/nats-bucket.ts';
import type { TestServer } from '../../src/testing/nats-server.ts';

/**
 * Kills the server so that the buckets lose what they acknowledged in the last `ms` milliseconds: a clean suffix, as a
 * stream with `persist_mode: async` may at any kill, only here at each. Their files are put back to what a kill at the
 * earlier moment would have left. The server is down afterwards.
 */
export async function killForgetting(
  server: TestServer,
  buckets: readonly string[],
  ms: number,
): Promise<void> {
  const varz: unknown = await (await fetch(`${server.monitorUrl}/varz`)).json();
  const streams = join(String(at(varz, 'jetstream', 'config', 'store_dir')), '$G', 'streams');
  const earlier = await mkdtemp(join(tmpdir(), 'jetledger-earlier-'));
  const names = buckets.map(bucketStream);
  try {
    server.signal('SIGSTOP');
    for (const name of names) await cp(join(streams, name), join(earlier, name), { recursive: true });
    server.signal('SIGCONT');
    await delay(ms);
    await server.kill9();
    for (const name of names) {
      await rm(join(streams, name), { recursive: true });
      await cp(join(earlier, name), join(streams, name), { recursive: true });
    }
  } finally {
    await rm(earlier, { recursive: true, force: true });
  }
}
