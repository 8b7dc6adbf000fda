import type { Instance } from '../../api/operators/ports.ts';
import { BEGINNING, type Bucket, type Runtime } from '../../eventstore/index.ts';
import { type ConsumerStatus, parseRow, toBytes } from '../../processes/engine/index.ts';

const INSTANCE = 'instance.';
const BEAT_MS = 5_000;
/** What was silent for longer has ended without saying so, and is not shown. */
const SILENT_MS = 60_000;
/** Rows of those that ended so are removed by whoever starts next. */
const FORGOTTEN_MS = 86_400_000;

/** Says of this process every 5 s that it lives, what it is, and what it tries again. Never throws. */
export function announceInstance(
  { open, runtime }: { readonly open: () => Promise<Bucket>; readonly runtime: Runtime },
  self: Pick<Instance, 'name' | 'roles' | 'version' | 'node'>,
  consumers: () => readonly ConsumerStatus[],
): { stop(): Promise<void> } {
  const id = runtime.id();
  const key = INSTANCE + id;
  const startedAt = runtime.now();
  let revision = 0;
  const beat = async (): Promise<void> => {
    const retrying = consumers()
      .filter((status) => status.retrying > 0 || status.lastError !== undefined)
      .map(({ consumer, retrying: count, lastError: error = '' }) => ({ consumer, count, error }));
    const now = { seenAt: runtime.now(), retrying };
    const value = toBytes({ id, ...self, startedAt, ...now } satisfies Instance);
    const bucket = await open();
    const result = await bucket.write({ key, value, expectedRevision: revision, position: BEGINNING });
    // Nobody else writes this key: an earlier write whose answer was lost has landed.
    revision = result.written ? result.revision : ((await bucket.get(key, { leader: true }))?.revision ?? 0);
  };
  const forget = async (): Promise<void> => {
    const bucket = await open();
    for await (const row of bucket.rows({ prefix: INSTANCE })) {
      const seenAt = parseRow<Instance>(row)?.seenAt ?? runtime.now();
      if (runtime.now() - seenAt < FORGOTTEN_MS) continue;
      await bucket.write({ key: row.key, value: undefined, expectedRevision: row.revision });
    }
  };
  let last: Promise<unknown> = beat()
    .then(forget)
    .catch(() => undefined);
  const timer = setInterval(() => {
    last = last.then(beat).catch(() => undefined);
  }, BEAT_MS);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      await last;
      const gone = async () =>
        revision > 0 && (await open()).write({ key, value: undefined, expectedRevision: revision });
      await gone().catch(() => undefined);
    },
  };
}

/** The processes that were heard of lately, of both buckets, by name. @throws LogUnavailable */
export async function readInstances(
  buckets: readonly (Bucket | undefined)[],
  runtime: Runtime,
): Promise<readonly Instance[]> {
  const found: Instance[] = [];
  for (const bucket of new Set(buckets)) {
    if (bucket === undefined) continue;
    for await (const row of bucket.rows({ prefix: INSTANCE })) {
      const instance = parseRow<Instance>(row);
      if (instance !== undefined && runtime.now() - instance.seenAt < SILENT_MS) found.push(instance);
    }
  }
  return found.sort((a, b) => (`${a.name}/${a.id}` < `${b.name}/${b.id}` ? -1 : 1));
}
