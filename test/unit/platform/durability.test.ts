import { describe, expect, it } from 'vitest';
import {
  durabilityProblem,
  type GroupCommitSettings,
  groupCommitMode,
} from '../../../src/platform/durability.ts';

const always = { durability: 'always', assertSyncAlways: false } as const;
const replicated = { durability: 'replicated', assertSyncAlways: false } as const;

describe('the durability guard', () => {
  it('is content with a server that syncs before it acknowledges', () => {
    expect(durabilityProblem(always, 1, 'always')).toBeUndefined();
  });

  it('names the setting when the server acknowledges first', () => {
    expect(durabilityProblem(always, 3, 'not-always')).toContain('sync_interval: always');
  });

  it('wants to be told where it cannot read the setting', () => {
    expect(durabilityProblem(always, 1, 'unreadable')).toContain('nats.monitorUrls');
  });

  it('takes the word of the operator only for what it cannot read', () => {
    const asserted = { ...always, assertSyncAlways: true };
    expect(durabilityProblem(asserted, 1, 'unreadable')).toBeUndefined();
    expect(durabilityProblem(asserted, 1, 'not-always')).toContain('sync_interval: always');
  });

  it('counts replicas instead of syncs only when that was chosen', () => {
    expect(durabilityProblem(replicated, 3, 'not-always')).toBeUndefined();
    expect(durabilityProblem(replicated, 1, 'always')).toContain('3 or more');
  });

  it('is never content without any durability', () => {
    expect(durabilityProblem({ ...always, durability: 'none' }, 5, 'always')).toContain('power cut');
  });
});

describe('commits that share a batch', () => {
  const config = (
    log: Partial<GroupCommitSettings['log']>,
    groupCommit: 'auto' | 'off' = 'auto',
  ): GroupCommitSettings => ({
    log: { durability: 'always', replicas: 1, ...log },
    commands: { groupCommit },
  });

  it('are tried where each write costs a disk or a quorum its time, and not on one server that does not sync', () => {
    expect(groupCommitMode(config({}), 'always')).toBe('auto');
    expect(groupCommitMode(config({}), 'unreadable')).toBe('auto');
    expect(groupCommitMode(config({}), 'not-always')).toBe('off');
    expect(groupCommitMode(config({ durability: 'none' }), 'unreadable')).toBe('off');
    expect(groupCommitMode(config({ durability: 'none' }), 'always')).toBe('auto');
    expect(groupCommitMode(config({ replicas: 3 }), 'not-always')).toBe('auto');
  });

  it('are not tried where that is switched off', () => {
    expect(groupCommitMode(config({}, 'off'), 'always')).toBe('off');
  });
});
