import { expect, test } from 'vitest';
import { LogUnavailable, PermissionDenied, UnknownEventType } from '../../../../src/eventstore/errors.ts';
import { systemRuntime } from '../../../../src/eventstore/runtime.ts';
import { retryPolicy } from '../../../../src/processes/engine/reaction.ts';

const settings = { backoffBaseMs: 100, backoffCapMs: 1_000, attempts: 6, retryUnknown: true };

const policyWith = (random: number) => retryPolicy({ ...systemRuntime, random: () => random }, settings);
const delays = (random: number): unknown[] =>
  [1, 2, 3, 4, 5].map((attempt) => policyWith(random)(new Error('down'), attempt));

test('an error that may pass is tried again, each time after twice as long, up to a cap', () => {
  expect(delays(1)).toEqual([100, 200, 400, 800, 1_000].map((afterMs) => ({ action: 'retry', afterMs })));
});

test('half of each delay is random, so that those who failed together do not come back together', () => {
  expect(delays(0)).toEqual([50, 100, 200, 400, 500].map((afterMs) => ({ action: 'retry', afterMs })));
});

test('after the last attempt the commit is parked', () => {
  expect(policyWith(0.5)(new LogUnavailable('down'), 6)).toEqual({ action: 'dead-letter' });
});

test('a permission that NATS denies may be granted meanwhile: it is waited for, and nothing is given up at once', () => {
  const denied = new PermissionDenied('publish', 'jl.order.0.0.0.o-1');
  expect(policyWith(1)(denied, 1)).toEqual({ action: 'retry', afterMs: 100 });
  const strict = retryPolicy(systemRuntime, { ...settings, retryUnknown: false });
  expect(strict(denied, 1)).toMatchObject({ action: 'retry' });
});

test('what cannot become better is parked at once', () => {
  expect(policyWith(0.5)(new UnknownEventType('order', 'Teleported', 3), 1)).toEqual({
    action: 'dead-letter',
  });
  expect(policyWith(0.5)(Object.assign(new Error('no'), { retryable: false }), 1)).toEqual({
    action: 'dead-letter',
  });
});
