import { LogUnavailable } from '../errors.ts';
import type { GroupTransport } from '../group-commit/group-commit.ts';
import type { OutgoingCommit, PublishOutcome } from '../resolve-append.ts';
import type { Runtime } from '../runtime.ts';
import { keyOf } from '../stream.ts';
import type { MemoryStore } from './memory-store.ts';
import type { World } from './scheduler.ts';

/** Where a handle lives: in a world, as one of its actors, or, without a world, in plain time without faults. */
export interface Place {
  readonly world?: World | undefined;
  /** Name of the process that the handle belongs to. */
  readonly actor: string;
  readonly runtime: Runtime;
}

/** The way to the store and back; the faults of a network happen here. */
export function createMemoryTransport(store: MemoryStore, place: Place): GroupTransport {
  return {
    publish: (outgoing, timeoutMs) => publish(store, place, outgoing, timeoutMs),
    commitsAfter: async (stream, version) => {
      await arrive(place, 'read tail');
      const next = store.ofStream(stream, version, Infinity, 1)[0];
      await answer(place, 'tail read');
      return next === undefined ? undefined : { commitId: next.commitId, version: next.position };
    },
    lastVersions: async (streams) => {
      await arrive(place, 'read last versions');
      const until = lagging(place.world, store.head());
      const found = streams.flatMap((stream) => {
        const last = store.ofStream(stream, 0, until, Infinity).at(-1);
        return last === undefined ? [] : [[keyOf(stream), last.position] as const];
      });
      await answer(place, 'last versions read');
      return new Map(found);
    },
  };
}

/** The request reaches the server. @throws LogUnavailable when the fault `unavailable` strikes */
export async function arrive({ world, actor }: Place, label: string): Promise<void> {
  if (world === undefined) return;
  await world.step(label, actor);
  if (world.strikes('unavailable')) throw new LogUnavailable(`${label}, simulated`);
}

/** The answer reaches the caller: others may have gone on since it was given. */
export async function answer({ world, actor }: Place, label: string): Promise<void> {
  if (world !== undefined) await world.step(label, actor);
}

async function publish(
  store: MemoryStore,
  place: Place,
  outgoing: readonly OutgoingCommit[],
  timeoutMs: number,
): Promise<PublishOutcome> {
  const { world, actor, runtime } = place;
  const name = outgoing.map(({ stream }) => keyOf(stream)).join(', ');
  const put = (): number | undefined => store.putAll(outgoing);
  if (world === undefined) return outcomeOf(put());

  await world.step(`publish ${name} after ${outgoing.map(({ expected }) => expected)}`, actor);
  if (world.strikes('unavailable')) return { refused: 'no responders, simulated', retryable: true };
  const lost = loseMessage(world, timeoutMs, put);
  if (lost !== undefined) {
    await runtime.sleep(timeoutMs);
    return { noAnswer: true, cause: new Error(lost) };
  }
  const result = outcomeOf(put());
  await world.step(`${'ok' in result ? `stored ${result.seq}` : 'conflict'} ${name}`, actor);
  return result;
}

/** Rolls the faults of one message; returns what happened to it, or `undefined` when nothing did. */
export function loseMessage(world: World, timeoutMs: number, apply: () => void): string | undefined {
  if (world.strikes('lostSend')) return 'lost before the server, simulated';
  if (world.strikes('lateLanding')) {
    world.later('late landing', timeoutMs + world.delayMs(), apply);
    return 'held up before the server, simulated';
  }
  if (!world.strikes('lostAck')) return undefined;
  apply();
  return 'answer lost, simulated';
}

/** How far a replica that lags has come; mostly a little behind, since that is what hides from tests. */
export function lagging(world: World | undefined, end: number): number {
  if (!world?.strikes('staleRead')) return end;
  const behind = world.random() < 0.5 ? 1 : 1 + Math.floor(world.random() * end);
  return Math.max(0, end - behind);
}

const outcomeOf = (position: number | undefined): PublishOutcome =>
  position === undefined ? { conflict: true } : { ok: true, seq: position };
