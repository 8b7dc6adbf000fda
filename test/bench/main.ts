import { readFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { toolOptions } from '../support/tool-options.ts';
import { appendScenario } from './append.ts';
import { commandScenario, durableCommandScenario } from './commands.ts';
import { byHandScenario } from './commands-by-hand.ts';
import { deployScenario } from './deploy.ts';
import { durableScenario } from './durable.ts';
import { hotScenario } from './hot.ts';
import { httpScenario } from './http.ts';
import { wholeOrderScenario } from './http-whole.ts';
import { lagScenario } from './lag.ts';
import { ledgerScenario } from './ledger.ts';
import { memoryScenario } from './memory.ts';
import { openScenario } from './open.ts';
import { privacyScenario } from './privacy.ts';
import { queriesScenario } from './queries.ts';
import { readsScenario } from './reads.ts';
import { rebuildScenario } from './rebuild.ts';
import { type RunFacts, renderTable, replaceTables } from './render.ts';
import { replayScenario } from './replay.ts';
import type { Scenario } from './result.ts';
import { scaleScenario } from './scale.ts';
import { tailsScenario } from './tails.ts';
import { telemetryScenario } from './telemetry.ts';
import { webhooksScenario } from './webhooks.ts';

/** Every scenario, in the order of the page. Another one is one line here. */
const scenarios: readonly ((peers: boolean) => Scenario)[] = [
  () => appendScenario,
  () => durableScenario,
  commandScenario,
  durableCommandScenario,
  () => ledgerScenario,
  byHandScenario,
  () => hotScenario,
  () => openScenario,
  () => scaleScenario,
  () => deployScenario,
  () => readsScenario,
  () => queriesScenario,
  () => replayScenario,
  () => rebuildScenario,
  () => memoryScenario,
  () => lagScenario,
  httpScenario,
  () => wholeOrderScenario,
  () => telemetryScenario,
  () => privacyScenario,
  () => tailsScenario,
  () => webhooksScenario,
];

const names = scenarios.map((make) => make(false).name);
const USAGE = `npm run bench -- [--only NAME[,NAME]] [--rounds N] [--scale F] [--peers] [--write]

Measures the product and, beside it, the bare client on the same server doing the same work, in turns.

  --only NAMES   some of ${names.join(', ')}
  --rounds N     how often each side is measured; 5 unless given
  --scale F      amounts of work and seconds, as a share of those of the issue; 1 unless given
  --peers        beside emmett on PostgreSQL as well, which is installed for it
  --write        puts the tables into docs/benchmarks.md; those of other scenarios stay`;
const values = toolOptions(USAGE, {
  only: { type: 'string' },
  rounds: { type: 'string', default: '5' },
  scale: { type: 'string', default: '1' },
  peers: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
});
const PAGE = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));
const [rounds, scale] = [Number(values.rounds), Number(values.scale)];
const known = scenarios.map((make) => make(values.peers));
const chosen = chosenOf(values.only?.split(','));
if (chosen === undefined || !Number.isInteger(rounds) || rounds < 1 || !(scale > 0)) {
  console.error(USAGE);
  process.exit(2);
}

const about = await facts();
const tables = new Map<string, string>();
for (const { name, title, run } of chosen) {
  console.log(`\n${title}`);
  const rows = await run({ rounds, scale, print: (line) => console.log(`  ${line}`) });
  const table = renderTable({ name, title, rows }, about);
  tables.set(title, table);
  console.log(`\n${table}`);
}
if (values.write) {
  const page = await readFile(PAGE, 'utf8');
  const order = known.map(({ title }) => title);
  await writeFile(PAGE, replaceTables(page, tables, order));
  console.log('docs/benchmarks.md is written.');
}
// A scenario that forgot a timer must not keep the results waiting.
process.exit(0);

function chosenOf(only: readonly string[] | undefined): readonly Scenario[] | undefined {
  if (only === undefined) return known;
  const found = known.filter(({ name }) => only.includes(name));
  return found.length === only.length ? found : undefined;
}

async function facts(): Promise<RunFacts> {
  const [cpu] = cpus();
  const { version } = await testServerBinary();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} cores of ${cpu?.model.trim() ?? 'a CPU'}, ${memory} GiB, ${process.platform}`,
    versions: `Node.js ${process.versions.node}, nats-server ${version}`,
    settings: `${rounds} rounds, scale ${scale}`,
  };
}
