import { create, type Message } from '@bufbuild/protobuf';
import { CommitSchema } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { type Answers, answersOf } from './answers.ts';
import type { CommandResult } from './command.ts';
import { rememberCommand } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { CommitTooLarge, DeadlineExceeded, QueueFull } from './errors.ts';
import { type Folded, unborn } from './fold.ts';
import type { Log } from './log.ts';
import type { StoreObserver } from './observer.ts';
import { type Asked, needsConfirmation, type Plan, planCommands } from './plan.ts';
import { backoffMs, type Runtime } from './runtime.ts';
import type { States } from './states.ts';
import { keyOf, type StreamRef } from './stream.ts';

export interface LaneSettings {
  /** How many commands may wait for one aggregate. */
  readonly queueLimit: number;
  /** How long a command may wait and be retried before it is given up unsent, in milliseconds. */
  readonly deadlineMs: number;
  /** How often a decision is made again after conflicts with other processes. */
  readonly maxAttempts: number;
  /** How many queued commands become one commit at the most. */
  readonly maxBatch: number;
}

export interface LaneDeps {
  readonly log: Log;
  readonly states: States;
  readonly runtime: Runtime;
  readonly settings: LaneSettings;
  readonly observer?: StoreObserver | undefined;
}

interface Waiting<Command, Result> extends Asked<Command> {
  readonly assumeNew: boolean;
  readonly since: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** The commands of one aggregate in one process: one behind the other, and together in one commit where they queue up. */
export interface Lane<State, Command, Event extends Message, R extends Rejection> {
  submit(asked: Asked<Command>, assumeNew: boolean): Promise<CommandResult<State, Event, R>>;
}

/** @param onIdle called when the last waiting command is answered; the lane may then be forgotten */
export function createLane<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  stream: StreamRef,
  deps: LaneDeps,
  onIdle: () => void,
): Lane<State, Command, Event, R> {
  type Result = CommandResult<State, Event, R>;
  type Item = Waiting<Command, Result>;
  const { log, states, runtime, settings, observer } = deps;
  const queue: Item[] = [];
  let running = false;

  async function run(): Promise<void> {
    running = true;
    while (queue.length > 0) await serveOrReject(takeBatch(queue, settings.maxBatch));
    running = false;
    onIdle();
  }

  async function serveOrReject(batch: readonly Item[]): Promise<void> {
    try {
      await serve(batch);
    } catch (error) {
      // Too large together says nothing about each alone.
      if (error instanceof CommitTooLarge && batch.length > 1) {
        for (const item of batch) await serveOrReject([item]);
        return;
      }
      for (const item of batch) item.reject(error);
    }
  }

  async function serve(batch: readonly Item[]): Promise<void> {
    let folded = await firstGuess(batch);
    let confirmed = false;
    let conflicted = false;
    for (let attempt = 0; attempt < settings.maxAttempts; attempt++) {
      if (attempt > 1) await runtime.sleep(backoffMs(runtime, attempt, 2, 100));
      const open = dropExpired(batch);
      if (open.length === 0) return;
      tellOfConflict(conflicted, open);
      const plan = planCommands(decider, folded, open, runtime.now());
      const silent = plan.decisions.length === 0;
      const version = silent ? undefined : await append(plan, folded);
      const holds = silent ? confirmed || !needsConfirmation(plan) : version !== undefined;
      if (holds) return settle(open, answersOf(decider, stream, plan, open, version, deps));
      conflicted = !silent;
      folded = await onTheTail(folded, open);
      confirmed = true;
    }
    giveUp(batch, folded.version);
  }

  function tellOfConflict(conflicted: boolean, open: readonly Item[]): void {
    if (!conflicted) return;
    observer?.retried?.(stream.category);
    for (const { meta } of open) meta.decidedAgain?.();
  }

  function giveUp(batch: readonly Item[], actual: number): void {
    for (const item of batch) {
      item.resolve({ outcome: 'conflict', ...stream, expected: item.expected, actual });
    }
  }

  async function onTheTail(folded: Folded<State>, batch: readonly Item[]): Promise<Folded<State>> {
    const next = folded.disowned ? await firstGuess(batch) : folded;
    await states.refresh(decider, stream, next);
    return next;
  }

  async function firstGuess(batch: readonly Item[]): Promise<Folded<State>> {
    const cached = states.cached(decider, stream);
    if (cached !== undefined) return cached;
    if (!batch.every((item) => item.assumeNew)) return states.guess(decider, stream);
    observer?.loaded?.('new');
    return unborn(decider.initial);
  }

  async function append(plan: Plan<State, Event, R>, folded: Folded<State>): Promise<number | undefined> {
    const startedAt = runtime.now();
    const commit = create(CommitSchema, { commitId: runtime.id(), decisions: [...plan.decisions] });
    const result = await log.append(stream, plan.version, commit);
    if (!result.appended) return undefined;
    // A reader may have folded this very commit in while its answer was under way.
    if (folded.version === plan.version) {
      for (const decision of plan.decisions) rememberCommand(folded.commands, decision, result.version);
      folded.state = plan.state;
      folded.version = result.version;
    }
    folded.confirmedAt = Math.max(folded.confirmedAt, startedAt);
    states.keep(decider, stream, folded);
    return result.version;
  }

  function dropExpired(batch: readonly Item[]): Item[] {
    const now = runtime.now();
    return batch.filter((item) => {
      const waited = now - item.since;
      if (waited <= settings.deadlineMs) return true;
      item.reject(new DeadlineExceeded(`A command for ${keyOf(stream)}`, waited));
      return false;
    });
  }

  return {
    submit: (asked, assumeNew) =>
      new Promise<Result>((resolve, reject) => {
        if (queue.length >= settings.queueLimit) {
          reject(new QueueFull(keyOf(stream), settings.queueLimit));
          return;
        }
        queue.push({ ...asked, assumeNew, since: runtime.now(), resolve, reject });
        if (!running) void run();
      }),
  };
}

/** The next commands that may share a commit; one with a version of its own always stands alone. */
function takeBatch<T extends Asked<unknown>>(queue: T[], max: number): T[] {
  let count = 0;
  while (count < queue.length && count < max && typeof queue[count]?.expected !== 'number') count++;
  return queue.splice(0, Math.max(1, count));
}

/** Gives each caller its own answer; one that needs the log does not make the others wait. */
function settle<Result>(
  items: readonly { resolve: (r: Result) => void; reject: (e: unknown) => void }[],
  answers: Answers<Result>,
): void {
  for (const [index, item] of items.entries()) {
    answers(index).then(item.resolve, item.reject);
  }
}
