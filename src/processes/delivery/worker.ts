import {
  type Bucket,
  groupOfSlot,
  mayHeal,
  type Runtime,
  type SlotGroup,
  slotOf,
} from '../../eventstore/index.ts';
import {
  type Buckets,
  type OwnedShare,
  OwnershipLost,
  parseRow,
  toBytes,
  type Worker,
  type WorkerShare,
  writeRow,
} from '../engine/index.ts';
import {
  type DeliveryOutlet,
  type DeliverySettings,
  type DeliverySource,
  defaultDeliverySettings,
  type Receiver,
} from './port.ts';
import { type RunningReceiver, runReceiver, type StoredReceiver } from './receiver.ts';
import { followTail, type Tail } from './tail.ts';

/** Who is sent events, as this process knows it. */
export interface Receivers {
  /** Every receiver that is not removed. */
  all(): Iterable<Receiver>;
  get(id: string): Receiver | undefined;
  /** Calls back for each that comes, changes or goes, until the signal fires. */
  watch(changed: (id: string) => void, signal: AbortSignal): void;
}

export interface DeliveryDeps {
  /** Under which name operators see it. */
  readonly name: string;
  readonly buckets: Buckets;
  /** Of the bucket with the places: `<prefix>_deliveries`. */
  readonly prefix: string;
  readonly runtime: Runtime;
  readonly sources: readonly DeliverySource[];
  readonly receivers: Receivers;
  readonly outlet: DeliveryOutlet;
  readonly settings?: Partial<DeliverySettings>;
}

/** The bucket with the places of the receivers. */
export const deliveryBucket = (prefix: string): string => `${prefix}_deliveries`;

/** A receiver's place as it is stored; undefined where it has none. @throws LogUnavailable */
export async function readPlace(
  buckets: Pick<Buckets, 'open'>,
  prefix: string,
  id: string,
): Promise<StoredReceiver | undefined> {
  const bucket = await buckets.open(deliveryBucket(prefix));
  return parseRow<StoredReceiver>(await bucket?.get(keyOf(id), { leader: true }));
}

const keyOf = (id: string): string => `receiver.${id}`;

/** Delivers sources to receivers; the instances share the receivers by the slots of their ids (protocol 34). */
export function deliveryWorker(deps: DeliveryDeps): Worker {
  return { name: deps.name, own: (share) => own(deps, share) };
}

function own(deps: DeliveryDeps, { group, alive, signal }: OwnedShare): WorkerShare {
  const { runtime, sources, receivers, outlet, buckets, prefix } = deps;
  const settings = { ...defaultDeliverySettings, ...deps.settings };
  const stopping = new AbortController();
  const leave = (): void => stopping.abort();
  signal.addEventListener('abort', leave, { once: true });
  const running = new Map<string, Promise<RunningReceiver | undefined>>();
  const started = new Set<RunningReceiver>();
  let tails: readonly Tail[] | undefined;
  let held = true;
  let bucket: Promise<Bucket> | undefined;

  const open = async (): Promise<Bucket> => {
    bucket ??= buckets.create(deliveryBucket(prefix), { durable: true });
    bucket.catch(() => {
      bucket = undefined;
    });
    return bucket;
  };
  // Before there is anybody to deliver to, so that what is planned is there; a failure shows where it is needed.
  open().catch(() => undefined);
  const follow = (): readonly Tail[] => {
    tails ??= sources.map((source) => followTail(source, runtime, stopping.signal, outlet.trouble));
    return tails;
  };
  const begin = async (receiver: Receiver): Promise<RunningReceiver | undefined> => {
    for (let attempt = 0; !stopping.signal.aborted; attempt++) {
      try {
        const claimed = await claim(
          { bucket: await open(), runtime, alive, signal: stopping.signal },
          receiver.id,
        );
        const lost = (): void => beginAnew(receiver);
        const own = { ...claimed, tails: follow(), runtime, settings, outlet, alive, lost };
        const begun = runReceiver(own, receivers.get(receiver.id) ?? receiver);
        begun.hold(held);
        started.add(begun);
        return begun;
      } catch (error) {
        // Of an owner, an earlier one has written: that is over once the place is claimed.
        const isRefused = error instanceof OwnershipLost;
        if (!isRefused && !mayHeal(error)) outlet.trouble(`taking over ${receiver.id}`, error);
        await runtime.sleep(Math.min(2_000, 50 * 2 ** attempt));
      }
    }
    return undefined;
  };
  const end = async (begun: Promise<RunningReceiver | undefined> | undefined): Promise<void> => {
    const receiver = await begun;
    await receiver?.stop();
    if (receiver !== undefined) started.delete(receiver);
  };
  /** Its place was lost: by an owner to an earlier one, or by a former owner that has not heard of it yet. */
  const beginAnew = (receiver: Receiver): void => {
    const { id } = receiver;
    const known = running.get(id);
    if (known !== undefined && !stopping.signal.aborted)
      running.set(
        id,
        end(known).then(() => begin(receivers.get(id) ?? receiver)),
      );
  };
  const look = (id: string): void => {
    if (stopping.signal.aborted || !isIn(group, id)) return;
    const receiver = receivers.get(id);
    const known = running.get(id);
    if (receiver === undefined) {
      running.delete(id);
      void end(known);
    } else if (known === undefined) running.set(id, begin(receiver));
    else void known.then((begun) => begun?.update(receivers.get(id) ?? receiver));
  };
  for (const { id } of receivers.all()) look(id);
  receivers.watch(look, stopping.signal);

  return {
    hold: (on) => {
      held = on;
      for (const receiver of started) receiver.hold(on);
    },
    stop: async () => {
      const all = [...running.values()];
      stopping.abort();
      signal.removeEventListener('abort', leave);
      await Promise.all(all.map(end));
    },
    status: () => {
      const sum = (of: 'open' | 'running' | 'retrying'): number =>
        [...started].reduce((total, receiver) => total + receiver.status()[of], 0);
      return {
        lag: sum('open'),
        oldestAt: undefined,
        held: sum('open'),
        running: sum('running'),
        retrying: sum('retrying'),
      };
    },
  };
}

const isIn = (group: SlotGroup, id: string): boolean => groupOfSlot(slotOf(id), group.count) === group.index;

interface ClaimDeps {
  readonly bucket: Bucket;
  readonly runtime: Runtime;
  readonly alive: () => boolean;
  readonly signal: AbortSignal;
}

/**
 * Reads a receiver's place and makes it this process's own by writing it again, so that every later write of an earlier
 * owner is refused. @throws OwnershipLost; LogUnavailable
 */
async function claim({ bucket, runtime, alive, signal }: ClaimDeps, id: string) {
  const key = keyOf(id);
  const row = await bucket.get(key, { leader: true });
  if (!alive()) throw new OwnershipLost(`The place of ${id}`);
  const stored = parseRow<StoredReceiver>(row);
  let revision = row?.revision ?? 0;
  const store = async (value: Omit<StoredReceiver, 'owner'>): Promise<void> => {
    const own = toBytes({ ...value, owner: runtime.id() } satisfies StoredReceiver);
    const result = await writeRow({ runtime, signal }, bucket, {
      key,
      value: own,
      expectedRevision: revision,
    });
    if (!result.written) throw new OwnershipLost(`The place of ${id}`);
    ({ revision } = result);
  };
  await store(stored ?? { takenAt: 0, failures: 0, pausedUntil: 0, sources: {} });
  return { stored, store };
}
