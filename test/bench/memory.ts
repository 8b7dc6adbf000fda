import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask } from '../e2e/client.ts';
import { openTestLog } from '../support/nats-log.ts';
import { createDataDir, runCommand } from '../support/service-process.ts';
import { prepareServer, startServiceOn, variablesFor } from './http-service.ts';
import { ratioOf, rounded, scaled } from './measure.ts';
import { fillOrders } from './order-log.ts';
import type { BenchOptions, Scenario } from './result.ts';

const EVENTS = 1_000_000;
const LEAST = 20_000;
const CATCH_UP_MS = 20 * 60_000;
const REBUILD_MS = 10 * 60_000;
const RESIDENT = /^process_resident_memory_bytes(?:\{[^}]*\})? (\S+)/m;

/** What a rebuild leaves in the memory of a service that runs meanwhile; the rebuild is a process of its own. */
export const memoryScenario: Scenario = {
  name: 'memory',
  title: 'Resident memory of a service with its views caught up, before and after `jetledger rebuild orders`',
  run: async ({ rounds, scale, print }: BenchOptions) => {
    await using server = await startTestServer();
    await prepareServer(server.url);
    const events = scaled(EVENTS, scale, LEAST);
    {
      await using opened = await openTestLog(server.url);
      await fillOrders(opened.log, events);
    }
    print(`the log holds ${events} events; the service catches up`);
    await using service = await startServiceOn(server.url, 'api,projections');
    await until('the service has caught up', () => caughtUp(service.url), CATCH_UP_MS);
    const [before, after]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      before.push(await residentMebibytes(service.url));
      await rebuildOrders(server.url);
      await until('the service has caught up again', () => caughtUp(service.url), CATCH_UP_MS);
      after.push(await residentMebibytes(service.url));
      print(`${before.at(-1)} MiB, after the rebuild ${after.at(-1)} MiB`);
    }
    return [
      {
        name: `15. after a rebuild of ${events.toLocaleString('en-US')} events / before it`,
        ratio: ratioOf(after, before),
        goal: 1.3,
        lowerIsBetter: true,
        product: rounded(after),
        baseline: rounded(before),
        unit: 'MiB',
      },
    ];
  },
};

async function caughtUp(url: string): Promise<boolean> {
  const { body } = await ask(url, 'GET', '/health/ready');
  const { checks } = body as { readonly checks: Readonly<Record<string, { readonly detail?: string }>> };
  const views = Object.entries(checks).filter(([name]) => name.startsWith('view '));
  return views.length > 0 && views.every(([, { detail = '' }]) => detail.endsWith(', 0 behind'));
}

async function residentMebibytes(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const bytes = Number(RESIDENT.exec(text)?.[1]);
  if (!(bytes > 0)) throw new Error('the service does not say how much memory it has');
  return Math.round(bytes / 2 ** 20);
}

async function rebuildOrders(nats: string): Promise<void> {
  await using data = await createDataDir();
  const { code, stderr } = await runCommand(
    ['rebuild', 'orders'],
    variablesFor(nats, data.variables),
    REBUILD_MS,
  );
  if (code !== 0) throw new Error(`the rebuild ended with ${code}:\n${stderr}`);
}
