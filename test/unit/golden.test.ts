import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeGolden, type Golden, goldenProblems, keepGolden } from '../../src/testing/golden.ts';
import { GOLDEN_FOLDER, sources } from '../golden/golden.ts';

describe('golden bytes', () => {
  it('exist for every event type and version that the service writes, and decode to what they meant (npm run golden)', () => {
    expect(goldenProblems(sources, GOLDEN_FOLDER)).toEqual([]);
  });

  it('of UserCreated are readable by whoever knows only {user_id = 1; email = 2; created_at = 3}', () => {
    const bytes = '0a02753112056140622e6318808090abea37';
    const golden: Golden = { category: 'user', type: 'UserCreated', schemaVersion: 1, hex: bytes, json: {} };
    expect(decodeGolden(sources, golden)).toEqual({
      userId: 'u1',
      email: 'a@b.c',
      createdAt: '1918330208256',
    });
  });
});

describe('the check of golden bytes', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'golden-'));
    cpSync(GOLDEN_FOLDER, folder, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const spoil = (golden: Partial<Golden>): string[] => {
    const [file] = ['email/EmailClaimed.v1.json'];
    const whole = { category: 'email', type: 'EmailClaimed', schemaVersion: 1, hex: '', json: {}, ...golden };
    writeFileSync(join(folder, file ?? ''), JSON.stringify(whole));
    return goldenProblems(sources, folder);
  };

  it('names what is missing, and what is kept is not written again', () => {
    rmSync(join(folder, 'email/EmailClaimed.v1.json'));
    expect(goldenProblems(sources, folder)).toEqual([
      'email/EmailClaimed.v1.json is missing: keep the bytes of what is stored from now on',
    ]);
    expect(keepGolden(sources, folder)).toEqual(['email/EmailClaimed.v1.json']);
    expect(keepGolden(sources, folder)).toEqual([]);
    expect(goldenProblems(sources, folder)).toEqual([]);
  });

  it('finds bytes that mean something else, that nobody reads, and a file of another name', () => {
    expect(spoil({ json: { userId: 'u2' } })).toEqual(['email/EmailClaimed.v1.json decodes to {}']);
    expect(spoil({ hex: 'ff' })[0]).toMatch(
      /^email\/EmailClaimed.v1.json cannot be read any more: .*not that message/,
    );
    expect(spoil({ type: 'EmailGone' })).toEqual([
      'email/EmailClaimed.v1.json holds email/EmailGone.v1.json',
    ]);
  });
});
