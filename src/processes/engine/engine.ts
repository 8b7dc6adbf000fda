import { setMaxListeners } from 'node:events';
import {
  backoffMs,
  type CommandHandler,
  createHandler,
  type Log,
  type MarkWatch,
  mayHeal,
  type Position,
  type Runtime,
  reasonOf,
  watchMarks,
} from '../../eventstore/index.ts';

import { assignConsumer, type ConsumerAssignment } from './assignment.ts';
import { type DeadLetterIndex, watchDeadLetters } from './dead-letters/dead-letters.ts';
import { type Feed, orderedFeed } from './delivery.ts';
import type { EngineObserver } from './observer.ts';
import { beginSession, type Membership, watchMembership } from './ownership.ts';
import type { ConsumerStatus, Reaction } from './reaction.ts';
import { type Buckets, createEngineBuckets, type EngineBuckets } from './rows.ts';
import { defaultEngineSettings, type EngineSettings } from './settings.ts';
import { pause, persist } from './signal.ts';
import type { Worker } from './worker.ts';

/** The consumers that run in this process. */
export interface Engine {
  /** Finishes handlers under way within `stopMs`, writes the cursors and gives everything back. */
  stop(): Promise<void>;
  /** How the consumers stand, as far as this process knows; asks nobody. */
  status(): readonly ConsumerStatus[];
}

export interface EngineDeps {
  readonly log: Log;
  /** Executes the commands of reactions; one of its own unless given. */
  readonly handler?: CommandHandler;
  readonly buckets: Buckets;
  readonly runtime: Runtime;
  readonly consumers: readonly Reaction[];
  /** Work that is shared as the consumers' is. */
  readonly workers?: readonly Worker[];
  /** The log's end at the start of this process, for reactions that begin there; asked for unless given. */
  readonly head?: Position;
  readonly settings?: Partial<EngineSettings>;
  /** Told when a consumer stops for good in this process; the others go on. */
  readonly onError?: (consumer: string, error: unknown) => void;
  readonly observer?: EngineObserver;
  /** How a group reads the log; only tests give another. */
  readonly feed?: Feed;
}

interface Opened {
  readonly buckets: EngineBuckets;
  readonly membership: Membership;
  readonly index: DeadLetterIndex;
  readonly assignments: readonly ConsumerAssignment[];
}

/** How often an engine that has dead letters looks for new marks, in milliseconds. */
const MARKS_EVERY_MS = 2_000;

const NAME = /^[A-Za-z0-9-]{1,64}$/;

/**
 * Starts consumers. Any number of processes may run the same ones: they share the groups, and replace each other.
 * Faults that pass are waited out.
 * @throws RangeError for a name that cannot be part of a key, or is given twice
 */
export function startEngine(deps: EngineDeps): Engine {
  const names = [...deps.consumers, ...(deps.workers ?? [])];
  checkNames(names);
  const { runtime } = deps;
  const settings = { ...defaultEngineSettings, ...deps.settings };
  const stopping = new AbortController();
  const watching = new AbortController();
  // Every group of every consumer listens.
  setMaxListeners(0, stopping.signal);
  setMaxListeners(0, watching.signal);
  const { signal } = stopping;
  let opened: Opened | undefined;
  let reported: string | undefined;

  const open = async (): Promise<Opened> => {
    const create = () => createEngineBuckets(deps.buckets, settings.prefix);
    const buckets = await persist({ runtime, signal }, create);
    const marked = watchMarks(deps.log, runtime, MARKS_EVERY_MS);
    await persist({ runtime, signal }, marked.fresh);
    return assemble({ ...deps, marked }, settings, buckets, watching.signal);
  };
  const serve = async ({ buckets, membership, assignments }: Opened): Promise<void> => {
    const consumers = () => assignments.filter(({ wanted }) => wanted).map(({ name }) => name);
    const { instance, ttlMs } = settings;
    const session = await beginSession({
      bucket: buckets.shared,
      membership,
      runtime,
      instance,
      ttlMs,
      consumers,
      signal,
    });
    const onStop = (): void => {
      for (const assignment of assignments) void assignment.stop();
    };
    signal.addEventListener('abort', onStop, { once: true });
    if (signal.aborted) onStop();
    await Promise.all(assignments.map((assignment) => assignment.serve(session)));
    signal.removeEventListener('abort', onStop);
    // Consumers that stopped for good leave the session to those that have not, or to nobody.
    if (!session.ended.aborted) await session.end();
  };
  /** Nothing runs meanwhile; it is tried again, and told once. */
  const report = (error: unknown): void => {
    if (reported === reasonOf(error)) return;
    reported = reasonOf(error);
    for (const { name } of names) deps.onError?.(name, error);
  };
  const run = async (): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        opened ??= await open();
        await serve(opened);
        if (opened.assignments.every(({ wanted }) => !wanted)) return;
      } catch (error) {
        if (!signal.aborted && !mayHeal(error)) report(error);
      }
      await pause(runtime, backoffMs(runtime, attempt, 20, 1_000), signal);
    }
  };

  const running = run();
  return {
    status: () => opened?.assignments.map((assignment) => assignment.status()) ?? [],
    stop: async () => {
      stopping.abort();
      await running;
      watching.abort();
    },
  };
}

function assemble(
  deps: EngineDeps & { readonly marked: MarkWatch },
  settings: EngineSettings,
  buckets: EngineBuckets,
  signal: AbortSignal,
): Opened {
  const { log, head, runtime, observer, marked, feed = orderedFeed, onError = () => undefined } = deps;
  const handler = deps.handler ?? createHandler({ log, runtime });
  const assignments: ConsumerAssignment[] = [];
  const membership = watchMembership({ bucket: buckets.shared, runtime, signal }, () => {
    for (const assignment of assignments) assignment.changed();
  });
  const index = watchDeadLetters({ bucket: buckets.parked, runtime, signal }, (consumer, stream) => {
    for (const assignment of assignments) if (assignment.name === consumer) assignment.look(stream);
  });
  const shared = {
    log,
    head,
    handler,
    buckets,
    index,
    runtime,
    settings,
    feed,
    observer,
    marked,
    membership,
    onError,
  };
  for (const consumer of [...deps.consumers, ...(deps.workers ?? [])])
    assignments.push(assignConsumer({ ...shared, consumer }));
  void followMarks({ marked, index, runtime, signal }, assignments);
  return { buckets, membership, index, assignments };
}

/** Where there are dead letters, newer marks may let them pass; a commit that is marked and is none is met later. */
async function followMarks(
  deps: { marked: MarkWatch; index: DeadLetterIndex; runtime: Runtime; signal: AbortSignal },
  assignments: readonly ConsumerAssignment[],
): Promise<void> {
  const { marked, index, runtime, signal } = deps;
  let { version } = marked.known;
  while (!signal.aborted) {
    await pause(runtime, MARKS_EVERY_MS, signal);
    if (signal.aborted || assignments.every(({ name }) => index.count(name) === 0)) continue;
    // What cannot be read now is read the next time.
    await marked.latest().catch(() => undefined);
    if (marked.known.version === version) continue;
    ({ version } = marked.known);
    for (const assignment of assignments) {
      for (const { stream } of index.firsts(assignment.name)) assignment.look(stream);
    }
  }
}

function checkNames(consumers: readonly Pick<Reaction, 'name'>[]): void {
  const seen = new Set<string>();
  for (const { name } of consumers) {
    if (!NAME.test(name)) throw new RangeError(`The consumer name ${JSON.stringify(name)} is not allowed.`);
    if (seen.has(name)) throw new RangeError(`Two consumers are called ${name}.`);
    seen.add(name);
  }
}
