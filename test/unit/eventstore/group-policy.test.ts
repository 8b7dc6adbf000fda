import { describe, expect, it } from 'vitest';
import { createContended, createGroupCommit } from '../../../src/eventstore/append/group-commit.ts';
import {
  fixedPolicy,
  type GroupPolicy,
  measuringPolicy,
} from '../../../src/eventstore/append/group-commit-policy.ts';
import type { AppendTransport, PublishOutcome } from '../../../src/eventstore/append/resolve-append.ts';
import { added, counterRef, toyCommit } from '../../../src/testing/contracts/toy.ts';

/** What a server takes, one after the other, for a single publish and for a batch beside its commits, in milliseconds. */
interface Costs {
  readonly singleMs: number;
  readonly baseMs: number;
}

const EACH_MS = 0.03;
const ALONE = fixedPolicy(Number.POSITIVE_INFINITY);

/** A server and a clock that stands still while anybody has something to do. */
function world(costs: (now: number) => Costs, policyOf: (now: () => number) => GroupPolicy) {
  let now = 0;
  let busyUntil = 0;
  let seq = 0;
  const answers: { readonly at: number; readonly give: () => void }[] = [];
  const sizes: number[] = [];
  const publish: AppendTransport['publish'] = (outgoing) => {
    const { singleMs, baseMs } = costs(now);
    const size = outgoing.length;
    sizes.push(size);
    busyUntil = Math.max(now, busyUntil) + (size === 1 ? singleMs : baseMs + size * EACH_MS);
    const first = seq + 1;
    seq += size;
    return new Promise<PublishOutcome>((resolve) => {
      answers.push({ at: busyUntil, give: () => resolve({ ok: true, seq: first }) });
    });
  };
  const grouped = createGroupCommit(
    { publish, commitsAfter: async () => undefined, lastVersions: async () => new Map() },
    {
      policy: policyOf(() => now),
      slots: 1,
      now: () => now,
      soon: (callback) => void setImmediate(callback),
    },
  );
  /** So many callers, each with one append after the other, for so long; appends per millisecond, and what was sent. */
  const under = async (callers: number, ms: number): Promise<{ rate: number; sizes: readonly number[] }> => {
    const end = now + ms;
    let done = 0;
    sizes.length = 0;
    const call = async (id: string): Promise<void> => {
      const stream = counterRef(id);
      const commit = toyCommit(id, [added(1)]);
      for (; now < end; done++) {
        await grouped.publish([{ stream, expected: 0, commit, bytes: new Uint8Array(8) }], 1_000);
      }
    };
    const calls = Promise.all(Array.from({ length: callers }, (_, i) => call(`c-${i}`)));
    while (answers.length > 0 || now < end) {
      // Whoever was answered sends the next one, and what waits for company goes.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
      const next = answers.shift();
      if (next === undefined) break;
      now = Math.max(now, next.at);
      next.give();
    }
    await calls;
    return { rate: done / ms, sizes: [...sizes] };
  };
  return {
    under,
    rest: (ms: number) => {
      now += ms;
    },
  };
}

const measuring = (costs: Costs) => world(() => costs, measuringPolicy);
const alone = (costs: Costs) =>
  world(
    () => costs,
    () => ALONE,
  );
const together = (costs: Costs) =>
  world(
    () => costs,
    () => fixedPolicy(2),
  );
const batches = (sizes: readonly number[]) => sizes.filter((size) => size > 1);
const sum = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0);
const shareTogether = (sizes: readonly number[]) => sum(batches(sizes)) / sum(sizes);

describe('whether commits share a batch', () => {
  it.each([
    [16, 0.2],
    [64, 0.03],
    [256, 0.02],
  ])(
    'is not so where %i at once are stored faster alone, and having a look now and then costs under 3 %%',
    async (callers, singleMs) => {
      const costs = { singleMs, baseMs: 15 };
      const { under } = measuring(costs);
      await under(callers, 600);
      const { rate } = await under(callers, 800);
      expect(rate / (await alone(costs).under(callers, 300)).rate).toBeGreaterThan(0.97);
    },
  );

  it.each([[64], [256]])(
    'is so where %i at once are stored faster together, and having a look now and then costs under 5 %',
    async (callers) => {
      const costs = { singleMs: 0.2, baseMs: 4 };
      const { under } = measuring(costs);
      await under(callers, 4_000);
      const { rate } = await under(callers, 1_500);
      expect(rate / (await together(costs).under(callers, 1_500)).rate).toBeGreaterThan(0.95);
    },
  );

  it('is asked of each number of callers for itself', async () => {
    const { under } = measuring({ singleMs: 0.2, baseMs: 4 });
    await under(64, 2_000);
    await under(16, 2_000);
    expect(batches((await under(16, 400)).sizes)).toEqual([]);
    expect(batches((await under(64, 2_000)).sizes).length).toBeGreaterThan(100);
  });

  it('is not even looked at where few append at once', async () => {
    const { under } = measuring({ singleMs: 0.2, baseMs: 0.1 });
    expect(batches((await under(7, 2_000)).sizes)).toEqual([]);
  });

  it('is looked at less and less often where it does not pay', async () => {
    const { under } = measuring({ singleMs: 0.5, baseMs: 15 });
    await under(16, 2_000);
    const [early, late] = [batches((await under(16, 4_000)).sizes), batches((await under(16, 4_000)).sizes)];
    expect(late.length).toBeLessThanOrEqual(early.length);
    await under(16, 10_000);
    expect(batches((await under(16, 15_000)).sizes).length).toBeLessThan(10);
  });

  it('changes when the disk changes, both ways', async () => {
    let costs: Costs = { singleMs: 0.03, baseMs: 4 };
    const { under } = world(() => costs, measuringPolicy);
    await under(64, 1_000);
    costs = { singleMs: 0.5, baseMs: 4 };
    await under(64, 4_000);
    expect(shareTogether((await under(64, 1_000)).sizes)).toBeGreaterThan(0.95);
    costs = { singleMs: 0.03, baseMs: 4 };
    await under(64, 12_000);
    expect(shareTogether((await under(64, 400)).sizes)).toBeLessThan(0.05);
  });

  it('is not decided by one moment of the disk', async () => {
    let stalls = 0;
    const costs = (now: number): Costs => {
      const isStall = now > 30 && now < 40 && stalls++ === 0;
      return { singleMs: isStall ? 300 : 0.1, baseMs: 8 };
    };
    const { under } = world(costs, measuringPolicy);
    await under(16, 1_000);
    expect(stalls).toBeGreaterThan(0);
    const { sizes } = await under(16, 4_000);
    expect(shareTogether(sizes)).toBeLessThan(0.05);
  });

  it('does not hold one back who is alone after a crowd', async () => {
    const { under, rest } = measuring({ singleMs: 0.2, baseMs: 4 });
    await under(64, 2_000);
    rest(100);
    const { sizes, rate } = await under(1, 100);
    expect([batches(sizes), Math.round(rate)]).toEqual([[], 5]);
  });
});

describe('an aggregate that met a conflict', () => {
  it('is remembered for a while', () => {
    let now = 0;
    const contended = createContended(() => now, 100);
    contended.add('a');
    now = 99;
    expect([contended.has('a'), contended.has('b')]).toEqual([true, false]);
    now = 100;
    expect(contended.has('a')).toBe(false);
  });

  it('is forgotten first when there are too many', () => {
    const contended = createContended(() => 0, 100);
    for (let i = 0; i <= 10_000; i++) contended.add(`a-${i}`);
    expect([contended.has('a-0'), contended.has('a-10000')]).toEqual([false, true]);
  });
});
