import type { CommandMeta } from './command.ts';
import type { Rejection } from './decider.ts';
import { EventStoreError } from './errors.ts';
import type { AppendEntry } from './log.ts';

/**
 * Runs work inside a context of the observer's own, such as a span's. Calls `run` once, with the work or with a copy
 * that carries the observer's trace, and gives back what comes of it, answer or error.
 */
export type Around<Work, Result> = <R extends Result>(
  work: Work,
  run: (work: Work) => Promise<R>,
) => Promise<R>;

/** A command from its call to its answer. */
export interface CommandCall {
  readonly category: string;
  readonly id: string;
  /** The command's type, such as `place`. */
  readonly command: string;
  /** Several commands that are stored together: on how many aggregates. The other fields are of the first, then. */
  readonly together: number | undefined;
  readonly meta: CommandMeta;
}

/** What observers may look at in an answer. */
export interface CommandAnswer {
  readonly outcome: 'accepted' | 'unchanged' | 'rejected' | 'conflict' | 'key-reused';
  readonly version?: number;
  /** Of several commands that are stored together. */
  readonly versions?: readonly number[];
  /** Of a conflict: the aggregate's version. */
  readonly actual?: number;
  readonly rejection?: Rejection;
  readonly repeated?: boolean;
}

/** What became of a command, for a counter or a line of the log. Ids are in it; nothing that a person typed is. */
export interface CommandDone {
  readonly category: string;
  readonly id: string;
  /** The command's type, such as `place`. */
  readonly command: string;
  readonly outcome: 'accepted' | 'unchanged' | 'rejected' | 'conflict' | 'key_reused' | 'fault';
  /** Of the rejection or the error; empty for the other outcomes. */
  readonly code: string;
  /** Of the aggregate, where it is known; also the position of what was stored. */
  readonly version: number | undefined;
  readonly commandId: string;
  /** The context that is stored with its decision. */
  readonly traceparent: string | undefined;
  readonly ms: number;
  /** Of a fault. */
  readonly error: unknown;
}

/** Where the state that a command was decided on came from; `new` = it was taken not to exist. */
export type StateSource = 'cache' | 'snapshot' | 'log' | 'new';

/**
 * Told what the event store does, for logs, metrics and traces. A plain object of functions, each of which may be
 * absent and costs nothing then. None may throw or wait; `around…` runs what it is given and waits for nothing else.
 */
export interface StoreObserver {
  readonly aroundCommand?: Around<CommandCall, CommandAnswer>;
  /** A command was answered or has failed. */
  done?(done: CommandDone): void;
  /** Another process was faster: commands of the category are decided again. */
  retried?(category: string, commands: readonly CommandMeta[]): void;
  /** What became of an append, and how long it took, repetitions included. */
  appended?(outcome: 'stored' | 'conflict' | 'fault', entries: readonly AppendEntry[], ms: number): void;
  /** A commit was sent again because no answer came. */
  repeated?(): void;
  /** State is at hand. */
  loaded?(source: StateSource): void;
  /** How many commits the log had beyond a snapshot that was loaded, known once a commit is stored or the tail is read. */
  snapshotAge?(commits: number): void;
  /** How many aggregates the cache holds now, and about how many bytes of memory they take. */
  cached?(entries: number, bytes: number): void;
}

/** Runs a command under the eyes of an observer: inside of its context, which is stored with the decision, and told. */
export function observeCommand<Answer extends CommandAnswer>(
  observer: StoreObserver,
  call: CommandCall,
  run: (meta: CommandMeta) => Promise<Answer>,
): Promise<Answer> {
  const told = (own: CommandCall): Promise<Answer> => tellCommand(observer, own, run);
  return observer.aroundCommand === undefined ? told(call) : observer.aroundCommand(call, told);
}

async function tellCommand<Answer extends CommandAnswer>(
  observer: StoreObserver,
  call: CommandCall,
  run: (meta: CommandMeta) => Promise<Answer>,
): Promise<Answer> {
  if (observer.done === undefined) return run(call.meta);
  const started = performance.now();
  try {
    const answer = await run(call.meta);
    const { outcome, rejection } = answer;
    const word = outcome === 'key-reused' ? 'key_reused' : outcome;
    observer.done(doneOf(call, started, word, rejection?.code ?? '', versionOf(call, answer), undefined));
    return answer;
  } catch (error) {
    const code = error instanceof EventStoreError ? error.code : 'error';
    observer.done(doneOf(call, started, 'fault', code, undefined, error));
    throw error;
  }
}

function versionOf({ together }: CommandCall, { version, versions, actual }: CommandAnswer) {
  return together === undefined ? (version ?? actual) : versions?.[0];
}

/** Field by field: spreading objects costs a tenth of a command. */
function doneOf(
  { category, id, command, meta }: CommandCall,
  started: number,
  outcome: CommandDone['outcome'],
  code: string,
  version: number | undefined,
  error: unknown,
): CommandDone {
  const { commandId, traceparent } = meta;
  const ms = performance.now() - started;
  return { category, id, command, outcome, code, version, commandId, traceparent, ms, error };
}

/** Appends, and tells an observer what became of it. */
export function observeAppend<Result extends { readonly appended: boolean }>(
  observer: StoreObserver | undefined,
  entries: readonly AppendEntry[],
  append: () => Promise<Result>,
): Promise<Result> {
  return observer?.appended === undefined ? append() : tellAppend(observer.appended, entries, append);
}

async function tellAppend<Result extends { readonly appended: boolean }>(
  tell: NonNullable<StoreObserver['appended']>,
  entries: readonly AppendEntry[],
  append: () => Promise<Result>,
): Promise<Result> {
  const started = performance.now();
  try {
    const result = await append();
    tell(result.appended ? 'stored' : 'conflict', entries, performance.now() - started);
    return result;
  } catch (error) {
    tell('fault', entries, performance.now() - started);
    throw error;
  }
}

/** Deciders name their commands by `type`; what is none of that has one name for all. */
export function typeOfCommand(command: unknown): string {
  const type =
    typeof command === 'object' && command !== null && 'type' in command ? command.type : undefined;
  return typeof type === 'string' ? type : 'command';
}

type Tell = (...told: readonly unknown[]) => void;
type AnyAround = (work: unknown, run: (work: unknown) => unknown) => unknown;

/**
 * Several observers of a part of the kernel as one. What one observer alone listens to goes straight to it; contexts
 * (`around…`) are nested, the first observer's outside; everything else is told in the order given.
 */
export function combineObservers<Observer extends object>(
  ...given: readonly (Observer | undefined)[]
): Observer {
  const observers = given.filter((observer) => observer !== undefined);
  const [only] = observers;
  if (only !== undefined && observers.length === 1) return only;
  const listeners = new Map<string, unknown[]>();
  for (const [name, listener] of observers.flatMap(Object.entries) as [string, unknown][]) {
    if (listener !== undefined) listeners.set(name, [...(listeners.get(name) ?? []), listener]);
  }
  const combined = [...listeners].map(([name, all]): [string, unknown] => {
    if (all.length === 1) return [name, all[0]];
    return [name, name.startsWith('around') ? nested(all as AnyAround[]) : inTurn(all as Tell[])];
  });
  // Each function stands under the name of those that it calls, and takes what they take.
  return Object.fromEntries(combined) as Observer;
}

const nested = (all: readonly AnyAround[]): AnyAround =>
  all.reduceRight((inner, outer) => (work, run) => outer(work, (own) => inner(own, run)));

const inTurn =
  (all: readonly Tell[]): Tell =>
  (...told) => {
    for (const tell of all) tell(...told);
  };
