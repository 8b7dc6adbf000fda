import { OutcomeUnknown } from '../../src/eventstore/errors.ts';
import { type Runtime, systemRuntime } from '../../src/eventstore/runtime.ts';
import type { Outgoing, PublicStream } from '../../src/processes/engine/publishing/publisher.ts';
import { answer, arrive, loseMessage, type Sender } from '../../src/testing/memory-log.ts';
import type { World } from '../../src/testing/world.ts';

/** What a server would hold of a public stream, shared by every handle. */
export interface MemoryPublicStore {
  /** Every message that was ever stored, in order; what has expired is still here. */
  readonly stored: readonly Outgoing[];
  /** Those of an aggregate that are there now, with their places. */
  kept(id: string): readonly (Outgoing & { readonly place: number })[];
  put(outgoing: Outgoing, after: number): number | undefined;
}

/** @param keepMs after which messages expire, as a server lets them */
export function createMemoryPublicStore(
  now: () => number,
  keepMs = Number.POSITIVE_INFINITY,
): MemoryPublicStore {
  const stored: (Outgoing & { readonly place: number; readonly at: number })[] = [];
  const kept = (id: string) => stored.filter(({ event, at }) => event.subject === id && now() - at < keepMs);
  return {
    stored,
    kept,
    put: (outgoing, after) => {
      if ((kept(outgoing.event.subject).at(-1)?.place ?? 0) !== after) return undefined;
      stored.push({ ...outgoing, place: stored.length + 1, at: now() });
      return stored.length;
    },
  };
}

/** One process's handle; in a world with the faults of a network. */
export function openMemoryPublicStream(
  store: MemoryPublicStore,
  options: {
    readonly world?: World;
    readonly actor?: string;
    readonly runtime?: Runtime;
    readonly timeoutMs?: number;
  } = {},
): PublicStream {
  const { world, actor = 'main', runtime = systemRuntime, timeoutMs = 500 } = options;
  const sender: Sender = { world, actor, runtime };
  return {
    last: async (id) => {
      await arrive(sender, `last of ${id}`);
      const found = store.kept(id).at(-1);
      await answer(sender, `last of ${id} is ${found?.place ?? 0}`);
      return found;
    },
    ids: async (id) => {
      await arrive(sender, `ids of ${id}`);
      const ids = new Set(store.kept(id).map(({ event }) => event.id));
      await answer(sender, `${ids.size} ids of ${id}`);
      return ids;
    },
    store: async (outgoing, after) => {
      const label = `publish ${outgoing.event.subject} after ${after}`;
      await arrive(sender, label);
      const lost = world && loseMessage(world, timeoutMs, () => store.put(outgoing, after));
      if (lost !== undefined) {
        await runtime.sleep(timeoutMs);
        throw new OutcomeUnknown(label, timeoutMs, new Error(lost));
      }
      const place = store.put(outgoing, after);
      await answer(sender, `${place === undefined ? 'refused' : 'stored'} ${label}`);
      return place;
    },
  };
}
