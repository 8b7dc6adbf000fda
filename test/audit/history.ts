import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Expectation } from '../../src/eventstore/command.ts';

/** What a writer was told. */
export type Outcome =
  | {
      readonly kind: 'accepted';
      readonly version: number;
      readonly repeated: boolean;
      readonly state: unknown;
    }
  | { readonly kind: 'unchanged'; readonly version: number; readonly state: unknown }
  | { readonly kind: 'rejected'; readonly version: number; readonly code: string }
  | { readonly kind: 'conflict'; readonly actual: number }
  | { readonly kind: 'key-reused'; readonly version: number }
  /** A fault that promises that this call stored nothing. */
  | { readonly kind: 'not-sent'; readonly code: string }
  /** Any other fault: the command may be stored. */
  | { readonly kind: 'unknown'; readonly code: string };

/** A call before its answer. Times are microseconds of one clock for all processes of the machine. */
export interface Invocation<Command> {
  /** Unique per call; the same command repeated is another call. */
  readonly call: string;
  readonly aggregate: string;
  readonly commandId: string;
  readonly command: Command;
  readonly expected: Expectation;
  readonly invokedAt: number;
}

/** One call of one writer. Without an outcome its writer died before the answer. */
export interface Operation<Command> extends Invocation<Command> {
  readonly completedAt?: number;
  readonly outcome?: Outcome;
}

/**
 * A confirmed read that has ended: of an aggregate's state, or of where the log ends (`head`, as the version).
 * One that has not can have told nobody anything.
 */
export type Read = ReadOfState | ReadOfHead | FailedRead;

export interface ReadOfState extends Period {
  readonly read: 'state';
  readonly aggregate: string;
  /** 0: it does not exist. */
  readonly version: number;
  readonly state: unknown;
}

export interface ReadOfHead extends Period {
  readonly read: 'head';
  readonly version: number;
}

export interface FailedRead extends Period {
  readonly read: 'failed';
  readonly code: string;
}

interface Period {
  /** Whose it is. */
  readonly reader: string;
  readonly invokedAt: number;
  readonly completedAt: number;
}

/** All that a writer did. */
export interface History<Command> {
  readonly operations: readonly Operation<Command>[];
  readonly reads: readonly Read[];
}

/** Microseconds of the machine's monotonic clock, which all processes share. */
export function clockMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** What a command's content is recognised by. */
export function fingerprintOf(command: unknown): Uint8Array {
  return createHash('sha256').update(JSON.stringify(command)).digest().subarray(0, 8);
}

/** Writes a writer's calls down, each line handed to the system before the call goes on: a killed writer loses none. */
export interface Recorder<Command> {
  invoked(invocation: Invocation<Command>): void;
  completed(call: string, completedAt: number, outcome: Outcome): void;
  read(read: Read): void;
  close(): void;
}

/** @param path file to append to */
export function recordTo<Command>(path: string): Recorder<Command> {
  const file = openSync(path, 'a', 0o600);
  const write = (line: unknown): void => {
    writeSync(file, `${JSON.stringify(line)}\n`);
  };
  return {
    invoked: (invocation) => write(invocation),
    completed: (call, completedAt, outcome) => write({ call, completedAt, outcome }),
    read: write,
    close: () => closeSync(file),
  };
}

/** Reads what `recordTo` wrote; nothing when its writer died before that. The last line may be torn by the writer's death. */
export function readHistory<Command>(path: string): History<Command> {
  if (!existsSync(path)) return { operations: [], reads: [] };
  const operations = new Map<string, Operation<Command>>();
  const reads: Read[] = [];
  const lines = readFileSync(path, 'utf8').split('\n');
  // Behind the last line break is nothing, or a torn line.
  for (const line of lines.slice(0, -1)) {
    const entry = JSON.parse(line) as Operation<Command> | Read;
    if ('read' in entry) {
      reads.push(entry);
      continue;
    }
    const invoked = operations.get(entry.call);
    operations.set(entry.call, invoked === undefined ? entry : { ...invoked, ...entry });
  }
  return { operations: [...operations.values()], reads };
}
