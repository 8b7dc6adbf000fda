import {
  type AnyDecider,
  createHandler,
  createNatsSnapshotArchive,
  createNatsSnapshotStore,
  ensureBucket,
  type Handler,
  type HandlerSettings,
  type Log,
  managerOf,
  type PersonalData,
  type RemakeObserver,
  type Requests,
  type SnapshotSettings,
  type SnapshotStore,
  type StoreObserver,
  startRemake,
  systemRuntime,
  type WrongSnapshot,
} from '../eventstore/index.ts';
import { startSnapshotBound } from './snapshot-bound.ts';

/** What opening the command path takes. */
export interface OpenCommandsOptions {
  readonly log: Log;
  readonly requests: Requests;
  /** First part of the snapshots' bucket's name. */
  readonly prefix: string;
  /** How long one request may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  readonly commands: Partial<HandlerSettings>;
  readonly snapshots: Partial<SnapshotSettings> & {
    readonly enabled: boolean;
    /** Size at which the oldest are dropped. */
    readonly maxMegabytes: number;
  };
  /** Has the snapshots of former folds of these made anew in the background; 0 per second = as commands meet them. */
  readonly remake?: {
    readonly deciders: readonly AnyDecider[];
    readonly perSecond: number;
    readonly observer: RemakeObserver;
  };
  /** Told of a snapshot that was not the fold of the log; it is replaced by then. */
  readonly onWrong: (wrong: WrongSnapshot) => void;
  /** Told, once, that the snapshots cannot be kept within `maxMegabytes`. */
  readonly onUnbounded: (error: unknown) => void;
  /** Seals and opens what events hold of persons: see `openPersonal`. */
  readonly personal?: PersonalData | undefined;
  readonly observer?: StoreObserver | undefined;
}

const MEGABYTE = 1_048_576;

/** The bucket of snapshots: a cache beside the log, whose bound the command path keeps. */
export function snapshotBucket(prefix: string) {
  const kind = { replicas: 1, storage: 'file', persist: 'async' } as const;
  return { name: `${prefix}_snapshots`, kind };
}

/** The one way to change aggregates, with snapshots where they are on. @throws as the server refuses their bucket */
export async function openCommands(options: OpenCommandsOptions): Promise<Handler> {
  const { log, requests, commands, snapshots, personal, observer, onWrong } = options;
  const { name, kind } = snapshotBucket(options.prefix);
  if (snapshots.enabled) await ensureBucket(await managerOf(requests), name, kind);
  const timeoutMs = options.requestTimeoutMs;
  const store = createNatsSnapshotStore({ requests, bucket: name, timeoutMs });
  const handler = createHandler({
    log,
    runtime: systemRuntime,
    settings: commands,
    ...(personal && { personal }),
    ...(observer && { observer }),
    ...(snapshots.enabled && { snapshots: { store, settings: snapshots, onWrong } }),
  });
  if (!snapshots.enabled) return handler;
  const remake = remakeSnapshots(options, name, store);
  const maxBytes = snapshots.maxMegabytes * MEGABYTE;
  const { onUnbounded } = options;
  const stopBound = startSnapshotBound({ requests, bucket: name, maxBytes, timeoutMs, onUnbounded });
  return {
    ...handler,
    close: async () => {
      stopBound();
      await remake?.stop();
      await handler.close();
    },
  };
}

function remakeSnapshots(
  { log, requests, remake, snapshots, ...more }: OpenCommandsOptions,
  bucket: string,
  store: SnapshotStore,
) {
  if (remake === undefined || remake.perSecond === 0) return undefined;
  const { deciders, perSecond, observer } = remake;
  const [runtime, timeoutMs] = [systemRuntime, more.requestTimeoutMs];
  const archive = createNatsSnapshotArchive({ requests, runtime, bucket, timeoutMs });
  const settings = { ...snapshots, perSecond };
  return startRemake({ deciders, store, archive, log, runtime, settings, observer });
}
