import type { CommandMeta } from './command.ts';
import type { Runtime } from './runtime.ts';

/**
 * What an attempt to own a key is to its owner.
 * `owner`: the owner holds the key by it; `open`: it may still come to that; `dead`: it never can, for ever.
 */
export type ClaimStatus = 'owner' | 'open' | 'dead';

/** Whose claim a key holds, and since when (milliseconds since the Unix epoch). */
export interface HeldClaim<Claimant> {
  readonly claimant: Claimant;
  readonly claimedAt: number;
}

/**
 * The two aggregates of a unique key: the *key* (its id is the key or a digest of it) says which attempt of which owner
 * holds it, the *owner* says by which attempt it owns the key. Both are deciders of the service (protocol 4):
 *
 * - the key takes a claim while nobody else's is held, and never one of an attempt that has released it before;
 * - the owner refuses to become owner by an attempt that was abandoned.
 *
 * Every call may be repeated, and throws what `execute` throws.
 */
export interface ClaimSteps<Claimant> {
  /** Asks the key. `ended`: the attempt released it before; `retry`: somebody else was faster too often. */
  claim(
    key: string,
    claimant: Claimant,
    meta: CommandMeta,
  ): Promise<'claimed' | 'ended' | 'retry' | HeldClaim<Claimant>>;
  /** Ends the claim of an attempt, and bars it; leaves every other claim alone. @param actor default: who asked */
  release(key: string, claimant: Claimant, meta: CommandMeta, actor?: string): Promise<void>;
  /** Who holds the key now. */
  holder(key: string): Promise<HeldClaim<Claimant> | undefined>;
  /** What the attempt is to its owner, confirmed now: a stale state calls the living dead. */
  statusOf(claimant: Claimant): Promise<ClaimStatus>;
  /** Has the owner refuse an open attempt's late last step; what it is then. */
  abandon(claimant: Claimant, meta: CommandMeta): Promise<ClaimStatus>;
}

/**
 * What became of a claim. `taken`: another owner has the key; `busy`: somebody is about to get it, or too many try at
 * once; `ended`: this attempt was given up before and can never claim again.
 */
export type ClaimOutcome = 'claimed' | 'taken' | 'busy' | 'ended';

/** Claims of keys, each by an attempt of an owner. Whoever claimed then makes its owner own the key by that attempt. */
export interface Claims<Claimant> {
  /** Claims a key, taking it from an attempt that is dead or was given up. Safe to repeat. */
  claim(key: string, claimant: Claimant, meta: CommandMeta): Promise<ClaimOutcome>;
  /** Gives up the claim of an attempt that can never become its owner's; leaves every other claim alone. */
  releaseDead(key: string, claimant: Claimant, meta: CommandMeta): Promise<void>;
  /** Gives up the claim of an attempt that the caller knows to be dead. @param actor default: who asked */
  release(key: string, claimant: Claimant, meta: CommandMeta, actor?: string): Promise<void>;
  /** Abandons and releases whatever claim of the key is stale, without a new claimant; `pending`: it is too young. */
  abandonStale(key: string): Promise<'settled' | 'pending'>;
}

/** When a claim is taken over, and in whose name. */
export interface ClaimSettings {
  /** From what age on an open claim is taken to be given up, in milliseconds. */
  readonly staleClaimMs: number;
  /** Who is told to have acted on somebody else's attempt: the log does not link the two owners. */
  readonly takeoverActor: string;
}

const MAX_TAKEOVERS = 4;

/** The protocol of unique keys on two aggregates, which no crash leaves stuck (protocol 4). */
export function createClaims<Claimant>(
  steps: ClaimSteps<Claimant>,
  runtime: Pick<Runtime, 'now' | 'id'>,
  { staleClaimMs, takeoverActor }: ClaimSettings,
): Claims<Claimant> {
  /** Takes the key from its holder, unless that one has it or may still get it in time. */
  async function evict(
    key: string,
    { claimant, claimedAt }: HeldClaim<Claimant>,
    meta: CommandMeta,
  ): Promise<'freed' | 'taken' | 'busy'> {
    let status = await steps.statusOf(claimant);
    if (status === 'open') {
      if (runtime.now() - claimedAt < staleClaimMs) return 'busy';
      // Only who is fenced may lose its claim: its late last step would find the key gone.
      status = await steps.abandon(claimant, meta);
    }
    if (status === 'open') return 'busy';
    if (status === 'owner') return 'taken';
    await steps.release(key, claimant, meta, takeoverActor);
    return 'freed';
  }

  return {
    release: steps.release,
    claim: async (key, claimant, meta) => {
      for (let round = 0; round < MAX_TAKEOVERS; round++) {
        const held = await steps.claim(key, claimant, meta);
        if (held === 'claimed' || held === 'ended') return held;
        if (held === 'retry') continue;
        const evicted = await evict(key, held, meta);
        if (evicted !== 'freed') return evicted;
      }
      return 'busy';
    },
    releaseDead: async (key, claimant, meta) => {
      if ((await steps.statusOf(claimant)) === 'dead') await steps.release(key, claimant, meta);
    },
    abandonStale: async (key) => {
      const held = await steps.holder(key);
      if (held === undefined) return 'settled';
      const outcome = await evict(key, held, { commandId: runtime.id(), actor: takeoverActor });
      return outcome === 'busy' ? 'pending' : 'settled';
    },
  };
}
