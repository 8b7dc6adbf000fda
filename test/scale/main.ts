import { measureKeys } from './keys.ts';
import { describeMachine } from './machine.ts';
import { measureAll } from './measure.ts';
import { readOptions, type ScaleOptions } from './options.ts';
import { formatReport } from './report.ts';
import { type Footprint, footprintOf, restartAll } from './restarts.ts';
import { measureStates } from './states.ts';
import { openWorld, type ScaleLog, type World } from './world.ts';

const RESTARTS = 3;
let interrupted = false;

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
    if (!interrupted) console.error(error instanceof RangeError ? error.message : error);
    process.exitCode = 1;
  }
}

async function run({ aggregates, sizes, rounds, data, cipher, states, keys }: ScaleOptions): Promise<void> {
  const startedAt = performance.now();
  const progress = (line: string): void => {
    console.error(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(6)} s  ${line}`);
  };
  const world = await openWorld({ data, cipher }, progress);
  endOnSignals(async () => {
    progress('stopping the servers');
    await world.close();
  });
  try {
    if (keys) await tellKeys(world, aggregates);
    else if (states) await tellStates(world, sizes, progress);
    else await compare(world, sizes, rounds, progress);
    progress('done');
  } finally {
    await world.close();
  }
}

async function tellStates(
  world: World,
  sizes: readonly number[],
  progress: (line: string) => void,
): Promise<void> {
  console.log(await describeMachine());
  for (const size of sizes) console.log(await measureStates(await world.addLog(size), progress));
}

async function tellKeys(world: World, count: number): Promise<void> {
  console.log(await describeMachine());
  await measureKeys(await world.addServer('keys'), count, (line) => console.log(`- ${line}`));
}

async function compare(
  world: World,
  sizes: readonly number[],
  rounds: number,
  progress: (line: string) => void,
): Promise<void> {
  const logs: ScaleLog[] = [];
  for (const size of sizes) {
    progress(`writing ${size.toLocaleString('en')} aggregates`);
    logs.push(await world.addLog(size));
  }
  const loaded = new Map<ScaleLog, Footprint>();
  for (const log of logs) loaded.set(log, await footprintOf(log));
  progress('measuring, default sync');
  const relaxed = await measureAll(logs, rounds, progress);
  progress('restarting the servers');
  const restarts = await restartAll(logs, RESTARTS, progress);
  for (const { server } of logs) await server.restart('SIGTERM', true);
  progress('measuring, sync_interval: always');
  const durable = await measureAll(logs, rounds, progress);
  const machine = await describeMachine();
  console.log(formatReport({ machine, rounds, logs, loaded, relaxed, restarts, durable }));
}

/** Cleans up and ends with the status that shells expect; what fails meanwhile fails because of that. */
function endOnSignals(cleanUp: () => Promise<void>): void {
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      interrupted = true;
      void cleanUp().finally(() => process.exit(status));
    });
  }
}
