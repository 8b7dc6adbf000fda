import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Breakage } from '../audit/open-log.ts';
import type { AuditReport } from '../audit/report.ts';
import { runAudit } from '../audit/run.ts';

/** Writers in each other's way all the time. */
const CROWDED = { hot: 2, cold: 4, callers: 8, pauseMs: 10 };

/** The report on a log that breaks its promises in a way we know. */
async function auditBroken(broken: Breakage, faults: readonly string[]): Promise<AuditReport> {
  const { report, kept } = await runAudit({
    topology: 'r1',
    seconds: 4,
    seed: 3,
    writers: 2,
    broken,
    faults,
    load: CROWDED,
  });
  if (kept !== undefined) await rm(kept, { recursive: true, force: true });
  return report;
}

describe.concurrent('the audit itself', () => {
  it('reports decisions on stale states when commits are stored without their expectation', {
    timeout: 90_000,
  }, async () => {
    const report = await auditBroken('no-expectation', ['calm']);
    expect(report.violated).toBeGreaterThan(0);
    expect(report.violations.map((violation) => violation.fault)).toContain('illegal');
  });

  it('reports lost commits when they are acknowledged before they are stored', {
    timeout: 90_000,
  }, async () => {
    const report = await auditBroken('early-acks', ['drop-publishes', 'kill-server']);
    expect(report.lost).toBeGreaterThan(0);
  });
});
