import { describe, expect, it } from 'vitest';
import { createContended } from '../../../src/eventstore/append/group-commit.ts';
import { measuringPolicy } from '../../../src/eventstore/append/group-commit-policy.ts';

/** A server on which a single publish takes `singleMs` of its time and a batch `baseMs` and 0.03 ms for each commit. */
function server(singleMs: number, baseMs: number) {
  let now = 0;
  const policy = measuringPolicy(() => now);
  const singles = (count: number): void => {
    for (let underWay = 1; underWay <= 16; underWay++) policy.singleSent(underWay);
    for (let i = 0; i < count; i++) {
      now += singleMs;
      policy.singleAnswered(16);
    }
  };
  const batch = (size: number): void => {
    const took = baseMs + size * 0.03;
    now += took;
    policy.batchAnswered(size, took, 0);
  };
  return {
    policy,
    singles,
    batch,
    wait: (ms: number) => {
      now += ms;
    },
  };
}

describe('whether commits share a batch', () => {
  it('is not tried before single publishes were measured', () => {
    expect(server(0.2, 4).policy.minBatch()).toBe(Infinity);
  });

  it('is the break-even of what both ways take', () => {
    const { policy, singles, batch } = server(0.2, 4);
    singles(100);
    batch(64);
    // 4 ms against 0.2 ms each, less the 0.03 ms of a place in the batch and the margin.
    expect(policy.minBatch()).toBe(31);
  });

  it('is the same where all answers come at once, as they do when all requests were sent at once', () => {
    let now = 0;
    const policy = measuringPolicy(() => now);
    for (let round = 0; round < 5; round++) {
      for (let underWay = 1; underWay <= 256; underWay++) policy.singleSent(underWay);
      now += 256 * 0.2;
      for (let underWay = 256; underWay >= 1; underWay--) policy.singleAnswered(underWay);
    }
    policy.batchAnswered(64, 4 + 64 * 0.03, 0);
    expect(policy.minBatch()).toBe(31);
  });

  it('is never so where single publishes cost next to nothing', () => {
    const { policy, singles } = server(0.02, 4);
    singles(200);
    expect(policy.minBatch()).toBe(Infinity);
  });

  it('is given up where a batch takes too long, and tried again later', () => {
    const { policy, singles, batch, wait } = server(0.06, 15);
    singles(100);
    expect(policy.minBatch()).toBeLessThan(Infinity);
    batch(64);
    expect(policy.minBatch()).toBe(Infinity);
    wait(60_000);
    expect(policy.minBatch()).toBeLessThan(Infinity);
  });

  it('is tried again soon when the first one was slow, and less and less often where it goes on so', () => {
    const { policy, singles, batch, wait } = server(0.06, 15);
    singles(100);
    let waited = 0;
    const untilTried = (): number => {
      for (waited = 0; policy.minBatch() === Infinity; waited += 100) wait(100);
      batch(64);
      return waited;
    };
    expect([untilTried(), untilTried(), untilTried(), untilTried()]).toEqual([0, 1_100, 2_100, 4_100]);
    for (let tries = 0; tries < 5; tries++) untilTried();
    expect(untilTried()).toBe(20_100);
  });

  it('is used at once when a later one is fast enough, however slow the first one was', () => {
    const { policy, singles, batch, wait } = server(0.2, 4);
    singles(100);
    wait(200);
    policy.batchAnswered(64, 200, 0);
    expect(policy.minBatch()).toBe(Infinity);
    wait(1_100);
    batch(policy.minBatch());
    expect(policy.minBatch()).toBe(31);
  });

  it('is measured again by single publishes when those were not seen for long', () => {
    const { policy, singles, batch, wait } = server(0.2, 4);
    singles(100);
    batch(64);
    wait(5_000);
    batch(64);
    expect(policy.minBatch()).toBe(Infinity);
    singles(100);
    expect(policy.minBatch()).toBe(31);
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
