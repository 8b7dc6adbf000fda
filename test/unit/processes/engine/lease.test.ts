import { expect, test } from 'vitest';
import type { Bucket } from '../../../../src/eventstore/bucket.ts';
import { LogUnavailable } from '../../../../src/eventstore/errors.ts';
import { BEGINNING } from '../../../../src/eventstore/position.ts';
import { systemRuntime as runtime } from '../../../../src/eventstore/runtime.ts';
import {
  agreeOnGroups,
  beginSession,
  type Session,
  shareOf,
  takeLease,
  watchMembership,
} from '../../../../src/processes/engine/ownership.ts';
import { createMemoryBucket } from '../../../../src/testing/memory-bucket.ts';
import { until } from '../../../../src/testing/until.ts';

const shares = (consumer: string, count: number, members: readonly string[]): number[] =>
  members.map((own) => shareOf(consumer, count, members, own));

test.each([1, 4, 16, 64])(
  '%i groups are shared completely and evenly by any number of instances',
  (count) => {
    for (let size = 1; size <= 20; size++) {
      const members = Array.from({ length: size }, (_, n) => `instance-${n}`);
      const each = shares('orders', count, members);
      expect(each.reduce((sum, share) => sum + share, 0)).toBe(count);
      expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(1);
    }
  },
);

test('consumers of one group do not all run on the same instance', () => {
  const owners = ['a', 'b', 'c', 'd'].map((consumer) => shares(consumer, 1, ['one', 'two']).indexOf(1));
  expect(new Set(owners).size).toBe(2);
});

const GROUP = { count: 4, index: 1 } as const;
const sessionOf = (id: string): Session => ({
  id,
  alive: () => true,
  ended: new AbortController().signal,
  end: async () => undefined,
});

/** A membership on a bucket, in which some sessions are alive. */
async function membershipOf(bucket: Bucket, sessions: readonly string[], signal: AbortSignal) {
  for (const id of sessions) {
    const value = Buffer.from(JSON.stringify({ instance: id, consumers: ['orders'], beat: 1 }));
    await bucket.write({ key: `session.${id}`, value, expectedRevision: 0, position: BEGINNING });
  }
  const membership = watchMembership({ bucket, runtime, signal }, () => undefined);
  await until('the membership is ready', () => membership.ready);
  return membership;
}

/** A bucket whose server can be switched off for writers; what they sent then may still arrive. */
function switched(stored: Bucket) {
  const late: (() => Promise<unknown>)[] = [];
  const state = { away: false };
  const bucket: Bucket = {
    ...stored,
    write: async (row) => {
      if (!state.away) return stored.write(row);
      late.push(() => stored.write(row));
      throw new LogUnavailable('away');
    },
  };
  return { bucket, state, late };
}

test('a group that is given back while the server is away is free once it is back', async () => {
  const stop = new AbortController();
  const stored = createMemoryBucket('shared');
  const membership = await membershipOf(stored, ['mine', 'other'], stop.signal);
  const { bucket, state } = switched(stored);
  const deps = { bucket, membership, runtime };
  const lease = await takeLease(deps, sessionOf('mine'), 'orders', GROUP);
  expect(await takeLease(deps, sessionOf('other'), 'orders', GROUP)).toBeUndefined();
  state.away = true;
  await lease?.release();
  state.away = false;
  const taken = async () => (await takeLease(deps, sessionOf('other'), 'orders', GROUP)) !== undefined;
  await until('the other session has it', taken);
  stop.abort();
});

test('a group whose giving back is under way is taken again by its own session, and the late removal is refused', async () => {
  const stop = new AbortController();
  const stored = createMemoryBucket('shared');
  const membership = await membershipOf(stored, ['mine', 'other'], stop.signal);
  const { bucket, state, late } = switched(stored);
  const deps = { bucket, membership, runtime };
  const lease = await takeLease(deps, sessionOf('mine'), 'orders', GROUP);
  state.away = true;
  await lease?.release();
  expect(await takeLease({ ...deps, bucket: stored }, sessionOf('mine'), 'orders', GROUP)).toBeDefined();
  state.away = false;
  expect(late.length).toBeGreaterThan(0);
  for (const write of late) expect(await write()).toEqual({ written: false });
  expect(await takeLease(deps, sessionOf('other'), 'orders', GROUP)).toBeUndefined();
  stop.abort();
});

test('what instances store of themselves has the keys and values that earlier builds read and write', async () => {
  const stop = new AbortController();
  const { signal } = stop;
  const bucket = createMemoryBucket('shared');
  const membership = await membershipOf(bucket, [], signal);
  const fixed = { ...runtime, id: () => 'id' };
  const deps = { bucket, membership, runtime: fixed };
  const consumers = () => ['orders'];
  const session = await beginSession({ ...deps, instance: 'host.1', ttlMs: 60_000, consumers, signal });
  await agreeOnGroups(deps, 'orders', 4, signal);
  const lease = await takeLease(deps, session, 'orders', GROUP);
  const stored: Record<string, string> = {};
  for await (const { key, value } of bucket.rows()) stored[key] = Buffer.from(value).toString();
  expect(stored).toEqual({
    'session.host-1-id': '{"instance":"host.1","consumers":["orders"],"beat":1}',
    'groups.orders': '{"count":4}',
    'lease.orders.4.1': '{"session":"host-1-id","take":"id"}',
  });
  await lease?.release();
  await session.end();
  const left = [];
  for await (const { key } of bucket.rows()) left.push(key);
  expect(left).toEqual(['groups.orders']);
  stop.abort();
});
