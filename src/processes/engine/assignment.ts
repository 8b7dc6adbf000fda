import {
  backoffMs,
  type CommandHandler,
  mayHeal,
  reasonOf,
  type SlotGroup,
  type StreamRef,
} from '../../eventstore/index.ts';
import { createDecode, createHandle } from './delivery.ts';
import { type GroupDeps, type GroupRunner, runGroup } from './group-runner.ts';
import { agreeOnGroups, type Membership, type Session, shareOf, takeLease } from './ownership.ts';
import { type ConsumerStatus, type Reaction, retryPolicy } from './reaction.ts';
import { createSignal, pause } from './signal.ts';
import { runWorker, type Worker } from './worker.ts';

/** One consumer in this process: holds its share of the groups. */
export interface ConsumerAssignment {
  readonly name: string;
  /** False once it has stopped for good. */
  readonly wanted: boolean;
  /** Works under a session until that ends or the consumer stops. */
  serve(session: Session): Promise<void>;
  /** Something in the membership has changed. */
  changed(): void;
  look(stream: StreamRef): void;
  /** Gives all groups back. */
  stop(): Promise<void>;
  status(): ConsumerStatus;
}

export interface AssignmentDeps
  extends Omit<GroupDeps, 'handle' | 'group' | 'session' | 'release' | 'consumer'> {
  readonly consumer: Reaction | Worker;
  readonly membership: Membership;
  readonly handler: CommandHandler;
  /** Told when the consumer stops for good. */
  readonly onError: (consumer: string, error: unknown) => void;
}

/** Runs a group that was just taken. */
type RunGroup = (owned: Pick<GroupDeps, 'group' | 'session' | 'release'>) => GroupRunner;

const workIn =
  (worker: Worker): RunGroup =>
  (owned) =>
    runWorker(worker, owned);

function reactIn(
  deps: AssignmentDeps & { readonly consumer: Reaction },
  { failed, retried }: { readonly failed: (error: unknown) => void; readonly retried: () => void },
): RunGroup {
  const { consumer, handler, runtime, settings, observer } = deps;
  const given = consumer.policy ?? retryPolicy(runtime, settings);
  const policy: typeof given = (error, attempt) => {
    const verdict = given(error, attempt);
    if (verdict.action === 'retry') retried();
    return verdict;
  };
  const decode = createDecode(consumer.sources);
  const handle = createHandle({ consumer, handler, runtime, decode, policy, observer, failed });
  return (owned) => runGroup({ ...deps, handle, ...owned });
}

/** Keeps a consumer's share of its groups running. */
export function assignConsumer(deps: AssignmentDeps): ConsumerAssignment {
  const { membership, buckets, index, runtime, settings, consumer } = deps;
  const { name } = consumer;
  const count = settings.groups;
  const runners = new Map<number, GroupRunner>();
  const stopping = new AbortController();
  const changed = createSignal();
  let lastError: string | undefined;
  let retries = 0;
  let fatal = false;

  const failed = (error: unknown): void => {
    lastError = reasonOf(error);
  };
  const retried = (): void => {
    retries++;
  };
  const runIn = 'own' in consumer ? workIn(consumer) : reactIn({ ...deps, consumer }, { failed, retried });

  const fail = (error: unknown): void => {
    if (fatal) return;
    failed(error);
    fatal = true;
    stopping.abort();
    deps.onError(name, error);
  };
  const take = async (session: Session, group: SlotGroup): Promise<void> => {
    const lease = await takeLease({ bucket: buckets.shared, membership, runtime }, session, name, group);
    if (lease === undefined) return;
    const runner = runIn({ group, session, release: lease.release });
    runners.set(group.index, runner);
    runner.hold(membership.paused(name));
    void runner.ended.then(({ error }) => {
      runners.delete(group.index);
      if (error !== undefined && !mayHeal(error)) fail(error);
      else if (error !== undefined) failed(error);
      changed.raise();
    });
  };
  const balance = async (session: Session): Promise<void> => {
    const members = [...membership.sessions].filter(([, { consumers }]) => consumers.includes(name));
    const share = shareOf(
      name,
      count,
      members.map(([id]) => id),
      session.id,
    );
    for (const runner of runners.values()) runner.hold(membership.paused(name));
    for (let index = 0; index < count && runners.size < share && session.alive(); index++) {
      if (!runners.has(index)) await take(session, { count, index });
    }
    const surplus = [...runners.values()].slice(share);
    await Promise.all(surplus.map((runner) => runner.stop()));
  };
  const stopAll = async (): Promise<void> => {
    await Promise.all([...runners.values()].map((runner) => runner.stop()));
  };

  return {
    name,
    get wanted() {
      return !stopping.signal.aborted;
    },
    serve: async (session) => {
      const until = AbortSignal.any([session.ended, stopping.signal]);
      for (let attempt = 0; !until.aborted; ) {
        try {
          await agreeOnGroups({ bucket: buckets.shared, membership, runtime }, name, count, until);
          while (!until.aborted) {
            if (membership.ready) await balance(session);
            attempt = 0;
            await changed.raised(until);
          }
        } catch (error) {
          if (until.aborted) break;
          if (!mayHeal(error)) fail(error);
          await pause(runtime, backoffMs(runtime, attempt++, 20, 1_000), until);
        }
      }
      await stopAll();
    },
    changed: changed.raise,
    look: (stream) => {
      for (const runner of runners.values()) runner.look(stream);
    },
    stop: async () => {
      stopping.abort();
      await stopAll();
    },
    status: () => {
      const groups = [...runners.values()].map((runner) => ({
        ...runner.status(),
        index: runner.group.index,
      }));
      const sum = (of: 'lag' | 'held' | 'running' | 'retrying'): number =>
        groups.reduce((total, group) => total + group[of], 0);
      const times = groups.flatMap(({ oldestAt }) => (oldestAt === undefined ? [] : [oldestAt]));
      const oldestAt = times.length === 0 ? undefined : Math.min(...times);
      return {
        consumer: name,
        lag: sum('lag'),
        lagSeconds: oldestAt === undefined ? 0 : Math.max(0, (runtime.now() - oldestAt) / 1_000),
        oldestAt,
        held: sum('held'),
        running: sum('running'),
        retrying: sum('retrying'),
        retries,
        parked: index.count(name),
        paused: membership.paused(name),
        stopped: fatal,
        groups: groups.map((group) => group.index).sort((a, b) => a - b),
        lastError,
      };
    },
  };
}
