import { isRegistered, user } from '../../domain/user.ts';
import {
  BEGINNING,
  type Bucket,
  backoffMs,
  type CommandHandler,
  type Forgetting,
  type Runtime,
} from '../../eventstore/index.ts';
import {
  type Buckets,
  bucketNames,
  parseRow,
  pause,
  RetryLater,
  toBytes,
} from '../../processes/engine/index.ts';
import type { AskToErase } from '../../processes/order/ports.ts';

// Who sees to it that a person is forgotten may not destroy its key. It asks whoever may, by a row that both may write.

/** The row of the persons whose keys are to be destroyed. */
const ERASE = 'erase';
/** So many may wait at once, or the row grows out of hand. */
const MOST_WAITING = 1_000;
/** Persons whose keys are destroyed side by side. */
const AT_ONCE = 16;
const AGAIN_MS = 1_000;
/** What goes on failing is tried so seldom at last, in milliseconds. */
const SELDOM_MS = 30_000;
const MOST_TRIES = 20;

interface Where {
  readonly buckets: Pick<Buckets, 'create'>;
  readonly prefix: string;
}

const open = ({ buckets, prefix }: Where) => buckets.create(bucketNames(prefix).shared, { durable: true });

class TooManyWait extends RetryLater {}

async function change(
  bucket: Bucket,
  next: (persons: readonly string[]) => readonly string[],
  most = MOST_WAITING,
): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const row = await bucket.get(ERASE, { leader: true });
    const persons = parseRow<readonly string[]>(row) ?? [];
    const changed = next(persons);
    if (changed === persons) return;
    if (changed.length > most)
      throw new TooManyWait(`${persons.length} persons wait for their keys to be destroyed.`);
    const write = {
      key: ERASE,
      value: toBytes(changed),
      expectedRevision: row?.revision ?? 0,
      position: BEGINNING,
    };
    if ((await bucket.write(write)).written) return;
  }
  throw new TooManyWait('Too many others say whose keys are to be destroyed.');
}

/** @see AskToErase */
export function createAskToErase(where: Where): AskToErase {
  return async (userId) =>
    change(await open(where), (persons) => (persons.includes(userId) ? persons : [...persons, userId]));
}

/** Has persons whom the ledger names forgotten in a log that was restored from before that. @throws LogUnavailable */
export async function askToForgetAgain(where: Where, persons: readonly string[]): Promise<void> {
  if (persons.length === 0) return;
  const both = (waiting: readonly string[]) => [...new Set([...waiting, ...persons])];
  await change(await open(where), both, Number.POSITIVE_INFINITY);
}

interface EraserDeps extends Where {
  readonly runtime: Runtime;
  readonly handler: CommandHandler;
  readonly forgetting: Pick<Forgetting, 'forget' | 'has'>;
  readonly onTrouble: (what: string, error: unknown) => void;
}

/**
 * Destroys the keys of persons as it is asked to, until `stop`; what fails is tried again. Several may run.
 * The row alone destroys nothing: only who stands as forgotten in the log is, and who is in the ledger already.
 */
export function startEraser(deps: EraserDeps): { stop(): Promise<void> } {
  const { runtime, onTrouble } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const underWay = new Map<string, Promise<void>>();
  /** Who failed how often, and until when others go first. */
  const failed = new Map<string, { readonly times: number; readonly until: number }>();
  let waiting: readonly string[] = [];

  const fail = (person: string, error: unknown): void => {
    const { times } = failed.get(person) ?? { times: 0 };
    const until = runtime.now() + backoffMs(runtime, times, AGAIN_MS, SELDOM_MS);
    failed.set(person, { times: times + 1, until });
    onTrouble('destroying the key of a person who was forgotten', error);
  };

  const begin = (bucket: Bucket): void => {
    for (const person of waiting) {
      if (underWay.size >= AT_ONCE) return;
      if (underWay.has(person) || (failed.get(person)?.until ?? 0) > runtime.now()) continue;
      const work = erase(deps, person)
        .then(() => change(bucket, (persons) => persons.filter((other) => other !== person)))
        .then(() => void failed.delete(person))
        .catch((error: unknown) => fail(person, error))
        .then(() => void underWay.delete(person));
      underWay.set(person, work);
    }
  };
  const watch = async (): Promise<void> => {
    const bucket = await open(deps);
    for await (const row of bucket.watch({ signal })) {
      if (row.key !== ERASE) continue;
      waiting = parseRow<readonly string[]>(row) ?? [];
      begin(bucket);
    }
  };
  const repeat = async (what: string, work: () => Promise<void>): Promise<void> => {
    for (let failures = 0; !signal.aborted; ) {
      const error = await work().catch((reason: unknown) => reason);
      failures = error === undefined ? 0 : failures + 1;
      if (error !== undefined) onTrouble(what, error);
      await pause(runtime, backoffMs(runtime, failures, AGAIN_MS, SELDOM_MS), signal);
    }
  };
  const running = Promise.all([
    repeat('looking for keys to destroy', watch),
    repeat('destroying keys', async () => {
      if (waiting.length > 0) begin(await open(deps));
    }),
  ]);
  return {
    stop: async () => {
      stopping.abort();
      await running;
      await Promise.all(underWay.values());
    },
  };
}

async function erase(deps: EraserDeps, userId: string): Promise<void> {
  const { handler, forgetting, runtime } = deps;
  const { state } = await handler.load(user, userId);
  if (isRegistered(state)) {
    if (!(await forgetting.has(userId))) return;
    await forgetAgain(deps, userId);
  } else if (state.status !== 'forgotten' || state.erasedAt !== undefined) return;
  await forgetting.forget(userId);
  await handler.execute(user, userId, { type: 'recordErased', at: runtime.now() }, metaOf(runtime));
}

const metaOf = ({ id }: Pick<Runtime, 'id'>) => ({ commandId: id(), actor: 'eraser' });

/** In a log from before the person was forgotten. Nobody can read the address any more; its attempts are dead. */
async function forgetAgain({ handler, runtime }: EraserDeps, userId: string): Promise<void> {
  const at = runtime.now();
  const ask = { type: 'requestForgetting', reason: '', dueAt: at, at } as const;
  const asked = await handler.execute(user, userId, ask, metaOf(runtime));
  const dueAt = 'state' in asked && isRegistered(asked.state) ? (asked.state.forgetting?.dueAt ?? at) : at;
  const forget = { type: 'forget', claims: [], at: Math.max(at, dueAt) } as const;
  await handler.execute(user, userId, forget, metaOf(runtime));
}
