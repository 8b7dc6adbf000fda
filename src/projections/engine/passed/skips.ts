import { createHash } from 'node:crypto';
import { comparePositions, type Marks, numberOf, type Position } from '../../../eventstore/index.ts';

/** The positions that a view passes over: those of its own categories that operators have marked. */
export function passedBy(
  { sources }: { readonly sources: readonly { readonly category: string }[] },
  { skipped }: Marks,
): ReadonlySet<Position> {
  const passed = new Set<Position>();
  for (const { position, stream } of skipped.values()) {
    if (sources.some(({ category }) => category === stream.category)) passed.add(position);
  }
  return passed;
}

const SUFFIX = /-s[0-9a-f]{12}$/;

/** What a view's version says of them: its rows are another fold of the log with each other set. */
export function suffixOf(passed: ReadonlySet<Position>): string {
  if (passed.size === 0) return '';
  const positions = [...passed].sort(comparePositions).map(numberOf).join(',');
  return `-s${createHash('sha256').update(positions).digest('hex').slice(0, 12)}`;
}

/** Whether two versions of a view differ in nothing but in what they pass over. @internal */
export function differInSkips(a: string, b: string): boolean {
  return a !== b && a.replace(SUFFIX, '') === b.replace(SUFFIX, '');
}
