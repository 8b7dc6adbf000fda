import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile } from './files.ts';
import { CHECKSUMS, MANIFEST, readManifest } from './manifest.ts';

/** A file of a backup that is not what was written. */
export interface FileProblem {
  readonly file: string;
  readonly problem: string;
}

const LINE = /^([0-9a-f]{64}) {2}(\S+)$/;

/**
 * Reads every byte of a backup and compares it with the checksums, which stand twice: in the manifest and beside it.
 * @returns nothing for a sound backup
 * @throws BackupError when there is no usable manifest although its checksum holds
 */
export async function checkFiles(folder: string): Promise<readonly FileProblem[]> {
  const sums = await readChecksums(folder);
  const expectedManifest = sums.get(MANIFEST);
  const manifestNow = await hashFile(join(folder, MANIFEST));
  if (manifestNow === undefined) return [{ file: MANIFEST, problem: 'is missing' }];
  if (expectedManifest !== undefined && expectedManifest !== manifestNow.sha256) {
    return [{ file: MANIFEST, problem: 'was changed: its checksum differs' }];
  }
  const { streams } = await readManifest(folder);
  const problems: FileProblem[] = [];
  for (const { file, bytes, sha256 } of streams) {
    const now = await hashFile(join(folder, file));
    if (now === undefined) problems.push({ file, problem: 'is missing' });
    else if (now.bytes !== bytes) problems.push({ file, problem: `has ${now.bytes} bytes, not ${bytes}` });
    else if (now.sha256 !== sha256) problems.push({ file, problem: 'was changed: its checksum differs' });
    else if (sums.get(file) !== sha256) problems.push({ file: CHECKSUMS, problem: `does not fit ${file}` });
  }
  if (expectedManifest === undefined)
    problems.push({ file: CHECKSUMS, problem: `does not name ${MANIFEST}` });
  return problems;
}

async function readChecksums(folder: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(folder, CHECKSUMS), 'utf8').catch(() => '');
  const sums = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, sum, file] = LINE.exec(line) ?? [];
    if (sum !== undefined && file !== undefined) sums.set(file, sum);
  }
  return sums;
}
