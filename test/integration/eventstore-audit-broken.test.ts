import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { AuditReport } from '../audit/report.ts';
import { type AuditOptions, runAudit } from '../audit/run.ts';

/** Writers in each other's way all the time. */
const CROWDED = { hot: 2, cold: 4, callers: 8, readers: 1, pauseMs: 10 };

/** The report on a log that breaks its promises in a way we know. */
async function auditBroken(
  options: Pick<AuditOptions, 'broken' | 'faults'> & Partial<AuditOptions>,
): Promise<AuditReport> {
  const common = { topology: 'r1', seconds: 4, seed: 3, writers: 2, load: CROWDED } as const;
  const { report, kept } = await runAudit({ ...common, ...options });
  if (kept !== undefined) await rm(kept, { recursive: true, force: true });
  return report;
}

describe.concurrent('the audit itself', () => {
  it('reports decisions on stale states when commits are stored without their expectation', {
    timeout: 90_000,
  }, async () => {
    const report = await auditBroken({ broken: 'no-expectation', faults: ['calm'] });
    expect(report.violated).toBeGreaterThan(0);
    expect(report.violations.map((violation) => violation.fault)).toContain('illegal');
  });

  it('reports lost commits when they are acknowledged before they are stored', {
    timeout: 90_000,
  }, async () => {
    const report = await auditBroken({ broken: 'early-acks', faults: ['drop-publishes', 'kill-server'] });
    expect(report.lost).toBeGreaterThan(0);
  });

  it('reports stale reads when they are confirmed by a leader that is cut off from its peers', {
    timeout: 120_000,
  }, async () => {
    const report = await auditBroken({
      topology: 'r3',
      writers: 3,
      faults: ['partition'],
      confirm: 'leader',
      load: { hot: 3, cold: 10, callers: 3, readers: 2, pauseMs: 30 },
    });
    expect(report.staleReads).toBeGreaterThan(0);
    expect(report.violations.map((violation) => violation.fault)).toContain('stale-read');
    // What is stored is another matter.
    expect(report).toMatchObject({ lost: 0, duplicated: 0 });
  });
});
