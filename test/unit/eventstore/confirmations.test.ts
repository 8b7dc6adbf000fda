import { expect, it } from 'vitest';
import type { PublishOutcome } from '../../../src/eventstore/append/resolve-append.ts';
import { part } from '../../../src/eventstore/commit-all.ts';
import {
  createConfirmations,
  untilShown,
  type Witness,
} from '../../../src/eventstore/confirm/confirmations.ts';
import { LogUnavailable, PermissionDenied } from '../../../src/eventstore/errors.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { counter } from '../../../src/testing/contracts/toy.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { add, meta } from './kernel.ts';

/** Fences that are answered by hand, on a clock that sleeping moves. */
function world() {
  let now = 0;
  const sent: ((outcome: PublishOutcome) => void)[] = [];
  const runtime = {
    now: () => now,
    random: () => 0.5,
    id: () => 'id',
    sleep: async (ms: number) => {
      now += ms;
    },
  };
  const confirmations = createConfirmations({
    sendFence: () => new Promise((resolve) => sent.push(resolve)),
    fenceSubject: 'jl.fence',
    runtime,
    deadlineMs: 1_000,
    attemptTimeoutMs: 400,
  });
  const told: (string | number)[] = [];
  const read = (name: string): Promise<void> =>
    confirmations.next().then(
      ({ subject, sequence }) => void told.push(`${name} ${subject} ${sequence}`),
      (error: Error) => void told.push(`${name} ${error.name}`),
    );
  const answer = async (outcome: PublishOutcome): Promise<void> => {
    sent.shift()?.(outcome);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const pass = (ms: number): void => {
    now += ms;
  };
  return { confirmations, read, answer, told, sent, runtime, pass };
}
const stored = (seq: number): PublishOutcome => ({ ok: true, seq });

it('one fence is under way, and serves the reads that began before it was sent and no others', async () => {
  const { read, answer, told, sent } = world();
  void read('a');
  expect(sent).toHaveLength(1);
  void read('b');
  void read('c');
  expect(sent).toHaveLength(1);
  await answer(stored(5));
  expect(told).toEqual(['a jl.fence 5']);
  expect(sent).toHaveLength(1);
  await answer(stored(6));
  expect(told).toEqual(['a jl.fence 5', 'b jl.fence 6', 'c jl.fence 6']);
  expect(sent).toHaveLength(0);
});

it('an append of the process serves reads that began before it was sent, and no later ones', async () => {
  const { confirmations, read, told, sent, answer } = world();
  const early = confirmations.begun();
  const witness = (sequence: number) => (): Witness => ({ subject: 'jl.a', sequence });
  void read('a');
  void read('b');
  confirmations.stored(early, witness(7));
  await Promise.resolve();
  expect(told).toEqual([]);
  const later = confirmations.begun();
  void read('c');
  confirmations.stored(later, witness(8));
  await Promise.resolve();
  expect(told).toEqual(['a jl.a 8', 'b jl.a 8']);
  // The fence that is under way was sent before the last one began.
  await answer(stored(9));
  expect(told).toHaveLength(2);
  await answer(stored(10));
  expect(told.at(-1)).toBe('c jl.fence 10');
  expect(sent).toHaveLength(0);
});

it('a fence without an answer proves nothing: the next one may, until the deadline of each read', async () => {
  const { read, answer, told, sent, pass } = world();
  void read('a');
  pass(400);
  await answer({ noAnswer: true });
  expect([told, sent.length]).toEqual([[], 1]);
  void read('b');
  pass(600);
  await answer({ refused: 'no-responders', retryable: true });
  expect(told).toEqual(['a LogUnavailable']);
  await answer(stored(3));
  expect(told).toEqual(['a LogUnavailable', 'b jl.fence 3']);
});

it('a permission that NATS denies is told at once', async () => {
  const { read, answer, told, sent } = world();
  void read('a');
  const cause = new PermissionDenied('publish', 'jl.fence');
  await answer({ refused: 'NATS does not allow it', retryable: false, cause });
  expect(told).toEqual(['a PermissionDenied']);
  expect(sent).toHaveLength(0);
});

it('a replica that lags, or whose answer is not whole, is asked again until the deadline', async () => {
  const { runtime } = world();
  let looks = 0;
  const seen = await untilShown({ runtime, deadlineMs: 1_000 }, 'reading', async () => {
    if (++looks === 1) throw new LogUnavailable('not whole');
    return looks === 4 ? 'there' : undefined;
  });
  expect([seen, looks]).toEqual(['there', 4]);
  const never = untilShown({ runtime, deadlineMs: 1_000 }, 'reading', async () => undefined);
  await expect(never).rejects.toBeInstanceOf(LogUnavailable);
});

it('an accepted command stores nothing but its commit, also after a conflict; a refusal stores a fence', async () => {
  const store = createMemoryStore();
  const open = () =>
    createHandler({ log: openMemoryLog(store, { confirm: 'quorum' }), runtime: systemRuntime });
  const handlers = [open(), open()];
  for (let i = 1; i <= 6; i++) {
    // Each has the state from before the other's command.
    const result = await handlers[i % 2]?.execute(counter, 'a', add(1), meta(`c${i}`));
    expect(result).toMatchObject({ outcome: 'accepted', version: i });
  }
  expect(store.head()).toBe(6);
  const parts = ['b', 'c'].map((id) => part(counter, id, add(1)));
  expect(await handlers[0]?.commitAll(parts, meta('all'))).toMatchObject({ outcome: 'accepted' });
  expect(store.head()).toBe(8);
  expect((await handlers[0]?.execute(counter, 'a', add(-100), meta('less')))?.outcome).toBe('rejected');
  expect(store.head()).toBe(9);
});
