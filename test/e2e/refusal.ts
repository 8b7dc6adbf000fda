import { expect } from 'vitest';
import type { Ended } from '../support/service-process.ts';

/** Expects a refusal to start: one line that says what to do, on standard error, and exit code 1. */
export function expectRefusal(ended: Ended, ...says: readonly string[]): void {
  expect(ended).toMatchObject({ code: 1, signal: null });
  expect(ended.stderr.trim().split('\n')).toHaveLength(1);
  expect(ended.stderr).toMatch(/^jetledger: /);
  for (const text of says) expect(ended.stderr).toContain(text);
}
