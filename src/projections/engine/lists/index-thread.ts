import { parentPort, workerData } from 'node:worker_threads';
import { type IndexFile, type IndexFolder, openIndexFolder } from './index-folder.ts';
import type { IndexChange, IndexQuery, IndexScope, IndexState } from './index-store.ts';
import { isSqliteError } from './sqlite.ts';

// The thread that owns the files. Nobody imports it: `sqlite-indexes.ts` starts it.

/** What the thread is started with. */
export interface ThreadOptions {
  readonly dir: string;
  readonly cacheKilobytes: number;
}

/** What is asked of the thread. `index` is the number that `open` has answered. */
export type Asked =
  | { readonly type: 'open'; readonly scope: IndexScope; readonly anew: boolean }
  | {
      readonly type: 'apply';
      readonly index: number;
      readonly changes: readonly IndexChange[];
      readonly state: IndexState;
    }
  | { readonly type: 'find'; readonly index: number; readonly query: IndexQuery }
  | { readonly type: 'remove'; readonly index: number }
  | { readonly type: 'close' };

/** What the thread answers to the request of an id. */
export type Answered =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failed: 'damaged' | 'unusable'; readonly message: string };

const { dir, cacheKilobytes } = workerData as ThreadOptions;
const indexes = new Map<number, IndexFile>();
let folder: IndexFolder | undefined;
let opened = 0;

/** Ends the thread's work on a request; one that takes long lets others come between its steps. */
function* work(asked: Asked): Generator<undefined, unknown> {
  if (asked.type === 'close') {
    folder?.close();
    folder = undefined;
    return undefined;
  }
  if (asked.type === 'open') {
    folder ??= openIndexFolder(dir, cacheKilobytes);
    const file = folder.open(asked.scope, asked.anew);
    indexes.set(++opened, file);
    return { index: opened, state: file.state() };
  }
  const file = indexes.get(asked.index);
  switch (asked.type) {
    case 'remove':
      indexes.delete(asked.index);
      return file?.remove();
    case 'find':
      return there(file).find(asked.query);
    case 'apply':
      return yield* there(file).apply(asked.changes, asked.state);
  }
}

class Removed extends Error {}

function there(file: IndexFile | undefined): IndexFile {
  if (file === undefined) throw new Removed('it was removed');
  return file;
}

function isDamage(error: unknown): boolean {
  return error instanceof Removed || isSqliteError(error, 'SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_ERROR');
}

function answer(id: number, steps: Generator<undefined, unknown>): void {
  const send = (answered: Answered): void => parentPort?.postMessage(answered);
  try {
    const { done, value } = steps.next();
    if (done === true) send({ id, result: value });
    else setImmediate(() => answer(id, steps));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    send({ id, failed: isDamage(error) ? 'damaged' : 'unusable', message });
  }
}

parentPort?.on('message', ({ id, asked }: { id: number; asked: Asked }) => {
  answer(id, work(asked));
  // Nothing keeps the thread then but what is still under way.
  if (asked.type === 'close') parentPort?.close();
});
