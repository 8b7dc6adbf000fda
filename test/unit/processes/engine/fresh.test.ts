import { expect, test } from 'vitest';
import type { RecordedCommit } from '../../../../src/eventstore/log.ts';
import { createDecode, createHandle } from '../../../../src/processes/engine/delivery.ts';
import type { DeliveryAttempt } from '../../../../src/processes/engine/observer.ts';
import { added, counter, counterRef, toyCommit } from '../../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../../src/testing/memory-log.ts';
import { service } from '../../eventstore/kernel.ts';

const DECIDED_AT = 1_900_000_000_000;

/** Whether a commit is handed on as a fresh one. */
async function isFresh(more: Partial<DeliveryAttempt>, ageMs: number): Promise<boolean> {
  const log = createMemoryLog();
  await log.append(counterRef('a'), 0, toyCommit('c1', [added(1)]));
  const [commit] = (await log.read(counterRef('a'), { after: 0, confirm: true })).commits;
  if (commit === undefined) throw new Error('nothing was stored');
  const given: (RecordedCommit | undefined)[] = [];
  const handle = createHandle({
    consumer: {
      name: 'test',
      sources: [counter],
      from: 'beginning',
      handle: async (_delivery, { fresh }) => void given.push(fresh),
    },
    handler: service().handler,
    runtime: { now: () => DECIDED_AT + ageMs },
    decode: createDecode([counter]),
    policy: () => ({ action: 'stop' }),
    observer: undefined,
    failed: () => undefined,
  });
  const tried = { consumer: 'test', commit, attempt: 1, redriven: false, maybeHandled: false, ...more };
  expect(await handle(tried)).toEqual({ handled: true });
  return given[0] === commit;
}

test('a commit is fresh at its first try, soon after it was decided, and where nobody can have handled it before', async () => {
  expect(await isFresh({}, 10)).toBe(true);
  expect(await isFresh({}, -10_000)).toBe(true);
  expect(await isFresh({}, 10_000)).toBe(false);
  expect(await isFresh({ attempt: 2 }, 10)).toBe(false);
  expect(await isFresh({ redriven: true }, 10)).toBe(false);
  expect(await isFresh({ maybeHandled: true }, 10)).toBe(false);
});
