import { describe, expect, it } from 'vitest';
import { type AuditOptions, type AuditResult, runAudit } from '../audit/run.ts';

// The long form is `npm run audit`. Seeds are fixed, but processes and servers take their own time.

const audit = (options: Omit<AuditOptions, 'seed' | 'writers'>): Promise<AuditResult> =>
  runAudit({ ...options, seed: 20_260, writers: 3 });

describe.concurrent('the event store, audited while it is tortured', () => {
  it('keeps every promise on one server', { timeout: 120_000 }, async () => {
    const { report, faults } = await audit({
      topology: 'r1',
      seconds: 12,
      faults: [
        'drop-acks',
        'kill-server',
        'kill-writer',
        'late-publishes',
        'cut-connections',
        'pause-server',
      ],
    });
    expect(report).toMatchObject({ lost: 0, duplicated: 0, violated: 0, violations: [] });
    expect(report.acknowledged).toBeGreaterThan(0);
    expect(faults.get('kill-server')).toBeGreaterThan(0);
  });

  it('keeps every promise on three servers whose leader is killed', { timeout: 180_000 }, async () => {
    const { report, faults } = await audit({
      topology: 'r3',
      seconds: 15,
      faults: ['kill-leader', 'kill-writer', 'drop-acks', 'move-leader'],
    });
    expect(report).toMatchObject({ lost: 0, duplicated: 0, violated: 0, violations: [] });
    expect(report.acknowledged).toBeGreaterThan(0);
    expect(faults.get('kill-leader')).toBeGreaterThan(0);
  });

  // With reads that are confirmed by the leader it does not: `eventstore-audit-broken.test.ts`.
  it('keeps every promise on three servers whose leader is cut off, and answers', {
    timeout: 180_000,
  }, async () => {
    const { report, faults } = await audit({ topology: 'r3', seconds: 4, faults: ['partition'] });
    expect(report).toMatchObject({ lost: 0, duplicated: 0, violated: 0, staleReads: 0, violations: [] });
    expect(report.reads).toBeGreaterThan(0);
    expect(faults.get('partition')).toBeGreaterThan(0);
  });
});
