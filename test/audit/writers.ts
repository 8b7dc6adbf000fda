import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { testProgram } from '../support/service-build.ts';
import type { Breakage, Confirm, GroupCommit } from './open-log.ts';
import type { Load } from './writer.ts';
import type { WriterProcessOptions } from './writer-process.ts';

export interface WritersOptions {
  readonly count: number;
  readonly urls: readonly string[];
  readonly seed: number;
  readonly load: Load;
  /** Folder for the histories. */
  readonly folder: string;
  readonly broken?: Breakage | undefined;
  readonly groupCommit?: GroupCommit | undefined;
  readonly confirm?: Confirm | undefined;
}

/** Writer processes. A killed one is followed by another that repeats its open commands. */
export interface Writers {
  /** History files of all writers there ever were. */
  readonly histories: readonly string[];
  /** What was found of snapshots that are not the fold of the log. */
  readonly wrongSnapshots: readonly string[];
  /** Resolves when the first ones have opened the log, or have ended. */
  ready(): Promise<void>;
  /** Ends one with SIGKILL and starts its successor. */
  replace(index: number): Promise<void>;
  /** Asks all to finish, ends those that do not within the bound, and waits until they are gone. */
  stop(withinMs: number): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly history: string;
  readonly ready: Promise<void>;
  readonly gone: Promise<void>;
}

const SCRIPT = new URL('./writer-process.ts', import.meta.url);

/** Starts the writers. They end with this process at the latest. */
export async function startWriters(options: WritersOptions): Promise<Writers> {
  const program = await testProgram(SCRIPT);
  const histories: string[] = [];
  const wrongSnapshots: string[] = [];
  const running: Running[] = [];

  function start(index: number, predecessor?: string): Running {
    const name = `w${histories.length}`;
    const history = join(options.folder, `${name}.jsonl`);
    histories.push(history);
    const given: WriterProcessOptions = {
      // Some client is on each server, so that whichever is cut off has one to lead astray.
      urls: options.urls.map((_, i) => options.urls[(i + index) % options.urls.length] ?? ''),
      broken: options.broken,
      groupCommit: options.groupCommit,
      confirm: options.confirm,
      name,
      seed: options.seed * 1_000 + histories.length,
      load: options.load,
      // Small caches forget and guess, large ones hold on to what is stale.
      cacheEntries: index % 2 === 0 ? 10_000 : 8,
      history,
      predecessor,
    };
    const child = fork(program, [JSON.stringify(given)], { execArgv: [] });
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.on('message', (message: 'ready' | { readonly wrongSnapshot: string }) => {
      if (message !== 'ready') wrongSnapshots.push(`${name}: ${message.wrongSnapshot}`);
    });
    // Its first message says that it has begun.
    const ready = Promise.race([
      gone,
      new Promise<void>((resolve) => child.once('message', () => resolve())),
    ]);
    return { child, history, ready, gone };
  }

  for (let index = 0; index < options.count; index++) running.push(start(index));
  return {
    histories,
    wrongSnapshots,
    ready: async () => {
      await Promise.all(running.map((writer) => writer.ready));
    },
    replace: async (index) => {
      const old = running[index];
      if (old === undefined) throw new RangeError(`There is no writer ${index}`);
      old.child.kill('SIGKILL');
      await old.gone;
      running[index] = start(index, old.history);
    },
    stop: async (withinMs) => {
      for (const { child } of running) if (child.connected) child.send('stop');
      const timer = setTimeout(() => {
        for (const { child } of running) child.kill('SIGKILL');
      }, withinMs);
      await Promise.all(running.map(({ gone }) => gone));
      clearTimeout(timer);
    },
  };
}
