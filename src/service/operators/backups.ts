import type { BackupsAdmin, BackupsSituation } from '../../api/operators/ports.ts';
import { BEGINNING, INCARNATION_KEY, managerOf, reasonOf } from '../../eventstore/index.ts';
import type { Manifest } from '../../platform/backup/manifest.ts';
import { RESTORED_FROM_KEY } from '../../platform/backup/put-back.ts';
import type { Config } from '../../platform/config/schema.ts';
import { type Buckets, parseRow, toBytes } from '../../processes/engine/index.ts';
import type { Nats } from '../open.ts';
import { bucketsOf } from '../with-nats.ts';

/** Where commands of operators note what they did with backups; theirs alone to write. */
export const backupsBucket = (prefix: string): string => `${prefix}_backups`;

/** Of a write that others are faster with. */
const MOST_TRIES = 5;

type Note = Required<BackupsSituation>;
const NOTES = ['taken', 'proved', 'restored'] as const satisfies readonly (keyof Note)[];

/** What was noted last of each kind; nothing where nobody has noted anything. */
export function createBackupsAdmin(buckets: Pick<Buckets, 'open'>, prefix: string): BackupsAdmin {
  return async () => {
    const bucket = await buckets.open(backupsBucket(prefix));
    const rows = (await bucket?.getAll(NOTES)) ?? [];
    const read = <K extends keyof Note>(name: K): Note[K] | undefined =>
      parseRow<Note[K]>(rows.find(({ key }) => key === name));
    return { taken: read('taken'), proved: read('proved'), restored: read('restored') };
  };
}

/**
 * Notes what was done, in place of what was noted of its kind before. Nothing that was done depends on it, so whatever
 * keeps it from being noted is told, and no error.
 * @returns why it could not be noted; undefined when it was
 */
export async function noteBackup<K extends keyof Note>(
  config: Config,
  { requests }: Pick<Nats, 'requests'>,
  name: K,
  note: Note[K],
): Promise<string | undefined> {
  try {
    const bucket = await bucketsOf(config, requests).create(backupsBucket(config.log.prefix), {
      durable: true,
    });
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const expectedRevision = (await bucket.get(name, { leader: true }))?.revision ?? 0;
      const row = { key: name, value: toBytes(note), expectedRevision, position: BEGINNING };
      if ((await bucket.write(row)).written) return undefined;
    }
    return 'others note something at the same time';
  } catch (error) {
    return reasonOf(error);
  }
}

/** Whether a backup is of the log that a server has, or of the one that it was restored from. */
export async function isOfThisLog(
  { log }: Config,
  { requests }: Pick<Nats, 'requests'>,
  manifest: Pick<Manifest, 'log'>,
): Promise<boolean> {
  const { metadata = {} } = (await (await managerOf(requests)).streams.info(log.stream)).config;
  return [metadata[INCARNATION_KEY], metadata[RESTORED_FROM_KEY]].includes(manifest.log.incarnation);
}
