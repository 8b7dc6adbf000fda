import type { Message } from '@bufbuild/protobuf';
import { commitOf } from './codec/stored-commit.ts';
import type { CommandResult } from './command.ts';
import { rememberCommand } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { CommitTooLarge, DeadlineExceeded, QueueFull } from './errors.ts';
import { emptyFold, type Folded } from './fold.ts';
import type { Log } from './log.ts';
import { observeAppend, type StoreObserver } from './observer.ts';
import { type Answers, type Asked, answersOf, needsConfirmation, type Plan, planCommands } from './plan.ts';
import { backoffMs, type Runtime } from './runtime.ts';
import type { States } from './states.ts';
import { keyOf, type StreamRef } from './stream.ts';

export interface CommandQueueSettings {
  /** How many commands may wait for one aggregate. */
  readonly queueLimit: number;
  /** How long a command may wait and be retried before it is given up unsent, in milliseconds. */
  readonly deadlineMs: number;
  /** How often a decision is made again after conflicts with other processes. */
  readonly maxAttempts: number;
  /** How many queued commands become one commit at the most. */
  readonly maxBatch: number;
}

export interface CommandQueueDeps {
  readonly log: Log;
  readonly states: States;
  readonly runtime: Runtime;
  readonly settings: CommandQueueSettings;
  readonly observer?: StoreObserver | undefined;
}

interface Waiting<Command, Result> extends Asked<Command> {
  readonly assumeNew: boolean;
  readonly since: number;
  readonly resolve: (result: Result | Promise<Result>) => void;
  readonly reject: (error: unknown) => void;
}

type Batch<State, Command, Event extends Message, R extends Rejection> = readonly Waiting<
  Command,
  CommandResult<State, Event, R>
>[];

/** The commands of one aggregate in one process: one behind the other, and together in one commit where they queue up. */
export interface CommandQueue<State, Command, Event extends Message, R extends Rejection> {
  submit(asked: Asked<Command>, assumeNew: boolean): Promise<CommandResult<State, Event, R>>;
}

/** @param onIdle called when the last waiting command is answered; the queue may then be forgotten */
export function createCommandQueue<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  stream: StreamRef,
  deps: CommandQueueDeps,
  onIdle: (stream: StreamRef) => void,
): CommandQueue<State, Command, Event, R> {
  return new QueueOfAggregate(decider, stream, deps, onIdle);
}

/** A class, because most queues serve one command: a dozen functions made for each was a tenth of what that costs. */
class QueueOfAggregate<State, Command, Event extends Message, R extends Rejection>
  implements CommandQueue<State, Command, Event, R>
{
  readonly #decider: Decider<State, Command, Event, R>;
  readonly #stream: StreamRef;
  readonly #deps: CommandQueueDeps;
  readonly #onIdle: (stream: StreamRef) => void;
  readonly #queue: Waiting<Command, CommandResult<State, Event, R>>[] = [];
  #running = false;

  constructor(
    decider: Decider<State, Command, Event, R>,
    stream: StreamRef,
    deps: CommandQueueDeps,
    onIdle: (stream: StreamRef) => void,
  ) {
    this.#decider = decider;
    this.#stream = stream;
    this.#deps = deps;
    this.#onIdle = onIdle;
  }

  submit(asked: Asked<Command>, assumeNew: boolean): Promise<CommandResult<State, Event, R>> {
    return new Promise((resolve, reject) => {
      const { queueLimit } = this.#deps.settings;
      if (this.#queue.length >= queueLimit) {
        reject(new QueueFull(keyOf(this.#stream), queueLimit));
        return;
      }
      const { command, meta, expected } = asked;
      const since = this.#deps.runtime.now();
      this.#queue.push({ command, meta, expected, assumeNew, since, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#queue.length > 0) {
      await this.#serveOrReject(takeBatch(this.#queue, this.#deps.settings.maxBatch));
    }
    this.#running = false;
    this.#onIdle(this.#stream);
  }

  async #serveOrReject(batch: Batch<State, Command, Event, R>): Promise<void> {
    try {
      await this.#serve(batch);
    } catch (error) {
      // Too large together says nothing about each alone.
      if (error instanceof CommitTooLarge && batch.length > 1) {
        for (const item of batch) await this.#serveOrReject([item]);
        return;
      }
      for (const item of batch) item.reject(error);
    }
  }

  async #serve(batch: Batch<State, Command, Event, R>): Promise<void> {
    const { runtime, settings, states } = this.#deps;
    let folded = states.cached(this.#decider, this.#stream) ?? (await this.#firstGuess(batch));
    let confirmed = false;
    let conflicted = false;
    for (let attempt = 0; attempt < settings.maxAttempts; attempt++) {
      if (attempt > 1) await runtime.sleep(backoffMs(runtime, attempt, 2, 100));
      const open = this.#dropExpired(batch);
      if (open.length === 0) return;
      if (conflicted) this.#tellOfConflict(open);
      const plan = planCommands(this.#decider, folded, open, runtime.now());
      const silent = plan.decisions.length === 0;
      const version = silent ? undefined : await this.#append(plan, folded);
      const holds = silent ? confirmed || !needsConfirmation(plan) : version !== undefined;
      if (holds) return settle(open, answersOf(this.#decider, this.#stream, plan, open, version, this.#deps));
      conflicted = !silent;
      folded = await this.#onTheTail(folded, open);
      confirmed = true;
    }
    this.#giveUp(batch, folded.version);
  }

  #tellOfConflict(open: Batch<State, Command, Event, R>): void {
    const { observer } = this.#deps;
    if (observer?.retried === undefined) return;
    observer.retried(
      this.#stream.category,
      open.map(({ meta }) => meta),
    );
  }

  #giveUp(batch: Batch<State, Command, Event, R>, actual: number): void {
    for (const item of batch) {
      item.resolve({ outcome: 'conflict', ...this.#stream, expected: item.expected, actual });
    }
  }

  async #onTheTail(folded: Folded<State>, batch: Batch<State, Command, Event, R>): Promise<Folded<State>> {
    const next = folded.untrusted ? await this.#firstGuess(batch) : folded;
    await this.#deps.states.refresh(this.#decider, this.#stream, next);
    return next;
  }

  /** What is decided on first when the cache has nothing. */
  async #firstGuess(batch: Batch<State, Command, Event, R>): Promise<Folded<State>> {
    const { states, observer } = this.#deps;
    if (!batch.every((item) => item.assumeNew)) return states.guess(this.#decider, this.#stream);
    observer?.loaded?.('new');
    return emptyFold(this.#decider.initial);
  }

  async #append(plan: Plan<State, Event, R>, folded: Folded<State>): Promise<number | undefined> {
    const { log, runtime, states, observer } = this.#deps;
    const startedAt = runtime.now();
    const [stream, expected] = [this.#stream, plan.version];
    const commit = commitOf(runtime.id(), plan.decisions);
    const result = await observeAppend(observer, [{ stream, expected, commit }], () =>
      log.append(stream, expected, commit),
    );
    if (!result.appended) return undefined;
    // A reader may have folded this very commit in while its answer was under way.
    if (folded.version === plan.version) {
      for (const decision of plan.decisions) rememberCommand(folded.commands, decision, result.version);
      folded.state = plan.state;
      folded.version = result.version;
    }
    folded.confirmedAt = Math.max(folded.confirmedAt, startedAt);
    states.keep(this.#decider, this.#stream, folded);
    return result.version;
  }

  #dropExpired(batch: Batch<State, Command, Event, R>): Batch<State, Command, Event, R> {
    const { runtime, settings } = this.#deps;
    const now = runtime.now();
    const isInTime = ({ since }: { readonly since: number }) => now - since <= settings.deadlineMs;
    if (batch.every(isInTime)) return batch;
    for (const { since, reject } of batch.filter((item) => !isInTime(item))) {
      reject(new DeadlineExceeded(`A command for ${keyOf(this.#stream)}`, now - since));
    }
    return batch.filter(isInTime);
  }
}

/** The next commands that may share a commit; one with a version of its own always stands alone. */
function takeBatch<T extends Asked<unknown>>(queue: T[], max: number): T[] {
  let count = 0;
  while (count < queue.length && count < max && typeof queue[count]?.expected !== 'number') count++;
  return queue.splice(0, Math.max(1, count));
}

/** Gives each caller its own answer; one that needs the log does not make the others wait. */
function settle<Result>(
  items: readonly { resolve: (r: Result | Promise<Result>) => void; reject: (e: unknown) => void }[],
  answers: Answers<Result>,
): void {
  for (const [index, item] of items.entries()) {
    try {
      item.resolve(answers(index));
    } catch (error) {
      item.reject(error);
    }
  }
}
