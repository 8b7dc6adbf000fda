import { once } from 'node:events';
import { extname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { IndexDamaged, IndexUnusable } from './index-errors.ts';
import type { IndexScope, IndexState, IndexStore, StoredIndex } from './index-store.ts';
import type { Answered, Asked, ThreadOptions } from './index-thread.ts';

/** How indexes are kept in files. */
export interface SqliteIndexesOptions {
  /** The folder; several processes may share it, each has a part of its own. '' = in memory, made anew at each start. */
  readonly dir: string;
  /** Memory for what is read of each index; 16 MB unless given. */
  readonly cacheKilobytes?: number;
}

/** How long the thread may take to end once it has closed its files, in milliseconds; it holds nothing up by then. */
const ENDS_WITHIN_MS = 5_000;

interface Waiting {
  readonly name: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Keeps indexes as SQLite files, in a thread of its own, which is started when the first one is opened. The files hold
 * what `entryOf` makes of rows, and nothing is lost with them.
 */
export function createSqliteIndexes({ dir, cacheKilobytes = 16 * 1_024 }: SqliteIndexesOptions): IndexStore {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let asked = 0;
  let closed = false;

  const fail = (cause: unknown): void => {
    worker = undefined;
    for (const { reject } of waiting.values())
      reject(new IndexUnusable('The thread of the indexes has ended.', cause));
    waiting.clear();
  };
  const start = (): Worker => {
    const made = startThread({ dir, cacheKilobytes });
    made.on('message', (answered: Answered) => {
      settle(waiting.get(answered.id), answered, dir);
      waiting.delete(answered.id);
    });
    made.on('error', fail);
    made.on('exit', (code) => {
      if (worker === made) fail(new Error(`exit code ${code}`));
    });
    return made;
  };
  const ask = (name: string, request: Asked): Promise<unknown> => {
    if (closed) return Promise.reject(new IndexUnusable('The indexes are closed.', undefined));
    worker ??= start();
    const id = ++asked;
    worker.postMessage({ id, asked: request });
    return new Promise((resolve, reject) => waiting.set(id, { name, resolve, reject }));
  };

  const opened = ({ name }: IndexScope, index: number, state: IndexState): StoredIndex => {
    let current = state;
    return {
      state: () => current,
      apply: async (changes, next) => {
        await ask(name, { type: 'apply', index, changes, state: next });
        current = next;
      },
      find: async (query) =>
        (await ask(name, { type: 'find', index, query })) as ReturnType<StoredIndex['find']>,
      remove: async () => {
        await ask(name, { type: 'remove', index });
      },
    };
  };

  return {
    open: async (scope, anew = false) => {
      const answered = await ask(scope.name, { type: 'open', scope, anew });
      const { index, state } = answered as { index: number; state: IndexState };
      return opened(scope, index, state);
    },
    close: async () => {
      const ending = worker;
      const ended = ending && once(ending, 'exit').catch(() => undefined);
      if (ending !== undefined) await ask('', { type: 'close' }).catch(() => undefined);
      closed = true;
      worker = undefined;
      // It ends by itself: to end it from here within a call of SQLite's would abort the whole process.
      const late = new AbortController();
      const { signal } = late;
      await Promise.race([ended, delay(ENDS_WITHIN_MS, undefined, { signal }).catch(() => undefined)]);
      late.abort();
      ending?.unref();
      // What was under way is not answered any more.
      fail(undefined);
    },
  };
}

function settle(one: Waiting | undefined, answered: Answered, dir: string): void {
  if (one === undefined) return;
  if (!('failed' in answered)) {
    one.resolve(answered.result);
    return;
  }
  const cause = new Error(answered.message);
  const where = dir === '' ? 'in memory' : `in ${dir}`;
  one.reject(
    answered.failed === 'damaged'
      ? new IndexDamaged(one.name, cause)
      : new IndexUnusable(`Indexes cannot be kept ${where}: ${answered.message}.`, cause),
  );
}

function startThread(workerData: ThreadOptions): Worker {
  const extension = extname(import.meta.url);
  const path = new URL(`./index-thread${extension}`, import.meta.url);
  // What the process was told to load first is none of this thread's business.
  const options = { workerData, execArgv: [], resourceLimits: { maxYoungGenerationSizeMb: 8 } };
  if (extension === '.js') return new Worker(path, options);
  // From the sources, which not every Node reads by itself.
  const load = `import('tsx/esm/api').then(({ register }) => { register(); return import('${path}'); });`;
  return new Worker(load, { ...options, eval: true });
}
