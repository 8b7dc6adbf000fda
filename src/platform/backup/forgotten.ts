import { readFile } from 'node:fs/promises';
import type { Forgetting, ForgottenPerson } from '../../eventstore/index.ts';
import { BackupError, writeHashed } from './manifest.ts';

// A copy of the ledger of who was forgotten: a line that says what it is, one for each person, and one with their
// number, without which it is not whole.

const HEAD = { holds: 'forgotten persons', format: 1 };

/**
 * Writes everybody in the ledger into a new file.
 * @returns how many they are @throws LogUnavailable; Error of the file system, also where the file is there already
 */
export async function copyLedger(forgetting: Pick<Forgetting, 'all'>, path: string): Promise<number> {
  let entries = 0;
  const lines = async function* (): AsyncGenerator<Uint8Array> {
    yield line(HEAD);
    for await (const one of forgetting.all()) {
      entries++;
      yield line(one);
    }
    yield line({ entries });
  };
  await writeHashed(path, lines());
  return entries;
}

const line = (value: object): Uint8Array => Buffer.from(`${JSON.stringify(value)}\n`);

/** Whom a copy of the ledger names. @throws BackupError for what is not a whole copy */
export async function readLedgerCopy(path: string): Promise<readonly ForgottenPerson[]> {
  const wrong = (why: string, cause?: unknown) =>
    new BackupError(`${path} ${why}: it is no whole copy of the ledger of forgotten persons.`, cause);
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw wrong('cannot be read', cause);
  });
  let lines: unknown[];
  try {
    lines = text
      .split('\n')
      .filter(Boolean)
      .map((each): unknown => JSON.parse(each));
  } catch (cause) {
    throw wrong('is damaged', cause);
  }
  const [head, ...rest] = lines;
  const entries = rest.slice(0, -1);
  if (JSON.stringify(head) !== JSON.stringify(HEAD)) throw wrong('does not begin as one');
  if (JSON.stringify(rest.at(-1)) !== JSON.stringify({ entries: entries.length })) throw wrong('is cut off');
  if (!entries.every(isForgottenPerson)) throw wrong('is damaged');
  return entries;
}

function isForgottenPerson(value: unknown): value is ForgottenPerson {
  if (typeof value !== 'object' || value === null || !('person' in value && 'at' in value)) return false;
  return typeof value.person === 'string' && typeof value.at === 'number';
}

/**
 * Forgets again whom the ledger names, before anything is folded. @param entered from a copy of it
 * @throws BackupError when the backup knows of somebody whom the ledger does not name; LogUnavailable, KeysUnavailable
 */
export async function forgetAgain(
  forgetting: Forgetting,
  entered: readonly ForgottenPerson[],
): Promise<void> {
  for (const one of entered) await forgetting.enter(one);
  const [missing] = await forgetting.missing();
  if (missing !== undefined)
    throw new BackupError(
      `The ledger of forgotten persons is older than the backup, which knows that ${missing} was forgotten: give a newer copy.`,
    );
  await forgetting.finish();
}
