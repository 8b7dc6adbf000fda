import type { Bucket, Row } from '../bucket.ts';
import { EventStoreError, mayHeal } from '../errors.ts';
import type { Log } from '../log.ts';
import { numberOf, type Position, positionOf } from '../position.ts';
import { backoffMs, type Runtime } from '../runtime.ts';

/** Where the place of a subscription is kept. */
export interface StoredProgress {
  readonly bucket: Bucket;
  /** Whose progress it is: letters, digits, `-` and `_`, at most 64. Who subscribes under a name goes on where it was left. */
  readonly name: string;
  /** The shortest time between two writes, in milliseconds; default 100. */
  readonly everyMs?: number | undefined;
}

/** What has been handled: a whole commit, or up to an event of it. */
interface Place {
  readonly position: Position;
  readonly index?: number | undefined;
}

/** The progress of one subscription, which this process alone goes on with. */
export interface Progress {
  /** Where to begin. */
  readonly place: Place;
  /** Everything up to here is handled; stored soon. @throws what an earlier attempt to store it met */
  handled(place: Place): void;
  /** Stores what is not stored yet, if it can. */
  close(): Promise<void>;
}

interface Value {
  readonly position: number;
  readonly index?: number | undefined;
  readonly incarnation: string;
  /** Of this start alone: tells a write of one's own from another's. */
  readonly owner: string;
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Takes over the progress of a name, or begins it at `start`, which is asked for once. Whoever had it before is refused
 * at its next write.
 * @throws EventStoreError `subscription/invalid`, `subscription/taken`, `subscription/other-log`; LogUnavailable
 */
export async function storeProgress(
  options: StoredProgress & { readonly log: Log; readonly runtime: Runtime },
  start: () => Promise<Place>,
): Promise<Progress> {
  const { bucket, name, everyMs = 100, log, runtime } = options;
  if (!NAME.test(name)) {
    const rule = 'use 1 to 64 letters, digits, "-" and "_"';
    throw new EventStoreError('subscription/invalid', `The option progress.name is no name: ${rule}.`);
  }
  const key = `subscription.${name}`;
  const owner = runtime.id();
  const look = () => bucket.get(key, { leader: true });
  const found = await look();
  const kept = placeIn(found, log.incarnation, name);
  const place = kept ?? (await start());
  let revision = found?.revision ?? 0;
  let next: Place | undefined = place;
  let saving: Promise<void> | undefined;
  let fault: unknown;

  const write = async (handled: Place): Promise<void> => {
    const { position, index } = handled;
    const value: Value = { position: numberOf(position), index, incarnation: log.incarnation, owner };
    const row = { key, value: Buffer.from(JSON.stringify(value)), expectedRevision: revision };
    const result = await bucket.write(row);
    if (result.written) {
      revision = result.revision;
      return;
    }
    const there = await look();
    if (there === undefined || valueIn(there)?.owner !== owner) throw taken(name);
    // An earlier write, whose answer did not come.
    revision = there.revision;
    await write(handled);
  };
  const saveAll = async (): Promise<void> => {
    for (let attempt = 0; next !== undefined; ) {
      const now = next;
      next = undefined;
      try {
        await write(now);
        attempt = 0;
        await runtime.sleep(everyMs);
      } catch (error) {
        if (!mayHeal(error)) throw error;
        next ??= now;
        await runtime.sleep(backoffMs(runtime, attempt++, 20, 1_000));
      }
    }
  };
  const save = (): void => {
    saving ??= saveAll()
      .catch((error: unknown) => {
        fault = error;
      })
      .finally(() => {
        saving = undefined;
      });
  };
  await write(place);
  next = undefined;

  return {
    place,
    handled: (handled) => {
      if (fault !== undefined) throw fault;
      next = handled;
      save();
    },
    close: async () => {
      const last = next;
      next = undefined;
      await saving;
      // What is not stored is handed out again.
      if (last !== undefined && fault === undefined) await write(last).catch(() => undefined);
    },
  };
}

const valueIn = (row: Row): Value | undefined =>
  row.value.length === 0 ? undefined : (JSON.parse(Buffer.from(row.value).toString()) as Value);

function placeIn(row: Row | undefined, incarnation: string, name: string): Place | undefined {
  const value = row && valueIn(row);
  if (value === undefined) return undefined;
  if (value.incarnation !== incarnation) {
    const why = 'is of another incarnation of the log: remove its row to begin anew';
    throw new EventStoreError('subscription/other-log', `The progress of the subscription ${name} ${why}.`);
  }
  return { position: positionOf(value.position), index: value.index };
}

function taken(name: string): EventStoreError {
  const message = `Another process goes on with the subscription ${name}; it ends here.`;
  return new EventStoreError('subscription/taken', message);
}
