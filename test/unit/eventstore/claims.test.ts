import { describe, expect, it } from 'vitest';
import {
  type ClaimStatus,
  type ClaimSteps,
  createClaims,
  type HeldClaim,
} from '../../../src/eventstore/claims.ts';
import { manualRuntime, meta } from './kernel.ts';

const STALE_MS = 10_000;

/** A key that an attempt holds, and what each attempt is to its owner. */
function world(
  held: string | undefined,
  statuses: Record<string, ClaimStatus>,
  abandoned: ClaimStatus = 'dead',
) {
  const runtime = manualRuntime();
  const calls: string[] = [];
  let holder: HeldClaim<string> | undefined =
    held === undefined ? undefined : { claimant: held, claimedAt: runtime.now() };
  const steps: ClaimSteps<string> = {
    claim: async (_key, claimant) => {
      if (holder !== undefined && holder.claimant !== claimant) return holder;
      holder = { claimant, claimedAt: runtime.now() };
      return 'claimed';
    },
    release: async (_key, claimant, { actor }, by = actor) => {
      calls.push(`release ${claimant} by ${by}`);
      if (holder?.claimant === claimant) holder = undefined;
    },
    holder: async () => holder,
    statusOf: async (claimant) => statuses[claimant] ?? 'open',
    abandon: async (claimant) => {
      calls.push(`abandon ${claimant}`);
      statuses[claimant] = abandoned;
      return abandoned;
    },
  };
  const settings = { staleClaimMs: STALE_MS, takeoverActor: 'takeover' };
  return {
    runtime,
    calls,
    steps,
    claims: createClaims(steps, runtime, settings),
    now: () => holder?.claimant,
  };
}

describe('a claim of a unique key', () => {
  it('is had at once where nobody holds the key, and again by the same attempt', async () => {
    const { claims, now } = world(undefined, {});
    expect(await claims.claim('k', 'a', meta('c1'))).toBe('claimed');
    expect(await claims.claim('k', 'a', meta('c2'))).toBe('claimed');
    expect(now()).toBe('a');
  });

  it('is not taken from its owner, however old, nor from who may still become it', async () => {
    const owned = world('a', { a: 'owner' });
    owned.runtime.advance(10 * STALE_MS);
    expect(await owned.claims.claim('k', 'b', meta('c1'))).toBe('taken');
    const open = world('a', { a: 'open' });
    open.runtime.advance(STALE_MS - 1);
    expect(await open.claims.claim('k', 'b', meta('c1'))).toBe('busy');
    expect([...owned.calls, ...open.calls]).toEqual([]);
  });

  it('is taken from a dead attempt at once, and from a stale one only after its owner refuses it', async () => {
    const dead = world('a', { a: 'dead' });
    expect(await dead.claims.claim('k', 'b', meta('c1'))).toBe('claimed');
    expect(dead.calls).toEqual(['release a by takeover']);
    const stale = world('a', { a: 'open' });
    stale.runtime.advance(STALE_MS);
    expect(await stale.claims.claim('k', 'b', meta('c1'))).toBe('claimed');
    expect(stale.calls).toEqual(['abandon a', 'release a by takeover']);
  });

  it.each([
    ['owner', 'taken'],
    ['open', 'busy'],
  ] as const)('is left alone when the abandonment finds it %s', async (abandoned, outcome) => {
    const { claims, runtime, calls, now } = world('a', { a: 'open' }, abandoned);
    runtime.advance(STALE_MS);
    expect(await claims.claim('k', 'b', meta('c1'))).toBe(outcome);
    expect(calls).toEqual(['abandon a']);
    expect(now()).toBe('a');
  });

  it('is busy, and not tried for ever, when others are always faster', async () => {
    const { steps, runtime } = world(undefined, {});
    const settings = { staleClaimMs: STALE_MS, takeoverActor: 'takeover' };
    const claims = createClaims({ ...steps, claim: async () => 'retry' }, runtime, settings);
    expect(await claims.claim('k', 'b', meta('c1'))).toBe('busy');
  });

  it('is given up by its owner only when dead, and by a timer when stale', async () => {
    const living = world('a', { a: 'owner' });
    await living.claims.releaseDead('k', 'a', meta('c1'));
    expect(living.now()).toBe('a');
    const open = world('a', { a: 'open' });
    expect(await open.claims.abandonStale('k')).toBe('pending');
    open.runtime.advance(STALE_MS);
    expect(await open.claims.abandonStale('k')).toBe('settled');
    expect([open.now(), await open.claims.abandonStale('k')]).toEqual([undefined, 'settled']);
    const dead = world('a', { a: 'dead' });
    await dead.claims.releaseDead('k', 'a', meta('c1'));
    expect(dead.calls).toEqual(['release a by test']);
  });
});
