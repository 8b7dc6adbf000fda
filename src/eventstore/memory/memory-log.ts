import { createGroupCommit, type GroupTransport } from '../group-commit/group-commit.ts';
import { fixedPolicy } from '../group-commit/policy.ts';
import type { Log, StreamPage } from '../log.ts';
import { type AppendTransport, appendOne, appendResolved } from '../resolve-append.ts';
import { systemRuntime } from '../runtime.ts';
import { checkStream } from '../stream.ts';
import { scanStore } from './memory-scan.ts';
import { createMemoryStore, type MemoryStore, type MemoryStoreOptions } from './memory-store.ts';
import { answer, arrive, createMemoryTransport, lagging, type Place } from './memory-transport.ts';
import type { World } from './scheduler.ts';

export interface MemoryLogOptions {
  /** The world whose schedule and faults apply. Without one every operation goes through at once. */
  readonly world?: World | undefined;
  /** The process that this handle belongs to; what the world crashes and traces. */
  readonly actor?: string;
  /** As of the real log: how long an append is tried, and each attempt, in milliseconds. */
  readonly deadlineMs?: number;
  readonly attemptTimeoutMs?: number;
  /** Largest commit, in bytes. */
  readonly maxBytes?: number;
  /** Commits in a page of an aggregate's history. */
  readonly pageSize?: number;
  /** Packs appends that are under way at once into batches, whatever they cost (protocol 16). */
  readonly groupCommit?: boolean;
  /** Replaces the way to the store; a test spoils it here. */
  readonly spoil?: (transport: GroupTransport) => GroupTransport;
}

const DEFAULTS = {
  actor: 'main',
  deadlineMs: 2000,
  attemptTimeoutMs: 500,
  maxBytes: 1_048_576,
  pageSize: 500,
};

/** A log in memory with one handle. */
export function createMemoryLog(options: MemoryLogOptions & MemoryStoreOptions = {}): Log {
  return openMemoryLog(createMemoryStore(options), options);
}

/** Another process's handle on a shared log in memory. */
export function openMemoryLog(store: MemoryStore, options: MemoryLogOptions = {}): Log {
  const { world, actor, pageSize, groupCommit, spoil, ...limits } = { ...DEFAULTS, ...options };
  const place: Place = { world, actor, runtime: world?.runtime(actor) ?? systemRuntime };
  const honest = createMemoryTransport(store, place);
  const single = spoil?.(honest) ?? honest;
  const transport = groupCommit === true ? grouped(single, place) : single;
  const resolve = { ...limits, runtime: place.runtime };

  return {
    incarnation: store.incarnation,
    append: (stream, expected, commit) => appendOne(transport, { stream, expected, commit }, resolve),
    appendAll: (entries) => appendResolved(transport, entries, resolve),
    read: async (stream, { after, confirm }): Promise<StreamPage> => {
      checkStream(stream);
      await arrive(place, `read ${stream.category}/${stream.id} after ${after}`);
      const until = confirm ? store.head() : lagging(world, store.head());
      const commits = store.ofStream(stream, after, until, pageSize);
      const more = commits.length === pageSize;
      await answer(place, `page of ${commits.length}`);
      return { commits, confirmedEnd: confirm && !more, more };
    },
    at: async (position) => {
      await arrive(place, `read position ${position}`);
      const commit = store.at(position);
      await answer(place, 'position read');
      return commit;
    },
    head: async () => {
      await arrive(place, 'read head');
      const head = store.head();
      await answer(place, `head ${head}`);
      return head;
    },
    scan: (options) => scanStore(store, place, options),
  };
}

/** Everything that may wait waits for company, so that the simulation meets batches at every load. */
function grouped(transport: GroupTransport, { world, runtime }: Place): AppendTransport {
  const soon = (callback: () => void): void => {
    if (world === undefined) setImmediate(callback);
    else void runtime.sleep(0).then(callback);
  };
  return createGroupCommit(transport, {
    policy: fixedPolicy(2),
    slots: 2,
    atOnce: 0,
    now: runtime.now,
    soon,
  });
}
