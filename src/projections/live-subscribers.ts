import type { LiveEntry } from './live-fold.ts';
import type { LiveQueue } from './live-queue.ts';

/** Who waits for which order, and for which user's orders. */
export interface Subscribers {
  /** @returns how to take it out again */
  add(of: 'order' | 'user', id: string, queue: LiveQueue): () => void;
  /** Puts a commit into the queues that it belongs to; one whose user nobody can name into those of all users. */
  deliver(entry: LiveEntry): void;
  /** Closes every queue, also those that come later. */
  end(): void;
}

export function createSubscribers(): Subscribers {
  const queues = { order: new Map<string, Set<LiveQueue>>(), user: new Map<string, Set<LiveQueue>>() };
  let over = false;
  return {
    add: (of, id, queue) => {
      if (over) queue.end('closed');
      const group = queues[of].get(id) ?? new Set();
      queues[of].set(id, group.add(queue));
      return () => {
        group.delete(queue);
        if (group.size === 0 && queues[of].get(id) === group) queues[of].delete(id);
      };
    },
    deliver: (entry) => {
      const { userId, commit } = entry;
      for (const queue of queues.order.get(commit.stream.id) ?? []) queue.push(entry);
      const users = userId === undefined ? queues.user.values() : [queues.user.get(userId) ?? []];
      for (const group of users) for (const queue of group) queue.push(entry);
    },
    end: () => {
      over = true;
      for (const groups of Object.values(queues))
        for (const group of groups.values()) for (const queue of group) queue.end('closed');
    },
  };
}
