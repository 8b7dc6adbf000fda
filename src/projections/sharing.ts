import type { GroupCount } from './groups.ts';

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
