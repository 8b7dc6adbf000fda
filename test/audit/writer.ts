import { setTimeout as delay } from 'node:timers/promises';
import type { CommandHandler, CommandResult, Expectation } from '../../src/eventstore/command.ts';
import { EventStoreError } from '../../src/eventstore/errors.ts';
import {
  type AccountCommand,
  type AccountEvent,
  type AccountRejection,
  type AccountState,
  account,
} from './account.ts';
import { clockMicros, fingerprintOf, type Operation, type Outcome, type Recorder } from './history.ts';

/** How hard a writer works. */
export interface Load {
  /** Aggregates that all writers fight for, and aggregates that are rarely met twice; there may be none of these. */
  readonly hot: number;
  readonly cold: number;
  /** Calls under way at once in one writer. */
  readonly callers: number;
  /** Reads of each kind under way at once beside them. */
  readonly readers: number;
  /** Longest pause between two calls of a caller or reader, in milliseconds. */
  readonly pauseMs: number;
}

export interface WriterOptions {
  readonly handler: CommandHandler;
  readonly record: Recorder<AccountCommand>;
  /** Unique among all writers of a run. */
  readonly name: string;
  /** In [0, 1). */
  readonly random: () => number;
  readonly load: Load;
  readonly signal: AbortSignal;
  /** Calls of a killed writer, whose commands this one repeats first. */
  readonly unfinished: readonly Operation<AccountCommand>[];
}

type Job = Pick<Operation<AccountCommand>, 'aggregate' | 'commandId' | 'command' | 'expected'>;

/** Repetitions of one command without a definite answer, before its outcome stays open. */
const MAX_REPEATS = 40;
/** Commands kept to be repeated later, although they succeeded. */
const KEPT = 16;

/** Sends random commands until it is told to stop; every call and answer is recorded. */
export async function runWriter(options: WriterOptions): Promise<void> {
  const { random, load, signal, name } = options;
  const send = sender(options);
  const kept: Job[] = [];
  const seen = new Map<string, number>();
  let jobs = 0;

  const repeatUntilAnswered = async (job: Job): Promise<Outcome> => {
    for (let repeats = 0; ; repeats++) {
      const outcome = await send(job);
      const open = outcome.kind === 'unknown' || outcome.kind === 'not-sent';
      if (!open || repeats === MAX_REPEATS || signal.aborted) return outcome;
      await delay(20 + random() * 200);
    }
  };
  const oneJob = async (): Promise<void> => {
    const dice = random();
    const old = kept[Math.floor(random() * kept.length)];
    if (dice < 0.04 && old !== undefined) {
      await repeatUntilAnswered(old);
      return;
    }
    if (dice < 0.05 && old !== undefined) {
      await send({ ...old, command: randomCommand(random) });
      return;
    }
    const job = randomJob(`${name}-${jobs++}`, random, load, seen);
    const twice = dice < 0.1;
    const [outcome] = await Promise.all([repeatUntilAnswered(job), twice ? send(job) : undefined]);
    if (outcome.kind !== 'accepted') return;
    seen.set(job.aggregate, outcome.version);
    kept[jobs % KEPT] = job;
    if (dice < 0.15) await repeatUntilAnswered(job);
  };
  const caller = async (): Promise<void> => {
    while (!signal.aborted) {
      await oneJob();
      await delay(random() * load.pauseMs);
    }
  };
  await Promise.all(options.unfinished.map(repeatUntilAnswered));
  await Promise.all(Array.from({ length: load.callers }, caller));
}

function sender({ handler, record, name, random }: WriterOptions): (job: Job) => Promise<Outcome> {
  let calls = 0;
  return async ({ aggregate, commandId, command, expected }) => {
    const call = `${name}/${calls++}`;
    const meta = { commandId, fingerprint: fingerprintOf(command), actor: name };
    record.invoked({ call, aggregate, commandId, command, expected, invokedAt: clockMicros() });
    let outcome: Outcome;
    try {
      const assumeNew = random() < 0.1;
      outcome = outcomeOf(await handler.execute(account, aggregate, command, meta, { expected, assumeNew }));
    } catch (error) {
      outcome = faultOf(error);
    }
    record.completed(call, clockMicros(), outcome);
    return outcome;
  };
}

function randomJob(
  commandId: string,
  random: () => number,
  load: Load,
  seen: ReadonlyMap<string, number>,
): Job {
  const aggregate = randomAggregate(random, load);
  return {
    aggregate,
    commandId,
    command: randomCommand(random),
    expected: randomExpectation(random, seen.get(aggregate)),
  };
}

/** Mostly one that others are changing. */
export function randomAggregate(random: () => number, { hot, cold }: Load): string {
  return cold === 0 || random() < 0.6
    ? `hot-${Math.floor(random() * hot)}`
    : `cold-${Math.floor(random() * cold)}`;
}

function randomCommand(random: () => number): AccountCommand {
  const label = `label ${Math.floor(random() * 3)}`;
  const dice = random();
  if (dice < 0.25) return { kind: 'label', label };
  const amount = (1 + Math.floor(random() * 5)) * (random() < 0.5 ? -1 : 1);
  return dice < 0.5 ? { kind: 'move', amount, label } : { kind: 'move', amount };
}

function randomExpectation(random: () => number, seen: number | undefined): Expectation {
  const dice = random();
  if (dice < 0.04) return 'none';
  if (dice < 0.08) return 'exists';
  return dice < 0.14 && seen !== undefined ? seen : 'any';
}

function outcomeOf(result: CommandResult<AccountState, AccountEvent, AccountRejection>): Outcome {
  switch (result.outcome) {
    case 'accepted':
      return { kind: 'accepted', version: result.version, repeated: result.repeated, state: result.state };
    case 'unchanged':
      return { kind: 'unchanged', version: result.version, state: result.state };
    case 'rejected':
      return { kind: 'rejected', version: result.version, code: result.rejection.code };
    case 'conflict':
      return { kind: 'conflict', actual: result.actual };
    case 'key-reused':
      return { kind: 'key-reused', version: result.version };
  }
}

/** Faults that say that the call stored nothing. */
const NOT_SENT = new Set([
  'log/unavailable',
  'log/refused',
  'command/deadline',
  'command/queue-full',
  'commit/too-large',
]);

function faultOf(error: unknown): Outcome {
  const code = codeOf(error);
  return { kind: NOT_SENT.has(code) ? 'not-sent' : 'unknown', code };
}

export function codeOf(error: unknown): string {
  return error instanceof EventStoreError ? error.code : String(error);
}
