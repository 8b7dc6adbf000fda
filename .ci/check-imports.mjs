// Checks who imports whom, by configs/dependency-cruiser.mjs, in the folder this is started in.
// Fails when nothing was checked: a compiler that the tool does not know makes it see no files at all.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const config = `${root}configs/dependency-cruiser.mjs`;
const cruise = spawnSync(
  process.execPath,
  [
    `${root}node_modules/dependency-cruiser/bin/dependency-cruise.mjs`,
    'src',
    '--config',
    config,
    '-T',
    'json',
  ],
  { encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 },
);
if (cruise.error !== undefined || cruise.stdout === '') {
  process.stderr.write(cruise.stderr || String(cruise.error));
  process.exit(2);
}

const { summary } = JSON.parse(cruise.stdout);
const dependencies = summary.totalDependenciesCruised ?? 0;
for (const { rule, from, to, cycle } of summary.violations) {
  const path = cycle?.map((step) => step.name ?? step).join(' -> ') ?? to;
  process.stdout.write(`${rule.name}: ${from} -> ${path}\n`);
}
process.stdout.write(
  `${summary.totalCruised} modules, ${dependencies} imports, ${summary.violations.length} violations\n`,
);
if (summary.totalCruised === 0 || dependencies === 0) process.stdout.write('Nothing was checked.\n');
process.exit(summary.violations.length > 0 || summary.totalCruised === 0 || dependencies === 0 ? 1 : 0);
