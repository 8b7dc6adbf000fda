import { createHash } from 'node:crypto';
import type { Bucket, Runtime } from '../../eventstore/index.ts';

import type { Buckets } from './aliases.ts';
import { allGroups, type GroupCount } from './groups.ts';
import type { ProjectionSettings } from './settings.ts';

/**
 * Says which groups of a view this instance runs now. It need not be exclusive: two instances that run the same group
 * fence each other. It must leave no group out for long: together the instances' answers cover all groups again
 * within 10 s after one of them has died.
 */
export interface Sharing {
  /** @throws LogUnavailable; the instance then goes on with what it runs */
  groupsOf(view: string, count: GroupCount): Promise<ReadonlySet<number>>;
  /** Tells the others that this instance gives up all its groups. */
  leave(): Promise<void>;
}

/** How often an instance shows that it lives, as a part of `memberMs`. */
const BEATS_PER_TERM = 4;

interface Seen {
  readonly revision: number;
  /** When this instance first saw that revision, by its own clock. */
  readonly since: number;
}

/**
 * Shares groups by membership: each instance writes a heartbeat, and every instance computes the same owner of each
 * group from the instances it sees alive (highest hash wins, so that one that comes or goes moves only its own share).
 * Nobody's clock is compared with another's: an instance is alive while its heartbeat changes. A group is without an
 * owner for at most `memberMs` and the pauses between two looks; two owners for a moment are refused by the fences.
 *
 * Reactions have sessions instead, since their leases are rights that end with a refused renewal. Here nothing hangs on
 * a heartbeat, so an instance keeps its id, and with it its groups, through an outage, and needs no timers and no
 * watch. Both on one implementation were 14 lines longer than the two.
 */
export function createMembers(deps: {
  buckets: Buckets;
  runtime: Runtime;
  settings: Pick<ProjectionSettings, 'prefix' | 'memberMs'>;
}): Sharing {
  const { buckets, runtime, settings } = deps;
  const me = runtime.id();
  const seen = new Map<string, Seen>();
  let bucket: Bucket | undefined;
  let revision = 0;
  let lastBeat = Number.NEGATIVE_INFINITY;
  let looking: Promise<readonly string[]> | undefined;

  const beat = async (to: Bucket): Promise<void> => {
    const value = Buffer.from(JSON.stringify({ at: runtime.now() }));
    const result = await to.write({ key: me, value, expectedRevision: revision });
    // Nobody else writes this key: an earlier write whose answer was lost has landed.
    if (result.written) revision = result.revision;
    else revision = (await to.get(me, { leader: true }))?.revision ?? 0;
    lastBeat = runtime.now();
  };

  const look = async (): Promise<readonly string[]> => {
    bucket ??= await buckets.create(`${settings.prefix}_members`, { durable: true });
    await beat(bucket);
    const now = runtime.now();
    const alive = [me];
    const found = new Set<string>();
    for await (const { key, revision: current } of bucket.rows()) {
      found.add(key);
      if (key === me) continue;
      const known = seen.get(key);
      if (known?.revision !== current) seen.set(key, { revision: current, since: now });
      if (known === undefined || known.revision !== current || now - known.since < settings.memberMs)
        alive.push(key);
      else if (now - known.since > settings.memberMs * 20) await removeMember(bucket, key, current);
    }
    for (const key of seen.keys()) if (!found.has(key)) seen.delete(key);
    return alive;
  };

  /** The heartbeat of an instance that has been dead for long is removed, once. */
  const removeMember = async (from: Bucket, key: string, expectedRevision: number): Promise<void> => {
    await from.write({ key, value: undefined, expectedRevision });
  };

  let members: readonly string[] = [me];
  return {
    groupsOf: async (view, count) => {
      if (runtime.now() - lastBeat >= settings.memberMs / BEATS_PER_TERM) {
        looking ??= look().finally(() => {
          looking = undefined;
        });
        members = await looking;
      }
      const mine = allGroups(count).filter(({ index }) => ownerOf(members, `${view}.${index}`) === me);
      return new Set(mine.map(({ index }) => index));
    },
    leave: async () => {
      if (bucket !== undefined && revision > 0) await removeMember(bucket, me, revision);
      revision = 0;
    },
  };
}

function ownerOf(members: readonly string[], group: string): string | undefined {
  let owner: string | undefined;
  let highest = '';
  for (const member of members) {
    const weight = createHash('sha256').update(`${member}/${group}`).digest('hex');
    if (weight > highest) [owner, highest] = [member, weight];
  }
  return owner;
}
