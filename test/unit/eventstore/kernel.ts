import type { CommandMeta } from '../../../src/eventstore/command.ts';
import { createHandler, type HandlerDeps } from '../../../src/eventstore/handler.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { SnapshotStore } from '../../../src/eventstore/snapshots/stored.ts';
import { type CounterCommand, counterRef, toyValues } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';

export const add = (by: number): CounterCommand => ({ kind: 'add', by });
export const note = (text: string): CounterCommand => ({ kind: 'note', text });

/** A command's company; the digest of `body` is its text, which is enough for a test. */
export function meta(commandId: string, body?: string): CommandMeta {
  const fingerprint = body === undefined ? undefined : new TextEncoder().encode(body);
  return { commandId, fingerprint, actor: 'test' };
}

/** A clock that stands still unless told, sleeps that pass at once and move it, counted ids. */
export interface ManualRuntime extends Runtime {
  advance(ms: number): void;
  readonly slept: number[];
}

let runtimes = 0;

export function manualRuntime(startMs = 1_900_000_000_000, random = 0.5): ManualRuntime {
  let now = startMs;
  let ids = 0;
  // Commit ids are unique across processes, as the real ones are.
  const name = ++runtimes;
  const slept: number[] = [];
  return {
    now: () => now,
    random: () => random,
    id: () => `commit-${name}-${++ids}`,
    sleep: async (ms) => {
      slept.push(ms);
      now += ms;
    },
    advance: (ms) => {
      now += ms;
    },
    slept,
  };
}

/** A log that counts what is asked of it and can hold appends back. */
export interface WatchedLog extends Log {
  readonly calls: { appends: number; reads: number; confirmed: number };
  /** Appends that come from now on wait; the returned function lets them go. */
  hold(): () => void;
}

export function watched(log: Log): WatchedLog {
  const calls = { appends: 0, reads: 0, confirmed: 0 };
  let gate: Promise<void> | undefined;
  return {
    ...log,
    calls,
    hold: () => {
      let open = (): void => undefined;
      gate = new Promise((resolve) => {
        open = resolve;
      });
      return () => {
        gate = undefined;
        open();
      };
    },
    append: async (...args) => {
      calls.appends++;
      await gate;
      return log.append(...args);
    },
    read: (stream, options) => {
      calls.reads++;
      if (options.confirm) calls.confirmed++;
      return log.read(stream, options);
    },
  };
}

/** Processes that share one log in memory, each with a handler and a cache of its own. */
export function service(options: Omit<Partial<HandlerDeps>, 'runtime'> = {}) {
  const runtime = manualRuntime();
  const log = watched(options.log ?? createMemoryLog());
  const start = (more: Omit<Partial<HandlerDeps>, 'runtime'> = {}) =>
    createHandler({ runtime, ...options, ...more, log });
  return { runtime, log, start, handler: start() };
}

/** What a counter's log holds: the values of each commit, in order. */
export async function valuesOf(log: Log, id: string): Promise<(number | string)[][]> {
  const page = await log.read(counterRef(id), { after: 0, confirm: true });
  return page.commits.map((commit) => toyValues([...commit.decisions]));
}

/** A snapshot store in memory that shows what is in it. */
export interface MapStore extends SnapshotStore {
  readonly entries: Map<string, Uint8Array>;
  readonly puts: string[];
}

export function mapStore(): MapStore {
  const entries = new Map<string, Uint8Array>();
  const puts: string[] = [];
  return {
    entries,
    puts,
    get: async (key) => entries.get(key),
    put: async (key, value) => {
      puts.push(key);
      entries.set(key, value);
    },
  };
}

/** Lets everything that waits only for promises come to rest. */
export const rest = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
