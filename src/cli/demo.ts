import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { pino } from 'pino';
import { startService } from '../main.ts';
import { ROLES } from '../platform/config/roles.ts';
import type { Config } from '../platform/config/schema.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';
import type { Command } from './command.ts';
import { at, tellStory } from './demo-client.ts';
import { tour } from './demo-tour.ts';

export const demoCommand: Command = {
  name: 'demo',
  usage: '',
  summary: 'Register users, list products, place orders that succeed and fail, show what was stored.',
  help: `Uses the service that runs at the configured address; without one it starts one of its own, with data in a
temporary folder that is removed at the end. Exits with 0 only if everything came out as expected.

Example:
  jetledger demo`,
  run: async (_args, { config, print }) => {
    const running = await findService(config());
    const service =
      running === undefined
        ? await ownService(config(), print)
        : { url: running, stop: async () => undefined };
    print(`JetLedger at ${service.url}${running === undefined ? ' (started for this demo)' : ''}`);
    try {
      const story = tellStory(service.url, print);
      await tour(story);
      const verdict =
        story.failures === 0
          ? styleText('green', 'Everything came out as expected.')
          : styleText('red', `${story.failures} expectation(s) failed.`);
      print(`\n${verdict}`);
      return story.failures === 0 ? 0 : 1;
    } finally {
      await service.stop();
    }
  },
};

async function findService({ http }: Config): Promise<string | undefined> {
  const host = http.host === '0.0.0.0' ? '127.0.0.1' : http.host;
  const url = `http://${host}:${http.port}`;
  try {
    const response = await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(1_000) });
    return response.ok && at(await response.json(), 'status') === 'live' ? url : undefined;
  } catch {
    return undefined;
  }
}

async function ownService(config: Config, print: (line: string) => void) {
  const dataDir = await mkdtemp(join(tmpdir(), 'jetledger-demo-'));
  print('No service is running; starting one with NATS.');
  const { dataDir: usualDir, binary: explicit } = config.nats.embedded;
  const onProgress = print;
  // The program itself is looked for where `serve` keeps it, so that it is fetched once.
  const binary = (await resolveNatsServer({ explicit, cacheDir: join(usualDir, 'nats-server'), onProgress }))
    .path;
  const own: Config = {
    ...config,
    service: { ...config.service, roles: ROLES.join(',') },
    http: { ...config.http, host: '127.0.0.1', port: 0 },
    nats: { ...config.nats, url: '', embedded: { dataDir, port: -1, binary } },
  };
  const service = await startService(own, pino({ level: 'error' }));
  return {
    url: service.url,
    stop: async () => {
      await service.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
