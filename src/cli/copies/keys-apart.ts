import { readKeysCopy } from '../../platform/backup/keys.ts';
import { BackupError, type Manifest } from '../../platform/backup/manifest.ts';
import { keysStream } from '../../service/topology.ts';

/** Why a backup that was taken with `--keys` has no keys of persons. */
export const KEYS_APART = 'keys of persons: copied apart';

/**
 * A backup with the keys of persons in it: its own, or those of a copy that was taken apart from it.
 * @param folder of that copy; undefined where none was given
 * @throws BackupError when one is needed and was not given, is not whole, or belongs to another log
 */
export async function withKeysOf(manifest: Manifest, folder: string | undefined): Promise<Manifest> {
  const name = keysStream(manifest.log);
  if (folder === undefined) {
    if (!manifest.leftOut.some((left) => left.name === name && left.why === KEYS_APART)) return manifest;
    throw new BackupError(
      'The keys of persons were copied apart from this backup: give the newest copy of them, --keys <folder>.',
    );
  }
  if (manifest.streams.some((stream) => stream.name === name))
    throw new BackupError('The backup holds the keys of persons itself: leave out --keys.');
  const keys = await readKeysCopy(folder);
  if (keys.name !== name)
    throw new BackupError(
      `${folder} holds ${keys.name}, and the backup needs ${name}: give the copy of its keys.`,
    );
  return { ...manifest, streams: [...manifest.streams, keys] };
}
