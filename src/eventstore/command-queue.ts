import type { Message } from '@bufbuild/protobuf';
import { commitOf } from './codec/stored-commit.ts';
import type { CommandResult, ExecuteOptions } from './command.ts';
import { rememberCommand } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { CommitTooLarge, DeadlineExceeded, QueueFull } from './errors.ts';
import { emptyFold, type Folded } from './fold.ts';
import type { Log } from './log.ts';
import { observeAppend, type StoreObserver } from './observer.ts';
import type { PersonalData } from './personal/personal-data.ts';
import {
  type Answers,
  type Asked,
  answersOf,
  needsConfirmation,
  type Personally,
  type Plan,
  personallyOf,
  planCommands,
} from './plan.ts';
import { backoffMs, type Runtime } from './runtime.ts';
import type { States } from './states.ts';
import { keyOf, type StreamRef } from './stream.ts';

export interface CommandQueueSettings {
  /** How many commands may wait for one aggregate. */
  readonly queueLimit: number;
  /**
   * How long a command may wait, and be decided again after conflicts with other processes, before it is given up
   * unstored, in milliseconds.
   */
  readonly deadlineMs: number;
  /** How many queued commands become one commit at the most. */
  readonly maxBatch: number;
}

export interface CommandQueueDeps {
  readonly log: Log;
  readonly states: States;
  readonly runtime: Runtime;
  readonly settings: CommandQueueSettings;
  readonly personal: PersonalData;
  readonly observer?: StoreObserver | undefined;
}

interface Waiting<Command, Result> extends Asked<Command> {
  readonly assumeNew: boolean;
  readonly since: number;
  readonly resolve: (result: Result | Promise<Result>) => void;
  readonly reject: (error: unknown) => void;
}

/** Commands that are decided together; those that have queued up meanwhile join it before it is decided again. */
type Batch<State, Command, Event extends Message, R extends Rejection> = Waiting<
  Command,
  CommandResult<State, Event, R>
>[];

/** The commands of one aggregate in one process: one behind the other, and together in one commit where they queue up. */
export interface CommandQueue<State, Command, Event extends Message, R extends Rejection> {
  submit(asked: Asked<Command>, options: SubmitOptions): Promise<CommandResult<State, Event, R>>;
}

type SubmitOptions = Pick<ExecuteOptions, 'assumeNew' | 'together'>;

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

  submit(
    asked: Asked<Command>,
    { assumeNew = false, together = false }: SubmitOptions,
  ): Promise<CommandResult<State, Event, R>> {
    return new Promise((resolve, reject) => {
      const { queueLimit } = this.#deps.settings;
      if (this.#queue.length >= queueLimit) {
        reject(new QueueFull(keyOf(this.#stream), queueLimit));
        return;
      }
      const { command, meta, expected } = asked;
      const since = this.#deps.runtime.now();
      this.#queue.push({ command, meta, expected, assumeNew, since, resolve, reject });
      if (together) queueMicrotask(() => void this.#run());
      else void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#queue.length > 0) {
      const batch: Batch<State, Command, Event, R> = [];
      join(batch, this.#queue, this.#deps.settings.maxBatch);
      await this.#serveOrReject(batch, this.#deps.settings.maxBatch);
    }
    this.#running = false;
    this.#onIdle(this.#stream);
  }

  async #serveOrReject(batch: Batch<State, Command, Event, R>, maxBatch: number): Promise<void> {
    try {
      await this.#serve(batch, maxBatch);
    } catch (error) {
      // Too large together says nothing about each alone.
      if (error instanceof CommitTooLarge && batch.length > 1) {
        for (const item of batch) await this.#serveOrReject([item], 1);
        return;
      }
      for (const item of batch) item.reject(error);
    }
  }

  async #serve(batch: Batch<State, Command, Event, R>, maxBatch: number): Promise<void> {
    const { runtime, states } = this.#deps;
    const { deadlineMs } = this.#deps.settings;
    const personal = personallyOf(this.#decider, this.#stream, this.#deps.personal);
    let folded = states.cached(this.#decider, this.#stream) ?? (await this.#firstGuess(batch));
    let confirmed = false;
    if (await this.#letOthersIn(folded)) {
      join(batch, this.#queue, maxBatch);
      [folded, confirmed] = await this.#onTheTail(folded, batch, 'leader');
    }
    for (let conflicts = 0; ; ) {
      const plan = await this.#plan(folded, batch, personal);
      if (plan === undefined) return;
      const silent = plan.decisions.length === 0;
      const version = silent ? undefined : await this.#append(plan, folded);
      const holds = silent ? confirmed || !needsConfirmation(plan) : version !== undefined;
      if (holds)
        return settle(batch, answersOf(this.#decider, this.#stream, plan, batch, version, this.#deps));
      if (!silent) {
        folded.crowd = { at: runtime.now(), commits: 0, appendMs: 0 };
        await pauseAfter(++conflicts, batch[0]?.since ?? 0, { runtime, deadlineMs });
        this.#dropExpired(batch);
        this.#tellOfConflict(batch);
      }
      // Read after the pause, and after the newest of those it is for was asked.
      join(batch, this.#queue, maxBatch);
      [folded, confirmed] = await this.#onTheTail(folded, batch, silent ? undefined : 'leader');
    }
  }

  /** Decides, once everything for that is at hand; undefined when nobody waits for it any more. */
  async #plan(
    folded: Folded<State>,
    batch: Batch<State, Command, Event, R>,
    personal: Personally | undefined,
  ): Promise<Plan<State, Event, R> | undefined> {
    for (;;) {
      if (this.#decider.sections !== undefined) await this.#ready(folded, batch);
      this.#dropExpired(batch);
      if (batch.length === 0) return undefined;
      const plan = planCommands(this.#decider, folded, batch, this.#deps.runtime.now(), personal);
      if (plan.lacking === undefined) return plan;
      await personal?.keys.fetch(plan.lacking);
    }
  }

  /**
   * Who stores knows the newest version and is first again: without a pause now and then, others in the crowd, who have
   * to read it first, would wait until this process has nothing more to store.
   * @returns whether it has paused, so that the tail is to be read
   */
  async #letOthersIn({ crowd }: Folded<State>): Promise<boolean> {
    const { runtime } = this.#deps;
    if (crowd === undefined || crowd.commits < TURN || runtime.now() - crowd.at > CROWD_MS) return false;
    crowd.commits = 0;
    await runtime.sleep(Math.min(LONGEST_YIELD_MS, SHORTEST_YIELD_MS + 2 * crowd.appendMs));
    return true;
  }

  #tellOfConflict(open: Batch<State, Command, Event, R>): void {
    const { observer } = this.#deps;
    if (observer?.retried === undefined || open.length === 0) return;
    observer.retried(
      this.#stream.category,
      open.map(({ meta }) => meta),
    );
  }

  #ready(folded: Folded<State>, batch: Batch<State, Command, Event, R>): Promise<void> {
    const commands = batch.map(({ command }) => command);
    return this.#deps.states.ready(this.#decider, this.#stream, folded, commands);
  }

  /** @returns the state, and whether it may be told */
  async #onTheTail(
    folded: Folded<State>,
    batch: Batch<State, Command, Event, R>,
    asked: 'leader' | undefined,
  ): Promise<[Folded<State>, boolean]> {
    const next = folded.untrusted ? await this.#firstGuess(batch) : folded;
    return [next, await this.#deps.states.refresh(this.#decider, this.#stream, next, asked)];
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
    if (folded.crowd !== undefined) {
      folded.crowd.commits++;
      folded.crowd.appendMs = runtime.now() - startedAt;
    }
    folded.confirmedAt = Math.max(folded.confirmedAt, startedAt);
    states.keep(this.#decider, this.#stream, folded);
    return result.version;
  }

  #dropExpired(batch: Batch<State, Command, Event, R>): void {
    const { runtime, settings } = this.#deps;
    const now = runtime.now();
    if (batch.every(({ since }) => now - since <= settings.deadlineMs)) return;
    for (const item of batch.splice(0)) {
      if (now - item.since <= settings.deadlineMs) batch.push(item);
      else item.reject(new DeadlineExceeded(`A command for ${keyOf(this.#stream)}`, now - item.since));
    }
  }
}

/** Moves the next commands that may share the commit; one with a version of its own always stands alone. */
function join<T extends Asked<unknown>>(batch: T[], queue: T[], max: number): void {
  const standsAlone = (item: T | undefined): boolean => typeof item?.expected === 'number';
  if (standsAlone(batch[0])) return;
  let count = 0;
  while (count < queue.length && batch.length + count < max && !standsAlone(queue[count])) count++;
  if (batch.length + count === 0) count = 1;
  batch.push(...queue.splice(0, count));
}

/**
 * The second conflict in a row says that there is a crowd. Its members then come at different moments, and who has
 * waited longest comes most often: nobody may starve behind those who come later.
 */
export async function pauseAfter(
  conflicts: number,
  since: number,
  { runtime, deadlineMs }: { readonly runtime: Runtime; readonly deadlineMs: number },
): Promise<void> {
  if (conflicts < 2) return;
  const left = Math.max(SHORTEST_SHARE, 1 - (runtime.now() - since) / deadlineMs);
  await runtime.sleep(Math.ceil(backoffMs(runtime, conflicts, BASE_MS, CAP_MS) * left));
}

const BASE_MS = 2;
const CAP_MS = 20;
const SHORTEST_SHARE = 0.1;

/** How many commits in a row a process may store in a crowd. */
const TURN = 2;
/** Long enough for one of the others to read and append, which takes it as long as it takes this process. */
const SHORTEST_YIELD_MS = 4;
const LONGEST_YIELD_MS = 60;
/** A crowd of which nothing was seen for so long is gone. */
const CROWD_MS = 1_000;

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
