import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import type { IndexScope } from './index-store.ts';
import { createTables, type IndexTables } from './index-tables.ts';
import { deleteFile, initialise, isSqliteError, openDatabase, pragma, trusted } from './sqlite.ts';

// Indexes as SQLite files, one for each bucket, in a folder that one process has for itself. Everything here blocks, so
// it runs in a thread of its own.

/** An open index of one bucket. */
export interface IndexFile extends IndexTables {
  /** Closes it and deletes it. */
  remove(): void;
}

/** A folder of indexes. */
export interface IndexFolder {
  /** The index of a scope as it was left, or an empty one. Those of the same view that fit nothing are deleted. */
  open(scope: IndexScope, anew: boolean): IndexFile;
  close(): void;
}

/** Processes that may share a folder, each with a part of its own. */
const MOST_PROCESSES = 64;
const IN_MEMORY = ':memory:';

/**
 * Takes a part of a folder that no other process has.
 * @param dir '' = in memory
 * @param cacheKilobytes memory for pages of each index
 * @throws Error of the file system or of SQLite
 */
export function openIndexFolder(dir: string, cacheKilobytes: number): IndexFolder {
  const own = dir === '' ? undefined : ownPart(dir);
  const files = new Map<IndexFile, string>();
  let made = 0;

  const opened = (path: string, db: Database.Database, scope: IndexScope): IndexFile => {
    const tables = createTables(db, scope);
    const file: IndexFile = {
      ...tables,
      close: () => {
        files.delete(file);
        tables.close();
      },
      remove: () => {
        if (!files.delete(file)) return;
        db.close();
        if (own !== undefined) deleteFile(path);
      },
    };
    files.set(file, path);
    return file;
  };

  const kept = (scope: IndexScope): IndexFile | undefined => {
    let found: IndexFile | undefined;
    for (const path of own === undefined ? [] : filesOf(own.folder, scope.name)) {
      if ([...files.values()].includes(path)) continue;
      const db = found === undefined ? trusted(path, scope, cacheKilobytes) : undefined;
      if (db === undefined) deleteFile(path);
      else found = opened(path, db, scope);
    }
    return found;
  };

  return {
    open: (scope, anew) => {
      const known = anew ? undefined : kept(scope);
      if (known !== undefined) return known;
      const name = `${scope.name}-${process.pid}-${Date.now()}-${++made}.sqlite`;
      const path = own === undefined ? IN_MEMORY : join(own.folder, name);
      const db = openDatabase(path, cacheKilobytes);
      initialise(db, scope);
      return opened(path, db, scope);
    },
    close: () => {
      for (const file of [...files.keys()]) file.close();
      own?.leave();
    },
  };
}

/** A lock of the system goes with its process, however that ends. */
function ownPart(dir: string): { readonly folder: string; leave(): void } {
  for (let n = 0; n < MOST_PROCESSES; n++) {
    const folder = join(dir, String(n));
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = new Database(join(folder, 'lock.sqlite'));
    try {
      pragma(lock, 'locking_mode = EXCLUSIVE');
      lock.exec('BEGIN EXCLUSIVE');
      // A container may have no other folder that can be written.
      pragma(lock, `temp_store_directory = '${folder.replaceAll("'", "''")}'`);
      return { folder, leave: () => lock.close() };
    } catch (error) {
      lock.close();
      if (!isSqliteError(error, 'SQLITE_BUSY')) throw error;
    }
  }
  throw new Error(`${dir} is used by ${MOST_PROCESSES} processes; give this one another folder`);
}

function filesOf(folder: string, name: string): readonly string[] {
  const own = (file: string): boolean => file.startsWith(`${name}-`) && file.endsWith('.sqlite');
  return readdirSync(folder)
    .filter(own)
    .sort()
    .reverse()
    .map((file) => join(folder, file));
}
