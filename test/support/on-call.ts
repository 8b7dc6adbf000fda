import { guard, part } from '../../src/eventstore/commit-all.ts';
import type { Handler } from '../../src/eventstore/handler.ts';
import type { RecordedCommit } from '../../src/eventstore/log.ts';
import { counter, toyValues } from '../../src/testing/contracts/toy.ts';

/**
 * Two counters of which one at least must be above zero: each is lowered under a guard that the other is. Who does so
 * without the guard lowers both at once, which no expectation on one aggregate alone refuses.
 */
export const PAIR = ['left', 'right'] as const;

/** Lowers one of the two by one, while the other is above zero. */
export function lower(handler: Handler, id: (typeof PAIR)[number], commandId: string) {
  const other = id === 'left' ? 'right' : 'left';
  const isAbove = guard(counter, other, ({ total }) =>
    total > 0 ? undefined : { code: 'counter/last', message: 'The other one is at zero.' },
  );
  const lowered = part(counter, id, { kind: 'add', by: -1 });
  return handler.commitAll([lowered, isAbove], { commandId, actor: 'test' });
}

/** Raises one by one, without condition. */
export function raise(handler: Handler, id: (typeof PAIR)[number], commandId: string) {
  return handler.execute(counter, id, { kind: 'add', by: 1 }, { commandId, actor: 'test' });
}

/** The positions at which one was lowered although the other was at zero, by the log's order. */
export function brokenGuards(commits: Iterable<RecordedCommit>): number[] {
  const totals = new Map<string, number>();
  const broken: number[] = [];
  for (const commit of commits) {
    const { id } = commit.stream;
    const by = toyValues([...commit.decisions]).reduce<number>((sum, value) => sum + Number(value), 0);
    const other = id === 'left' ? 'right' : 'left';
    if (by < 0 && (totals.get(other) ?? 0) <= 0) broken.push(Number(commit.position));
    totals.set(id, (totals.get(id) ?? 0) + by);
  }
  return broken;
}
