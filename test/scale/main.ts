import { describeMachine } from './machine.ts';
import { footprintOf, measureAll, restartAll } from './measure.ts';
import { readOptions, type ScaleOptions } from './options.ts';
import { formatReport } from './report.ts';
import { openWorld, type ScaleLog } from './world.ts';

const RESTARTS = 3;

const asked = readOptions(process.argv.slice(2));
if ('help' in asked) {
  console.log(asked.help);
} else if ('wrong' in asked) {
  console.error(`${asked.wrong}\nnpm run scale -- --help tells more.`);
  process.exitCode = 2;
} else {
  try {
    await run(asked.run);
  } catch (error) {
    console.error(error instanceof RangeError ? error.message : error);
    process.exitCode = 1;
  }
}

async function run({ sizes, rounds, data }: ScaleOptions): Promise<void> {
  const startedAt = performance.now();
  const progress = (line: string): void => {
    console.error(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(6)} s  ${line}`);
  };
  const world = await openWorld(data, progress);
  const end = (code: number) => async (): Promise<void> => {
    progress('stopping');
    await world.close();
    process.exit(code);
  };
  process.once('SIGINT', end(130));
  process.once('SIGTERM', end(143));
  try {
    const logs: ScaleLog[] = [];
    for (const size of sizes) {
      progress(`writing ${size.toLocaleString('en')} aggregates`);
      logs.push(await world.addLog(size));
    }
    const loaded = new Map<ScaleLog, Awaited<ReturnType<typeof footprintOf>>>();
    for (const log of logs) loaded.set(log, await footprintOf(log));
    progress('measuring, default sync');
    const relaxed = await measureAll(logs, rounds, progress);
    progress('restarting the servers');
    const restarts = await restartAll(logs, RESTARTS, progress);
    for (const log of logs) await log.server.restart('SIGTERM', true);
    progress('measuring, sync_interval: always');
    const durable = await measureAll(logs, rounds, progress);
    console.log(
      formatReport({ machine: await describeMachine(), rounds, logs, loaded, relaxed, restarts, durable }),
    );
    progress('done');
  } finally {
    await world.close();
  }
}
