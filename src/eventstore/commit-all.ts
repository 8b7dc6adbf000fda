import { create, type Message } from '@bufbuild/protobuf';
import { CommitSchema } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { CommandMeta, Expectation } from './command.ts';
import { rememberCommand } from './command-log.ts';
import { pauseAfter } from './command-queue.ts';
import type { Decider, Rejection } from './decider.ts';
import { DeadlineExceeded, EventStoreError } from './errors.ts';
import type { Folded } from './fold.ts';
import { type FreeCommand, freely } from './free-decider.ts';
import type { Log } from './log.ts';
import { observeAppend, type StoreObserver } from './observer.ts';
import type { PersonalData } from './personal/personal-data.ts';
import { type Plan, personallyOf, planCommands } from './plan.ts';
import type { Runtime } from './runtime.ts';
import type { States } from './states.ts';
import { checkStream, keyOf, type StreamRef } from './stream.ts';

/** One aggregate's share of an atomic commit. Made by `part`, which checks command and decider against each other. */
export interface Part {
  readonly stream: StreamRef;
  readonly expected: Expectation;
  /** Set when the commit relies on the aggregate as it was decided on, also where it has nothing to do. */
  readonly guards?: boolean | undefined;
  /** Loads the aggregate and keeps it for the attempts that follow. */
  open(states: States, personal: PersonalData): Promise<OpenPart>;
}

interface OpenPart {
  readonly stream: StreamRef;
  /** To be called before `plan`. */
  ready(): Promise<void>;
  plan(meta: CommandMeta, now: number): AnyPlan;
  /** Fetches the keys that a plan lacks. */
  fetch(plan: AnyPlan | undefined): Promise<void>;
  refresh(asked: 'leader' | undefined): Promise<boolean>;
  /** Folds in the plan that was stored. */
  stored(plan: AnyPlan, version: number): void;
  version(): number;
}

/** A command on one aggregate, for `commitAll`. */
export function part<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  id: string,
  command: Command,
  expected: Expectation = 'any',
): Part {
  const stream = checkStream({ category: decider.category, id });
  return {
    stream,
    expected,
    open: async (states, data) => {
      const folded: Folded<State> = await states.guess(decider, stream);
      const personal = personallyOf(decider, stream, data);
      return {
        stream,
        ready: () => states.ready(decider, stream, folded, [command]),
        plan: (meta, now) => planCommands(decider, folded, [{ command, meta, expected }], now, personal),
        fetch: async (plan) => plan?.lacking && personal?.keys.fetch(plan.lacking),
        refresh: (asked) => states.refresh(decider, stream, folded, asked),
        version: () => folded.version,
        stored: (plan, version) => {
          if (folded.version !== plan.version) return;
          for (const decision of plan.decisions) rememberCommand(folded.commands, decision, version);
          // The plan was made by this very part.
          folded.state = plan.state as State;
          folded.version = version;
          states.keep(decider, stream, folded);
        },
      };
    },
  };
}

/**
 * An aggregate that an atomic commit relies on and does not change: what is stored on the others is stored only while
 * this one is as it was decided on. `versions` tells 0 of it. An aggregate that is locked so by many is written slowly.
 * @param must what has to hold: a version (or `exists`, `none`), or what a look at its state refuses; the state may lack
 *   sections
 */
export function guard<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  id: string,
  must: Exclude<Expectation, 'any'> | ((state: State) => R | undefined),
): Part {
  const isLook = typeof must === 'function';
  const look: FreeCommand<State, Event, R> = (state) => (isLook ? must(state) : undefined) ?? [];
  return { ...part(freely(decider), id, look, isLook ? 'any' : must), guards: true };
}

/** What became of an atomic commit; whatever is not `accepted` stored nothing on any aggregate. */
export type CommitAllResult =
  | {
      readonly outcome: 'accepted';
      /** In the order of the parts; 0 for a part that had nothing to do. */
      readonly versions: readonly number[];
      readonly repeated: boolean;
    }
  | { readonly outcome: 'unchanged' }
  | ({ readonly outcome: 'rejected'; readonly rejection: Rejection } & StreamRef)
  | ({ readonly outcome: 'conflict'; readonly expected: Expectation; readonly actual: number } & StreamRef)
  | ({ readonly outcome: 'key-reused'; readonly version: number } & StreamRef);

export interface CommitAllDeps {
  readonly log: Log;
  readonly states: States;
  readonly runtime: Runtime;
  /** How long everything is decided again after conflicts before it is given up, in milliseconds. */
  readonly deadlineMs: number;
  readonly personal: PersonalData;
  readonly observer?: StoreObserver | undefined;
}

/**
 * Decides a command on each of several aggregates and stores all or none, with an exact expectation each.
 * Costs a batch: some hundred a second on one server with file storage, thousands on a cluster. Prefer one aggregate.
 * @throws as `execute`
 */
export function createCommitAll(deps: CommitAllDeps) {
  const { log, states, runtime, deadlineMs, personal, observer } = deps;

  return async function commitAll(parts: readonly Part[], meta: CommandMeta): Promise<CommitAllResult> {
    refuseTwins(parts);
    const open = await Promise.all(parts.map((p) => p.open(states, personal)));
    let confirmed = false;
    let foundEarlier = false;
    const since = runtime.now();
    for (let conflicts = 0; ; ) {
      const plans = await planAll(open, meta, since);
      const answer = answerWithoutAppend(parts, plans, open, { confirmed, foundEarlier });
      foundEarlier = plans.some(isStored);
      if (answer !== undefined && answer !== 'unconfirmed') return answer;
      if (answer === undefined) {
        const versions = await append(parts, open, plans, meta);
        if (versions !== undefined) return { outcome: 'accepted', versions, repeated: false };
        await pauseAfter(++conflicts, since, { runtime, deadlineMs });
      }
      // What was not stored is decided again on what the leader has; what is told needs more.
      const asked = answer === undefined ? 'leader' : undefined;
      confirmed = (await Promise.all(open.map((p) => p.refresh(asked)))).every((all) => all);
    }
  };

  /** Decides, once everything for that is at hand. @throws DeadlineExceeded */
  async function planAll(open: readonly OpenPart[], meta: CommandMeta, since: number): Promise<AnyPlan[]> {
    for (;;) {
      await Promise.all(open.map((p) => p.ready()));
      const waited = runtime.now() - since;
      if (waited > deadlineMs) throw new DeadlineExceeded('An atomic commit', waited);
      const plans = open.map((p) => p.plan(meta, runtime.now()));
      if (plans.every(({ lacking }) => lacking === undefined)) return plans;
      await Promise.all(open.map((p, index) => p.fetch(plans[index])));
    }
  }

  /** The versions; undefined when an expectation did not hold. */
  async function append(
    parts: readonly Part[],
    open: readonly OpenPart[],
    plans: readonly AnyPlan[],
    meta: CommandMeta,
  ): Promise<number[] | undefined> {
    const commitId = runtime.id();
    const writing = open.flatMap((part, index) => {
      const plan = plans[index];
      return plan === undefined || plan.decisions.length === 0 ? [] : [{ part, plan, index }];
    });
    const entries = writing.map(({ part, plan }) => ({
      stream: part.stream,
      expected: plan.version,
      commit: create(CommitSchema, { commitId, decisions: [...plan.decisions] }),
    }));
    const guards = parts.flatMap(({ stream, guards: isGuard }, index) => {
      const plan = plans[index];
      return isGuard && plan?.decisions.length === 0 ? [{ stream, version: plan.version }] : [];
    });
    const result = await observeAppend(observer, entries, () => log.appendAll(entries, guards));
    if (!result.appended) {
      observer?.retried?.(result.conflict.category, [meta]);
      return undefined;
    }
    const versions = open.map(() => 0);
    for (const [i, { part, plan, index }] of writing.entries()) {
      const version = result.versions[i] ?? 0;
      versions[index] = version;
      part.stored(plan, version);
    }
    return versions;
  }
}

function refuseTwins(parts: readonly Part[]): void {
  const names = parts.map((p) => keyOf(p.stream));
  const twin = names.find((name, index) => names.indexOf(name) !== index);
  if (twin !== undefined || names.length === 0) {
    const problem =
      twin === undefined ? 'names no aggregate' : `names ${twin} twice; one command per aggregate`;
    throw new EventStoreError('commit/invalid', `An atomic commit ${problem}.`);
  }
}

type AnyPlan = Plan<unknown, unknown, Rejection>;

/** The answer when nothing is to be appended; `unconfirmed` when the tails must be read before it may be given. */
function answerWithoutAppend(
  parts: readonly Part[],
  plans: readonly AnyPlan[],
  open: readonly OpenPart[],
  { confirmed, foundEarlier }: { readonly confirmed: boolean; readonly foundEarlier: boolean },
): CommitAllResult | 'unconfirmed' | undefined {
  const earlier = earlierAnswer(parts, plans);
  // The other tails may have been read before that commit came: they are read again after it was found.
  if (earlier !== undefined) return foundEarlier || plans.every(isStored) ? earlier : 'unconfirmed';
  for (const [index, { stream, expected }] of parts.entries()) {
    const planned = plans[index]?.planned[0];
    if (planned?.kind === 'fault') throw planned.error;
    if (planned?.kind !== 'rejected' && planned?.kind !== 'mismatch') continue;
    if (!confirmed) return 'unconfirmed';
    if (planned.kind === 'rejected') return { outcome: 'rejected', rejection: planned.rejection, ...stream };
    return { outcome: 'conflict', expected, actual: open[index]?.version() ?? 0, ...stream };
  }
  const isWriting = plans.some((plan) => plan.decisions.length > 0);
  // An aggregate with nothing to do is not validated by what is appended to the others, unless it guards that.
  const isLoose = (plan: AnyPlan, index: number) =>
    plan.decisions.length === 0 && !(isWriting && parts[index]?.guards);
  if (!confirmed && plans.some(isLoose)) return 'unconfirmed';
  return isWriting ? undefined : { outcome: 'unchanged' };
}

/** Whether an earlier call with the same command id is known to have stored something on the aggregate. */
function isStored({ planned: [p] }: AnyPlan): boolean {
  return p?.kind === 'stored';
}

/** Atomic: what an earlier call stored on one aggregate it stored on all that had something to do. */
function earlierAnswer(parts: readonly Part[], plans: readonly AnyPlan[]): CommitAllResult | undefined {
  const stored = plans.map(({ planned: [p] }) => (p?.kind === 'stored' ? p : undefined));
  if (stored.every((p) => p === undefined)) return undefined;
  const reused = stored.findIndex((p) => p?.same === false);
  const stream = parts[reused]?.stream;
  if (stream !== undefined)
    return { outcome: 'key-reused', version: stored[reused]?.version ?? 0, ...stream };
  return { outcome: 'accepted', versions: stored.map((p) => p?.version ?? 0), repeated: true };
}
