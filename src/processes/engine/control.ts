import type { Bucket, Runtime, SlotGroup } from '../../eventstore/index.ts';
import { GroupsDiffer } from './errors.ts';
import { CONTROL, type ControlValue, GROUPS } from './ownership.ts';
import { type Buckets, bucketNames, parseRow, toBytes } from './rows.ts';

/** Pausing a consumer on every instance, from anywhere. */
export interface EngineControl {
  /** Nothing new is begun; what runs is finished. @throws LogUnavailable, OutcomeUnknown; repeating is safe */
  pause(consumer: string, by: string, reason?: string): Promise<void>;
  /** @throws as `pause` */
  resume(consumer: string, by: string): Promise<void>;
  /** Every consumer that was ever paused or resumed. @throws LogUnavailable */
  list(): Promise<ReadonlyMap<string, ControlValue>>;
}

/** The control of the engine whose buckets have this prefix; the buckets are made when there are none. */
export function createControl({
  buckets,
  prefix,
  runtime,
}: {
  buckets: Buckets;
  prefix: string;
  runtime: Runtime;
}): EngineControl {
  let opened: Bucket | undefined;
  const open = async (): Promise<Bucket> => {
    opened ??= await buckets.create(bucketNames(prefix).shared, { durable: true });
    return opened;
  };
  const set = async (consumer: string, paused: boolean, by: string, reason?: string): Promise<void> => {
    const bucket = await open();
    const key = CONTROL + consumer;
    for (;;) {
      const row = await bucket.get(key, { leader: true });
      if ((parseRow<ControlValue>(row)?.paused ?? false) === paused) return;
      const value = toBytes({
        paused,
        by,
        at: runtime.now(),
        ...(reason !== undefined && { reason }),
      } satisfies ControlValue);
      const write = { key, value, expectedRevision: row?.revision ?? 0 };
      if ((await bucket.write(write)).written) return;
    }
  };
  return {
    pause: (consumer, by, reason) => set(consumer, true, by, reason),
    resume: (consumer, by) => set(consumer, false, by),
    list: async () => {
      const found = new Map<string, ControlValue>();
      for await (const row of (await open()).rows({ prefix: CONTROL })) {
        const value = parseRow<ControlValue>(row);
        if (value !== undefined) found.set(row.key.slice(CONTROL.length), value);
      }
      return found;
    },
  };
}

/**
 * Compares the configured number of groups with the one that each consumer was first started with. The engine refuses
 * another one, too, but only once it runs; this is for a start-up that says so at once.
 * @throws GroupsDiffer, LogUnavailable
 */
export async function checkGroups(
  { buckets, prefix }: { readonly buckets: Pick<Buckets, 'open'>; readonly prefix: string },
  consumers: readonly { readonly name: string }[],
  count: SlotGroup['count'],
): Promise<void> {
  const bucket = await buckets.open(bucketNames(prefix).shared);
  if (bucket === undefined) return;
  for (const { name } of consumers) {
    const stored = parseRow<{ count: number }>(await bucket.get(GROUPS + name, { leader: true }))?.count;
    if (stored !== undefined && stored !== count) throw new GroupsDiffer(name, stored, count);
  }
}
