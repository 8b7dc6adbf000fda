import { readFileSync, rmSync } from 'node:fs';
import Database from 'libsql';
import { type IndexScope, NOTHING_INDEXED } from './index-store.ts';

/** Whether SQLite failed, for one of these reasons. */
export function isSqliteError(error: unknown, ...codes: readonly string[]): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return codes.some((one) => code.startsWith(one));
}

/** With what SQLite keeps beside it. */
export function deleteFile(path: string): void {
  for (const end of ['', '-wal', '-shm', '-journal']) rmSync(path + end, { force: true });
}

/** @param cacheKilobytes memory for its pages */
export function openDatabase(path: string, cacheKilobytes: number): Database.Database {
  const db = new Database(path);
  pragma(db, 'locking_mode = EXCLUSIVE');
  pragma(db, 'journal_mode = WAL');
  // Nothing is synced while it is open: `trusted` tells what a crash of the machine could have left.
  pragma(db, 'synchronous = OFF');
  pragma(db, 'secure_delete = ON');
  pragma(db, `cache_size = -${cacheKilobytes}`);
  return db;
}

/** As a query, since some answer with a row. */
export function pragma(db: Database.Database, what: string): void {
  db.prepare(`PRAGMA ${what}`).all();
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const CLOSED = 'closed';

/** Of the machine's start: what a process that was killed had written is there until the next one. */
function bootId(): string {
  try {
    return readFileSync(BOOT_ID, 'utf8').trim();
  } catch {
    // Not told here: only files that were closed are trusted.
    return `${process.pid} ${Date.now()}`;
  }
}

/** Marks a new file. */
export function initialise(db: Database.Database, scope: IndexScope): void {
  db.exec('CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID');
  writeMeta(db, 'scope', JSON.stringify(scope));
  writeMeta(db, 'state', JSON.stringify(NOTHING_INDEXED));
  writeMeta(db, 'boot', bootId());
}

/** Something that is kept beside the rows. */
export function writeMeta(db: Database.Database, name: 'scope' | 'state' | 'boot', value: string): void {
  db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run([name, value]);
}

/** @see writeMeta */
export function readMeta(db: Database.Database, name: 'scope' | 'state' | 'boot'): string {
  const found = db.prepare('SELECT value FROM meta WHERE name = ?').all([name]) as { value: string }[];
  return found[0]?.value ?? '';
}

/** The file, when it belongs to the scope and holds what was written last; undefined otherwise. */
export function trusted(
  path: string,
  scope: IndexScope,
  cacheKilobytes: number,
): Database.Database | undefined {
  let db: Database.Database | undefined;
  try {
    db = openDatabase(path, cacheKilobytes);
    const boot = readMeta(db, 'boot');
    const fits = readMeta(db, 'scope') === JSON.stringify(scope) && (boot === CLOSED || boot === bootId());
    if (fits) {
      writeMeta(db, 'boot', bootId());
      return db;
    }
  } catch {
    // Whatever is wrong with it, it can be made anew.
  }
  db?.close();
  return undefined;
}

/** Everything to the disk, and closed. */
export function closeDatabase(db: Database.Database): void {
  pragma(db, 'synchronous = FULL');
  pragma(db, 'wal_checkpoint(TRUNCATE)');
  writeMeta(db, 'boot', CLOSED);
  pragma(db, 'wal_checkpoint(TRUNCATE)');
  db.close();
}
