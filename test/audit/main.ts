import { toolOptions } from '../support/tool-options.ts';
import type { Breakage, Confirm, GroupCommit } from './open-log.ts';
import { formatReport, isClean } from './report.ts';
import { type AuditResult, runAudit } from './run.ts';

const USAGE = `npm run audit -- --topology r1|r3 [--minutes 10] [--seed N] [--writers 4] [--faults all|kill-leader,partition] [--broken no-expectation|early-acks] [--group auto|always|off] [--confirm quorum|leader]`;

const values = toolOptions(USAGE, {
  topology: { type: 'string', default: 'r1' },
  minutes: { type: 'string', default: '10' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  writers: { type: 'string', default: '4' },
  faults: { type: 'string' },
  broken: { type: 'string' },
  group: { type: 'string', default: 'always' },
  confirm: { type: 'string', default: 'quorum' },
});
const { topology, broken, group, confirm } = values;
const [minutes, seed, writers] = [values.minutes, values.seed, values.writers].map(Number);
if (
  (topology !== 'r1' && topology !== 'r3') ||
  !isBreakage(broken) ||
  !isGroupCommit(group) ||
  !isConfirm(confirm) ||
  !isPositive(minutes) ||
  !isPositive(seed) ||
  !isPositive(writers)
) {
  console.error(USAGE);
  process.exit(2);
}

console.log(
  `audit of ${topology}: ${minutes} minutes, ${writers} writers, group commit ${group}, reads confirmed by ${confirm}, --seed ${seed}`,
);
const result = await runAudit({
  topology,
  seconds: minutes * 60,
  seed,
  writers,
  faults: values.faults === 'all' ? undefined : values.faults?.split(','),
  broken,
  groupCommit: group,
  confirm,
  onProgress: (line) => console.log(line),
});
print(result);
process.exit(isClean(result.report) ? 0 : 1);

function print({ report, faults, errors, kept }: AuditResult): void {
  console.log(`\nFaults injected:\n${table(faults)}`);
  console.log(`Faults answered to writers:\n${table(errors)}`);
  console.log(`Outcome:\n${formatReport(report)}`);
  if (kept !== undefined) console.log(`The writers' histories are kept in ${kept}`);
}

function table(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `  ${name.padEnd(22)}${String(count).padStart(10)}`).join('\n');
}

function isBreakage(value: string | undefined): value is Breakage | undefined {
  return value === undefined || value === 'no-expectation' || value === 'early-acks';
}

function isGroupCommit(value: string): value is GroupCommit {
  return value === 'auto' || value === 'always' || value === 'off';
}

function isConfirm(value: string): value is Confirm {
  return value === 'quorum' || value === 'leader';
}

function isPositive(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value > 0;
}
