import type { Instance } from '../../api/operators/ports.ts';
import { BEGINNING, type Bucket, type Runtime } from '../../eventstore/index.ts';
import { type ConsumerStatus, parseRow, toBytes } from '../../processes/engine/index.ts';

const INSTANCE = 'instance.';
/** What a process runs with, beside what it says of itself, since it does not change. */
const SETTINGS = 'settings.';
const BEAT_MS = 5_000;
/** What was silent for longer has ended without saying so, and is not shown. */
const SILENT_MS = 60_000;
/** Rows of those that ended so are removed by whoever starts next. */
const FORGOTTEN_MS = 86_400_000;

/** What a process tells of its configuration: few rows are read often, so the defaults are not in it. */
export interface ToldSettings {
  /** A digest of the defaults. */
  readonly defaults: string;
  /** What is set anywhere else, by name: the value, `***` for a secret, and the file or variable it comes from. */
  readonly set: Readonly<Record<string, readonly [value: string, origin: string]>>;
}

/** Says of this process every 5 s that it lives, what it is, and what it tries again. Never throws. */
export function announceInstance(
  { open, runtime }: { readonly open: () => Promise<Bucket>; readonly runtime: Runtime },
  {
    settings,
    ...self
  }: Pick<Instance, 'name' | 'roles' | 'version' | 'node'> & { readonly settings: ToldSettings },
  consumers: () => readonly ConsumerStatus[],
): { stop(): Promise<void> } {
  const id = runtime.id();
  const key = INSTANCE + id;
  const startedAt = runtime.now();
  let revision = 0;
  let settingsRevision = 0;
  const tellSettings = async (bucket: Bucket): Promise<void> => {
    const row = { key: SETTINGS + id, value: toBytes(settings), expectedRevision: 0, position: BEGINNING };
    const result = await bucket.write(row);
    settingsRevision = result.written
      ? result.revision
      : ((await bucket.get(row.key, { leader: true }))?.revision ?? 0);
  };
  const beat = async (): Promise<void> => {
    const retrying = consumers()
      .filter((status) => status.retrying > 0 || status.lastError !== undefined)
      .map(({ consumer, retrying: count, lastError: error = '' }) => ({ consumer, count, error }));
    const value = toBytes({ id, ...self, startedAt, seenAt: runtime.now(), retrying } satisfies Instance);
    const bucket = await open();
    if (settingsRevision === 0) await tellSettings(bucket);
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
      const told = await bucket.get(SETTINGS + row.key.slice(INSTANCE.length), { leader: true });
      if (told !== undefined && told.value.length > 0)
        await bucket.write({ key: told.key, value: undefined, expectedRevision: told.revision });
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
      const rows = [
        { key, expectedRevision: revision },
        { key: SETTINGS + id, expectedRevision: settingsRevision },
      ];
      const gone = async (): Promise<void> => {
        const bucket = await open();
        for (const row of rows)
          if (row.expectedRevision > 0) await bucket.write({ ...row, value: undefined });
      };
      await gone().catch(() => undefined);
    },
  };
}

/** What the processes of these ids run with. @throws LogUnavailable */
export async function readSettings(
  buckets: readonly (Bucket | undefined)[],
  ids: readonly string[],
): Promise<ReadonlyMap<string, ToldSettings>> {
  const found = new Map<string, ToldSettings>();
  for (const bucket of new Set(buckets)) {
    for (const row of (await bucket?.getAll(ids.map((id) => SETTINGS + id))) ?? []) {
      const told = parseRow<ToldSettings>(row);
      if (told !== undefined) found.set(row.key.slice(SETTINGS.length), told);
    }
  }
  return found;
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
