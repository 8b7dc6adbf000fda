import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CommandResult } from '../../../src/eventstore/command.ts';
import type { Rejection } from '../../../src/eventstore/decider.ts';
import { createHandler, type HandlerDeps } from '../../../src/eventstore/handler.ts';
import type { WrongSnapshot } from '../../../src/eventstore/snapshots/snapshots.ts';
import {
  type CounterCommand,
  type CounterEvent,
  counter,
  counterRef,
  toyValues,
} from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { manualRuntime, mapStore, meta, rest } from '../../unit/eventstore/kernel.ts';

interface Step {
  readonly id: string;
  readonly key: number;
  readonly command: CounterCommand;
  readonly expected: 'any' | 'none' | 'exists';
  /** Sent together with the step before it. */
  readonly beside: boolean;
}

const command: fc.Arbitrary<CounterCommand> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), by: fc.integer({ min: -9, max: 9 }) }),
  fc.record({ kind: fc.constant('note' as const), text: fc.constantFrom('x', 'y', 'z') }),
);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    id: fc.constantFrom('a', 'b', 'c'),
    // Few keys: commands are repeated, and keys used for something else.
    key: fc.nat({ max: 15 }),
    command,
    expected: fc.constantFrom('any', 'any', 'any', 'none', 'exists'),
    beside: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
);

/** The bursts of a plan: what is sent at once. */
function bursts(plan: readonly Step[]): Step[][] {
  const all: Step[][] = [];
  for (const step of plan) {
    if (step.beside && all.length > 0) all.at(-1)?.push(step);
    else all.push([step]);
  }
  return all;
}

type Deps = Omit<HandlerDeps, 'log' | 'runtime'> & { readonly groupCommit?: boolean };

/** Everything of a run that must not depend on a setting: no versions and commit ids, since those do. */
async function outcome(plan: readonly Step[], deps: Deps, processes = 1) {
  const log = createMemoryLog({ groupCommit: deps.groupCommit ?? false });
  const runtime = manualRuntime();
  // Sleeps of this clock pass at once and move it, those of snapshots too.
  const settings = { deadlineMs: 60_000, ...deps.settings };
  const handlers = Array.from({ length: processes }, () =>
    createHandler({ log, runtime, ...deps, settings }),
  );
  const answers: unknown[] = [];
  for (const [turn, burst] of bursts(plan).entries()) {
    const handler = handlers[turn % processes];
    if (handler === undefined) throw new RangeError('no process');
    const results = burst.map((s) =>
      handler.execute(counter, s.id, s.command, meta(`key-${s.key}`, JSON.stringify(s.command)), {
        expected: s.expected,
      }),
    );
    answers.push((await Promise.all(results)).map(withoutVersion));
  }
  for (const handler of handlers) await handler.close();
  await rest();
  expect(wrong).toEqual([]);
  const logs = ['a', 'b', 'c'].map(async (id) => {
    const { commits } = await log.read(counterRef(id), { after: 0, confirm: true });
    return commits.flatMap((c) => c.decisions.map((d) => [d.commandId, ...toyValues([d])]));
  });
  return { answers, logs: await Promise.all(logs) };
}

function withoutVersion(result: CommandResult<unknown, CounterEvent, Rejection>): unknown {
  switch (result.outcome) {
    case 'accepted':
      return ['accepted', result.state, result.events.map((e) => e.value), result.repeated];
    case 'unchanged':
      return ['unchanged', result.state];
    case 'rejected':
      return ['rejected', result.rejection.code];
    case 'conflict':
      return ['conflict', result.expected, result.actual > 0];
    case 'key-reused':
      return ['key-reused'];
  }
}

/** Every load is verified; what a verification finds is collected. */
const wrong: WrongSnapshot[] = [];
const snapshots = (): Deps => ({
  snapshots: {
    store: mapStore(),
    settings: { verifyShare: 1, fewestCommands: 2 },
    onWrong: (found) => wrong.push(found),
  },
});

const ways: Readonly<Record<string, () => Deps>> = {
  'without coalescing': () => ({ settings: { maxBatch: 1 } }),
  'without a cache': () => ({ settings: { cacheEntries: 0 } }),
  'with a cache of one aggregate': () => ({ settings: { cacheEntries: 1 } }),
  'with batches of different aggregates': () => ({ groupCommit: true }),
  'with snapshots': snapshots,
  'with snapshots and without a cache': () => ({
    ...snapshots(),
    settings: { cacheEntries: 0, maxBatch: 3 },
  }),
};

describe('the same commands', () => {
  it.each(Object.entries(ways))('give the same log and the same answers %s', async (_, way) => {
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        expect(await outcome(plan, way())).toEqual(await outcome(plan, {}));
      }),
      { numRuns: 60 },
    );
  });

  it('give the same log and the same answers when they take turns through three processes', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        expect(await outcome(plan, snapshots(), 3)).toEqual(await outcome(plan, {}));
      }),
      { numRuns: 60 },
    );
  });
});
