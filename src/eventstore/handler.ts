import type { Message } from '@bufbuild/protobuf';
import { codecOf } from './codec/event-codec.ts';
import type { CommandHandler, CommandMeta } from './command.ts';
import { recallAsked } from './command-log.ts';
import { type CommandQueue, type CommandQueueSettings, createCommandQueue } from './command-queue.ts';
import { type CommitAllResult, createCommitAll, type Part } from './commit-all.ts';
import type { Decider, Rejection } from './decider.ts';
import type { Log } from './log.ts';
import { observeCommand, type StoreObserver, typeOfCommand } from './observer.ts';
import { type PersonalData, WITHOUT_KEYS } from './personal/personal-data.ts';
import { repeatedAnswer } from './plan.ts';
import { isAfter, positionOfVersion } from './position.ts';
import type { Runtime } from './runtime.ts';
import { createSnapshots, type SnapshotSettings, type WrongSnapshot } from './snapshots/snapshots.ts';
import type { SnapshotStore } from './snapshots/stored.ts';
import { createStates } from './states.ts';
import { checkStream, keyOf, type StreamRef } from './stream.ts';

/** How commands are executed. */
export interface HandlerSettings extends CommandQueueSettings {
  /** How many aggregates are kept in memory at the most. */
  readonly cacheEntries: number;
  /** How much memory they may take; the bound that counts where aggregates are large. */
  readonly cacheMegabytes: number;
}

/** What a service of ordinary size starts with. */
export const defaultHandlerSettings: HandlerSettings = {
  cacheEntries: 100_000,
  cacheMegabytes: 128,
  queueLimit: 1_000,
  deadlineMs: 1_800,
  maxBatch: 64,
};

export interface HandlerDeps {
  readonly log: Log;
  readonly runtime: Runtime;
  readonly settings?: Partial<HandlerSettings>;
  /** Without it cold aggregates are folded from their first event. */
  readonly snapshots?: {
    readonly store: SnapshotStore;
    readonly settings?: Partial<SnapshotSettings>;
    /** Told of a snapshot that was not the fold of the log; it is replaced and forgotten by then. */
    readonly onWrong: (wrong: WrongSnapshot) => void;
  };
  /** Seals and opens what events hold of persons; without it nothing is sealed, and nothing sealed is decided on. */
  readonly personal?: PersonalData;
  readonly observer?: StoreObserver;
}

/** Everything that changes aggregates. */
export interface Handler extends CommandHandler {
  /** A command on each of several aggregates, all or none; see `part`. Slower than one aggregate by far. @throws as `execute` */
  commitAll(parts: readonly Part[], meta: CommandMeta): Promise<CommitAllResult>;
  /** Writes the snapshots that wait. */
  close(): Promise<void>;
}

/** The one way to change an aggregate. One per process and log. */
export function createHandler(deps: HandlerDeps): Handler {
  const settings = { ...defaultHandlerSettings, ...deps.settings };
  const { log, runtime, personal = WITHOUT_KEYS, observer } = deps;
  const isWatched = observer?.aroundCommand !== undefined || observer?.done !== undefined;
  const snapshots =
    deps.snapshots &&
    createSnapshots({
      log,
      runtime,
      ...deps.snapshots,
      onWrong: (wrong) => {
        states.forget(wrong.stream);
        deps.snapshots?.onWrong(wrong);
      },
    });
  const { cacheEntries, cacheMegabytes } = settings;
  const states = createStates({ log, runtime, cacheEntries, cacheMegabytes, snapshots, observer });
  const commitAll = createCommitAll({
    log,
    states,
    runtime,
    deadlineMs: settings.deadlineMs,
    personal,
    observer,
  });
  const queues = new Map<string, unknown>();
  const queueDeps = { log, states, runtime, settings, personal, observer };
  const forget = (stream: StreamRef) => queues.delete(keyOf(stream));

  function queueOf<S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    stream: StreamRef,
  ): CommandQueue<S, C, E, R> {
    const key = keyOf(stream);
    let queue = queues.get(key);
    if (queue === undefined) {
      queue = createCommandQueue(decider, stream, queueDeps, forget);
      queues.set(key, queue);
    }
    // The key names the category, and a category has one decider.
    return queue as CommandQueue<S, C, E, R>;
  }

  return {
    close: async () => snapshots?.close(),

    execute: async (decider, id, command, meta, options = {}) => {
      const { category } = decider;
      const execute = (own: CommandMeta) => {
        const stream = checkStream({ category, id });
        const asked = { command, meta: own, expected: options.expected ?? 'any' };
        return queueOf(decider, stream).submit(asked, options);
      };
      if (!isWatched) return execute(meta);
      const call = { category, id, command: typeOfCommand(command), together: undefined, meta };
      return observeCommand(observer, call, execute);
    },

    load: async (decider, id, options = {}) => {
      const stream = checkStream({ category: decider.category, id });
      const { asOf, behind, toDecide, maxAgeMs = 0 } = options;
      const known = asOf && states.asOf(decider, stream, asOf);
      const folded = known ?? states.cached(decider, stream) ?? (await states.atHand(decider, stream));
      const isOld =
        behind === undefined
          ? maxAgeMs === 0 || folded.version === 0 || runtime.now() - folded.confirmedAt > maxAgeMs
          : !isAfter(positionOfVersion(folded.version), behind);
      if (known === undefined && isOld) await states.refresh(decider, stream, folded);
      if (toDecide !== undefined) await states.ready(decider, stream, folded, [toDecide]);
      const { state, version } = folded;
      return { state: codecOf(decider).personal ? await personal.open(state) : state, version };
    },

    commitAll: async (parts, meta) => {
      if (!isWatched) return commitAll(parts, meta);
      const { category = '', id = '' } = parts[0]?.stream ?? {};
      const call = { category, id, command: 'commitAll', together: parts.length, meta };
      return observeCommand(observer, call, (own) => commitAll(parts, own));
    },

    find: async (decider, id, meta) => {
      const stream = checkStream({ category: decider.category, id });
      const folded = await states.atHand(decider, stream);
      await states.refresh(decider, stream, folded);
      const stored = recallAsked(folded.commands, meta);
      if (stored === undefined) return undefined;
      if (!stored.same) return { outcome: 'key-reused', version: stored.version };
      return repeatedAnswer(decider, stream, stored.id, stored.version, { log, states, personal });
    },
  };
}
