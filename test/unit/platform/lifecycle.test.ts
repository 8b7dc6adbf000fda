import { pino } from 'pino';
import { expect, it } from 'vitest';
import { createLifecycle, ShutdownIncomplete } from '../../../src/platform/lifecycle.ts';

const silent = pino({ level: 'silent' });

it('what was started last is closed first, once, however often it is asked for', async () => {
  const lifecycle = createLifecycle({ logger: silent, deadlineMs: 10_000 });
  const closed: string[] = [];
  for (const name of ['NATS', 'views', 'requests']) lifecycle.started(name, () => closed.push(name));
  expect(lifecycle.stopping()).toBe(false);
  expect(lifecycle.left()).toEqual(['requests', 'views', 'NATS']);
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  expect(lifecycle.stopping()).toBe(true);
  expect(closed).toEqual(['requests', 'views', 'NATS']);
  expect(lifecycle.left()).toEqual([]);
});

it('says that it stops before anything is closed', async () => {
  const lifecycle = createLifecycle({ logger: silent, deadlineMs: 10_000 });
  let told: boolean | undefined;
  lifecycle.started('requests', () => {
    told = lifecycle.stopping();
  });
  await lifecycle.stop();
  expect(told).toBe(true);
});

it('what fails or hangs is named, keeps nothing else open, and all of it ends before the deadline', async () => {
  const deadlineMs = 400;
  const lifecycle = createLifecycle({ logger: silent, deadlineMs });
  const closed: string[] = [];
  lifecycle.started('NATS', () => closed.push('NATS'));
  lifecycle.started('snapshots', () => {
    throw new Error('the server is away');
  });
  lifecycle.started(
    'views',
    () => new Promise(() => undefined),
    () => '3 rows wait',
  );
  lifecycle.started('requests', () => closed.push('requests'));
  const began = performance.now();
  const failure = await lifecycle.stop().catch((error: unknown) => error);
  expect(performance.now() - began).toBeLessThan(deadlineMs);
  if (!(failure instanceof ShutdownIncomplete)) throw new Error('it did not say that something was left');
  expect(failure.left).toEqual([
    expect.stringMatching(/^views \(3 rows wait\), given up after \d+ ms$/),
    'snapshots, the server is away',
  ]);
  expect(failure.message).toMatch(/views .*; snapshots/);
  expect(closed).toEqual(['requests', 'NATS']);
});

it('what is under way is told while it hangs', async () => {
  const lifecycle = createLifecycle({ logger: silent, deadlineMs: 200 });
  lifecycle.started('NATS', () => undefined);
  lifecycle.started('views', () => new Promise(() => undefined));
  const stopped = lifecycle.stop().catch(() => undefined);
  expect(lifecycle.left()).toEqual(['views', 'NATS']);
  await stopped;
});
